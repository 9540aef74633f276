//! The command line, and the environment behind it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ractor_webrtc::IceServer;
use ractor_webrtc::ice::IceServerError;

use super::common::program;

/// What may be said.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `--listen IP:PORT`: where pages and requests are served.
    pub(crate) listen: SocketAddr,
    /// `--udp IP:PORT`: one port for everybody's media. Without it each session gets a port of its own.
    pub(crate) udp: Option<SocketAddr>,
    /// `--public-ip IP`: what clients are told in place of this machine's own addresses; one of each family at most.
    pub(crate) public_ips: Vec<IpAddr>,
    /// `--token TOKEN`: what publishers and viewers have to say.
    pub(crate) token: Option<String>,
    /// `--public-viewing`: viewers need no token.
    pub(crate) public_viewing: bool,
    /// `--no-token`: really none.
    no_token: bool,
    /// `--ice-server URL`, as often as wanted: what clients are told to use.
    pub(crate) ice_servers: Vec<IceServer>,
    /// `--viewers NUMBER`: how many at a time.
    pub(crate) viewers: usize,
}

/// What to do with a command line.
pub(crate) type Command = program::Command<Arguments>;

/// What is wrong with it.
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
    #[error("--ice-server does not like what is after it")]
    IceServer(#[from] IceServerError),
    #[error("a token that is empty lets everybody in; leave it out, or say one")]
    EmptyToken,
    #[error(
        "{0} can be reached by others: say a --token for who may publish and watch, or --no-token if really everybody may"
    )]
    TokenMissing(SocketAddr),
}

impl Arguments {
    /// Takes in a command line without the program's name; what it does not say, the environment may.
    pub(crate) fn parse(
        environment: impl Fn(&str) -> Option<String>,
        mut line: impl Iterator<Item = String>,
    ) -> Result<Command, ArgumentError> {
        let mut arguments = Self::from_environment(environment)?;
        while let Some(option) = line.next() {
            let (option, given) = match option.split_once('=') {
                Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
                None => (option, None),
            };
            if matches!(&*option, "--help" | "-h") {
                return Ok(Command::Help);
            }
            arguments.set(&option, &option, || given.clone().or_else(|| line.next()))?;
        }
        arguments.check()?;
        Ok(Command::Run(arguments))
    }

    fn from_environment(
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ArgumentError> {
        let mut arguments = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8840)),
            udp: None,
            public_ips: Vec::new(),
            token: None,
            public_viewing: false,
            no_token: false,
            ice_servers: Vec::new(),
            viewers: 1000,
        };
        for (name, option) in ENVIRONMENT {
            let Some(value) = environment(name).filter(|value| !value.is_empty()) else {
                continue;
            };
            arguments.set(option, name, || Some(value.clone()))?;
        }
        Ok(arguments)
    }

    /// `name` is what a complaint calls it.
    fn set(
        &mut self,
        option: &str,
        name: &str,
        mut value: impl FnMut() -> Option<String>,
    ) -> Result<(), ArgumentError> {
        match option {
            "--listen" => self.listen = read(name, "IP:PORT", value())?,
            "--udp" => self.udp = Some(read(name, "IP:PORT", value())?),
            "--public-ip" => {
                let ip: IpAddr = read(name, "an IP address", value())?;
                // The last word of each family counts.
                self.public_ips
                    .retain(|before| before.is_ipv4() != ip.is_ipv4());
                self.public_ips.push(ip);
            }
            "--token" => self.token = Some(read(name, "a token", value())?),
            "--no-token" => self.no_token = true,
            "--public-viewing" => self.public_viewing = true,
            "--ice-server" => {
                let url: String = read(name, "a URL", value())?;
                self.ice_servers.push(IceServer::new([url])?);
            }
            "--viewers" => self.viewers = read(name, "a number", value())?,
            _ => return Err(ArgumentError::Unknown(option.to_owned())),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ArgumentError> {
        if self.token.as_deref() == Some("") {
            return Err(ArgumentError::EmptyToken);
        }
        if self.token.is_none() && !self.no_token && !self.listen.ip().is_loopback() {
            return Err(ArgumentError::TokenMissing(self.listen));
        }
        Ok(())
    }
}

/// The token stays out of logs.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments")
            .field("listen", &self.listen)
            .field("udp", &self.udp)
            .field("public_ips", &self.public_ips)
            .field("token", &self.token.is_some())
            .field("public_viewing", &self.public_viewing)
            .field("viewers", &self.viewers)
            .finish_non_exhaustive()
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

/// The names that the environment has for options. The command line has the last word.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("WHIP_WHEP_LISTEN", "--listen"),
    ("WHIP_WHEP_UDP", "--udp"),
    ("WHIP_WHEP_PUBLIC_IP", "--public-ip"),
    ("WHIP_WHEP_TOKEN", "--token"),
    ("WHIP_WHEP_ICE_SERVER", "--ice-server"),
    ("WHIP_WHEP_VIEWERS", "--viewers"),
];

/// The answer to `--help`.
pub(crate) const HELP: &str = "\
Options, and the names that the environment has for some of them:
  --listen IP:PORT   WHIP_WHEP_LISTEN      serve pages and requests here (127.0.0.1:8840); a loopback
                                           address keeps media on this machine too
  --udp IP:PORT      WHIP_WHEP_UDP         take all media on this one UDP port, instead of a port for each
                                           session
  --public-ip IP     WHIP_WHEP_PUBLIC_IP   tell clients this address in place of this machine's own; once for
                                           IPv4, once for IPv6
  --token TOKEN      WHIP_WHEP_TOKEN       let in only who says this token; needed where others than this
                                           machine can reach us
  --public-viewing                         ask publishers for it, and not viewers
  --no-token                               let in everybody, wherever they come from
  --ice-server URL   WHIP_WHEP_ICE_SERVER  tell clients of this STUN server, stun:HOST:PORT; may be said more than
                                           once
  --viewers NUMBER   WHIP_WHEP_VIEWERS     let in this many at a time (1000)
  --help                                   this text";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(environment: &[(&str, &str)], line: &str) -> Result<Command, ArgumentError> {
        let environment = |name: &str| {
            let mut pairs = environment.iter();
            let found = pairs.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Arguments::parse(environment, line.split_whitespace().map(str::to_owned))
    }

    fn run(environment: &[(&str, &str)], line: &str) -> Arguments {
        match parse(environment, line) {
            Ok(Command::Run(arguments)) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_command_line_serves_this_machine_without_a_token() {
        let arguments = run(&[], "");
        assert_eq!(arguments.listen.to_string(), "127.0.0.1:8840");
        assert_eq!(arguments.token, None);
        assert_eq!(parse(&[], "--help"), Ok(Command::Help));
    }

    #[test]
    fn where_others_can_reach_us_a_token_is_wanted_unless_told() {
        let public = "--listen 0.0.0.0:80";
        let refused = parse(&[], public).unwrap_err();
        assert!(refused.to_string().contains("--token"), "{refused}");
        assert_eq!(
            run(&[], &format!("{public} --token x")).token.as_deref(),
            Some("x")
        );
        assert_eq!(run(&[], &format!("{public} --no-token")).token, None);
        let token = ("WHIP_WHEP_TOKEN", "secret");
        assert_eq!(run(&[token], public).token.as_deref(), Some("secret"));
        assert_eq!(parse(&[], "--token="), Err(ArgumentError::EmptyToken));
        assert!(parse(&[], "--listen [::]:80").is_err());
        assert!(parse(&[], "--listen [::1]:80").is_ok());
    }

    #[test]
    fn the_command_line_has_the_last_word_over_the_environment() {
        let environment = [
            ("WHIP_WHEP_LISTEN", "127.0.0.2:1"),
            ("WHIP_WHEP_UDP", "0.0.0.0:3478"),
            ("WHIP_WHEP_PUBLIC_IP", "203.0.113.7"),
            ("WHIP_WHEP_VIEWERS", ""),
        ];
        let line = "--listen=127.0.0.1:2 --public-ip 203.0.113.8 --public-ip 2001:db8::8";
        let arguments = run(&environment, line);
        assert_eq!(arguments.listen.to_string(), "127.0.0.1:2");
        assert_eq!(arguments.udp.unwrap().to_string(), "0.0.0.0:3478");
        let public = ["203.0.113.8", "2001:db8::8"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(arguments.public_ips, public);
        assert_eq!(arguments.viewers, 1000);
    }

    #[test]
    fn a_wrong_value_is_shown_with_what_is_wanted_and_who_said_it() {
        let said =
            |environment: &[(&str, &str)], line| parse(environment, line).unwrap_err().to_string();
        assert_eq!(said(&[], "--udp x"), "--udp wants IP:PORT, not \"x\"");
        assert_eq!(said(&[], "--udp"), "--udp wants IP:PORT after it");
        let wrong = [("WHIP_WHEP_UDP", "x")];
        assert_eq!(said(&wrong, ""), "WHIP_WHEP_UDP wants IP:PORT, not \"x\"");
        assert_eq!(
            said(&[], "--tokn x"),
            "--tokn is not known; --help lists what is"
        );
    }

    #[test]
    fn the_token_stays_out_of_logs() {
        assert!(!format!("{:?}", run(&[], "--token secret")).contains("secret"));
    }
}
