//! The command line that all examples share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use ractor::ActorCell;
use ractor_webrtc::ice::IceServerError;
use ractor_webrtc::udp::UdpEndpointError;
use ractor_webrtc::{
    IceServer, PeerConnection, PeerConnectionBuilder, UdpEndpoint, UdpEndpointConfiguration,
};

use super::program;

/// What may be said on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `--listen IP:PORT`: where the page and its WebSocket are served.
    pub(crate) listen: SocketAddr,
    /// `--udp IP:PORT`: one port for everybody's media. Without it each visitor gets a port of their own.
    pub(crate) udp: Option<SocketAddr>,
    /// `--ice-server URL`, as often as wanted.
    pub(crate) ice_servers: Vec<IceServer>,
    /// `--visitors NUMBER`: how many at a time.
    pub(crate) visitors: usize,
}

/// What to do with a command line.
pub(crate) type Command = program::Command<Arguments>;

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("{0} is not known; --help lists what is")]
    Unknown(String),
    #[error("{option} wants {wanted} after it")]
    Missing {
        option: String,
        wanted: &'static str,
    },
    #[error("{option} wants {wanted}, not \"{given}\"")]
    Invalid {
        option: String,
        wanted: &'static str,
        given: String,
    },
    #[error("--ice-server does not like what is after it: {0}")]
    IceServer(#[from] IceServerError),
}

impl Arguments {
    /// What an example does when nothing is said.
    pub(crate) fn on_port(port: u16) -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            udp: None,
            ice_servers: Vec::new(),
            visitors: 64,
        }
    }

    /// Takes in a command line without the program's name.
    pub(crate) fn parse(
        mut self,
        mut line: impl Iterator<Item = String>,
    ) -> Result<Command, ArgumentError> {
        while let Some(option) = line.next() {
            let (option, given) = match option.split_once('=') {
                Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
                None => (option, None),
            };
            let mut value = || given.clone().or_else(|| line.next());
            match option.as_str() {
                "--listen" => self.listen = read(&option, "IP:PORT", value())?,
                "--udp" => self.udp = Some(read(&option, "IP:PORT", value())?),
                "--ice-server" => {
                    let url: String = read(&option, "a URL", value())?;
                    self.ice_servers.push(IceServer::new([url])?);
                }
                "--visitors" => self.visitors = read(&option, "a number", value())?,
                "--help" | "-h" => return Ok(Command::Help),
                _ => return Err(ArgumentError::Unknown(option)),
            }
        }
        Ok(Command::Run(self))
    }

    /// Opens the shared port, if there is to be one, below `supervisor`.
    pub(crate) async fn endpoint(
        &self,
        supervisor: ActorCell,
    ) -> Result<Option<UdpEndpoint>, UdpEndpointError> {
        let Some(address) = self.udp else {
            return Ok(None);
        };
        let configuration = UdpEndpointConfiguration::address(address);
        UdpEndpoint::spawn(configuration, supervisor)
            .await
            .map(Some)
    }

    /// How a visitor's connection is set up, on the shared port if there is one.
    ///
    /// If only this machine can reach the page, 127.0.0.1 has to do for media as well, and does so
    /// without any network.
    pub(crate) fn connections(&self, endpoint: Option<&UdpEndpoint>) -> PeerConnectionBuilder {
        let connections = PeerConnection::builder()
            .include_loopback(self.listen.ip().is_loopback())
            .ice_servers(self.ice_servers.clone());
        match endpoint {
            Some(endpoint) => connections.endpoint(endpoint.clone()),
            None => connections,
        }
    }
}

fn read<T: FromStr>(
    option: &str,
    wanted: &'static str,
    value: Option<String>,
) -> Result<T, ArgumentError> {
    let option = option.to_owned();
    let Some(given) = value else {
        return Err(ArgumentError::Missing { option, wanted });
    };
    given.parse().map_err(|_| ArgumentError::Invalid {
        option,
        wanted,
        given,
    })
}

/// The answer to `--help`.
pub(crate) const HELP: &str = "\
Options:
  --listen IP:PORT   serve the page here; a loopback address keeps media on this machine too
  --udp IP:PORT      take everybody's media on this one UDP port, instead of a port for each visitor
  --ice-server URL   a STUN server, stun:HOST:PORT; may be said more than once
  --visitors NUMBER  let in this many at a time (64)
  --help             this text";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, ArgumentError> {
        Arguments::on_port(8829).parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_empty_command_line_listens_on_loopback() {
        let Ok(Command::Run(arguments)) = parse("") else {
            panic!("an empty command line is fine");
        };
        assert_eq!(arguments.listen.to_string(), "127.0.0.1:8829");
    }

    #[test]
    fn values_come_after_a_blank_or_an_equals_sign() {
        let Ok(Command::Run(arguments)) = parse("--listen=0.0.0.0:80 --udp 0.0.0.0:3479") else {
            panic!("both forms are fine");
        };
        assert_eq!(arguments.listen.to_string(), "0.0.0.0:80");
        assert_eq!(arguments.udp.unwrap().to_string(), "0.0.0.0:3479");
    }

    #[test]
    fn a_wrong_value_is_shown_with_what_is_wanted() {
        let error = parse("--listen localhost").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--listen wants IP:PORT, not \"localhost\""
        );
        let error = parse("--udp").unwrap_err();
        assert_eq!(error.to_string(), "--udp wants IP:PORT after it");
        let error = parse("--ice-server http://localhost").unwrap_err();
        assert!(error.to_string().contains("http://localhost"), "{error}");
        let error = parse("--lisen 1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--lisen is not known; --help lists what is"
        );
    }
}
