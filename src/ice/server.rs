//! STUN and TURN servers, written as browsers write them.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One or more URLs of a STUN or TURN server (W3C `RTCIceServer`). Its JSON is the browser's own:
/// `{"urls": "stun:…"}` or `{"urls": ["turn:…", …], "username": …, "credential": …}`.
///
/// `stun:` servers give server-reflexive candidates, `turn:` servers relayed ones as well. Both are asked over UDP: with
/// `turns:`, `stuns:` and `?transport=tcp` a URL is accepted, so that a browser's list fits, and not used.
///
/// ```
/// use ractor_webrtc::ice::{IceServer, IceServerError};
///
/// let server = IceServer::new(["stun:stun.example.org:3478"])?;
/// assert_eq!(server.urls().len(), 1);
/// let relay = IceServer::with_credentials(["turn:turn.example.org"], "ada", "secret")?;
/// let refused = IceServer::new(["turn:turn.example.org"]);
/// assert!(matches!(refused, Err(IceServerError::CredentialsMissing { .. })));
/// # let _ = relay;
/// # Ok::<(), IceServerError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct IceServer {
    urls: Vec<IceServerUrl>,
    username: Option<String>,
    credential: Option<String>,
}

impl IceServer {
    /// A server without credentials.
    ///
    /// # Errors
    ///
    /// [`IceServerError`] where a URL is not one, or wants credentials.
    pub fn new<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self, IceServerError> {
        Self::build(urls, None, None)
    }

    /// A server with credentials.
    ///
    /// # Errors
    ///
    /// [`IceServerError`] where a URL is not one.
    pub fn with_credentials<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        username: impl Into<String>,
        credential: impl Into<String>,
    ) -> Result<Self, IceServerError> {
        Self::build(urls, Some(username.into()), Some(credential.into()))
    }

    /// The URLs, at least one.
    pub fn urls(&self) -> &[IceServerUrl] {
        &self.urls
    }

    /// The name to log in with.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The password to log in with.
    pub fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    fn build<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        username: Option<String>,
        credential: Option<String>,
    ) -> Result<Self, IceServerError> {
        let urls: Vec<IceServerUrl> = urls
            .into_iter()
            .map(|url| url.as_ref().parse())
            .collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Err(IceServerError::NoUrl);
        }
        let complete = username.is_some() && credential.is_some();
        if let Some(url) = urls.iter().find(|url| url.scheme.is_relay() && !complete) {
            return Err(IceServerError::CredentialsMissing {
                url: url.to_string(),
            });
        }
        Ok(Self {
            urls,
            username,
            credential,
        })
    }
}

/// The credential stays out of logs.
impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Why a server cannot be used. The caller's mistake, always.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IceServerError {
    /// A server without a URL.
    #[error("an ICE server needs at least one URL")]
    NoUrl,
    /// Not a URL of RFC 7064 or RFC 7065.
    #[error("{url:?} is not a STUN or TURN URL: {problem}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: IceServerUrlProblem,
    },
    /// A TURN server without username or credential.
    #[error("{url} needs a username and a credential")]
    CredentialsMissing {
        /// The URL that needs them.
        url: String,
    },
}

/// What is wrong with the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IceServerUrlProblem {
    /// Neither `stun`, `stuns`, `turn` nor `turns`.
    #[error("unknown scheme")]
    Scheme,
    /// No host, or characters that no host has.
    #[error("no valid host")]
    Host,
    /// Not a number between 1 and 65535.
    #[error("no valid port")]
    Port,
    /// Something other than `?transport=udp` or `?transport=tcp`, and that on TURN only.
    #[error("unknown query")]
    Query,
}

/// Scheme of a server's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IceServerScheme {
    /// STUN over UDP.
    Stun,
    /// STUN over TLS.
    Stuns,
    /// TURN.
    Turn,
    /// TURN over TLS.
    Turns,
}

impl IceServerScheme {
    const fn is_relay(self) -> bool {
        matches!(self, Self::Turn | Self::Turns)
    }

    const fn is_secure(self) -> bool {
        matches!(self, Self::Stuns | Self::Turns)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Stuns => "stuns",
            Self::Turn => "turn",
            Self::Turns => "turns",
        }
    }
}

/// How a TURN server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IceServerTransport {
    /// `?transport=udp`, and where nothing is said.
    Udp,
    /// `?transport=tcp`.
    Tcp,
}

/// URL of a STUN or TURN server (RFC 7064, RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IceServerUrl {
    scheme: IceServerScheme,
    host: String,
    port: u16,
    transport: Option<IceServerTransport>,
}

impl IceServerUrl {
    /// What it begins with.
    pub fn scheme(&self) -> IceServerScheme {
        self.scheme
    }

    /// Name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 3478 or 5349 (TLS) where none is said.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How a TURN server is reached, if it is said.
    pub fn transport(&self) -> Option<IceServerTransport> {
        self.transport
    }
}

/// A server of one URL, without credentials.
impl TryFrom<&str> for IceServer {
    type Error = IceServerError;

    fn try_from(url: &str) -> Result<Self, Self::Error> {
        Self::new([url])
    }
}

/// What cannot go wrong fits everywhere.
impl From<Infallible> for IceServerError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl FromStr for IceServerUrl {
    type Err = IceServerError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        parse_url(url).map_err(|problem| IceServerError::Url {
            url: url.chars().take(QUOTED).collect(),
            problem,
        })
    }
}

impl fmt::Display for IceServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.as_str();
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{scheme}:{}:{}", self.host, self.port)?;
        }
        match self.transport {
            Some(IceServerTransport::Udp) => f.write_str("?transport=udp"),
            Some(IceServerTransport::Tcp) => f.write_str("?transport=tcp"),
            None => Ok(()),
        }
    }
}

fn parse_url(url: &str) -> Result<IceServerUrl, IceServerUrlProblem> {
    use IceServerUrlProblem::{Host, Port, Query, Scheme};
    let (scheme, rest) = url.split_once(':').ok_or(Scheme)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "stun" => IceServerScheme::Stun,
        "stuns" => IceServerScheme::Stuns,
        "turn" => IceServerScheme::Turn,
        "turns" => IceServerScheme::Turns,
        _ => return Err(Scheme),
    };
    let (authority, transport) = match rest.split_once('?') {
        None => (rest, None),
        Some(_) if !scheme.is_relay() => return Err(Query),
        Some((authority, "transport=udp")) => (authority, Some(IceServerTransport::Udp)),
        Some((authority, "transport=tcp")) => (authority, Some(IceServerTransport::Tcp)),
        Some(_) => return Err(Query),
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(Host)?;
            let _valid: std::net::Ipv6Addr = host.parse().map_err(|_| Host)?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let valid_host = !host.is_empty()
        && host.len() <= MAX_HOST
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte));
    if !valid_host {
        return Err(Host);
    }
    let port = match port.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0).ok_or(Port)?
        }
        Some(_) => return Err(Port),
        None if !port.is_empty() => return Err(Host),
        // RFC 7064 §3.2.
        None if scheme.is_secure() => 5349,
        None => 3478,
    };
    Ok(IceServerUrl {
        scheme,
        host: host.to_owned(),
        port,
        transport,
    })
}

/// As it stands in JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    urls: OneOrMany,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<Written> for IceServer {
    type Error = IceServerError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let urls = match written.urls {
            OneOrMany::One(url) => vec![url],
            OneOrMany::Many(urls) => urls,
        };
        Self::build(urls, written.username, written.credential)
    }
}

impl From<IceServer> for Written {
    fn from(server: IceServer) -> Self {
        Self {
            urls: OneOrMany::Many(server.urls.iter().map(ToString::to_string).collect()),
            username: server.username,
            credential: server.credential,
        }
    }
}

/// Longest name that DNS has.
const MAX_HOST: usize = 253;
/// How much of a wrong URL an error repeats.
const QUOTED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<IceServerUrl, IceServerUrlProblem> {
        parse_url(text)
    }

    #[test]
    fn urls_have_default_ports_by_scheme() {
        for (text, written) in [
            ("stun:example.org", "stun:example.org:3478"),
            ("stuns:example.org", "stuns:example.org:5349"),
            ("TURN:example.org:80", "turn:example.org:80"),
            (
                "turns:[2001:db8::1]?transport=tcp",
                "turns:[2001:db8::1]:5349?transport=tcp",
            ),
            ("stun:192.0.2.1:19302", "stun:192.0.2.1:19302"),
        ] {
            assert_eq!(url(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn wrong_urls_say_what_is_wrong() {
        use IceServerUrlProblem::{Host, Port, Query, Scheme};
        for (text, problem) in [
            ("", Scheme),
            ("http://example.org", Scheme),
            ("stun:", Host),
            ("stun://example.org", Host),
            ("stun:[::1", Host),
            ("stun:[::x]", Host),
            ("stun:[::1]x", Host),
            ("stun:a b", Host),
            ("stun:example.org:", Port),
            ("stun:example.org:0", Port),
            ("stun:example.org:65536", Port),
            ("stun:example.org:+1", Port),
            ("stun:example.org?transport=udp", Query),
            ("turn:example.org?transport=sctp", Query),
        ] {
            assert_eq!(url(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn json_is_the_browsers_own() {
        let one: IceServer = serde_json::from_str(r#"{"urls":"stun:a"}"#).unwrap();
        assert_eq!(one.urls()[0].host(), "a");
        let many: IceServer =
            serde_json::from_str(r#"{"urls":["turn:a","stun:b"],"username":"u","credential":"c"}"#)
                .unwrap();
        assert_eq!(many.urls().len(), 2);
        assert_eq!(
            serde_json::to_string(&many).unwrap(),
            r#"{"urls":["turn:a:3478","stun:b:3478"],"username":"u","credential":"c"}"#
        );
        for wrong in [
            r#"{"urls":[]}"#,
            r#"{"urls":"turn:a"}"#,
            r#"{"urls":"a"}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<IceServer>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_credential_is_not_logged() {
        let server = IceServer::with_credentials(["turn:a"], "u", "secret").unwrap();
        assert!(!format!("{server:?}").contains("secret"));
    }
}
