//! Candidates of the other side: read here, before any other code sees them.

use std::net::{IpAddr, SocketAddr};
use std::str::SplitAsciiWhitespace;

use super::address_book::is_name;

/// A candidate as the other side wrote it (RFC 8839 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteCandidate {
    pub(crate) foundation: String,
    pub(crate) component: u16,
    pub(crate) transport: CandidateTransport,
    pub(crate) priority: u32,
    pub(crate) address: CandidateAddress,
    pub(crate) port: u16,
    pub(crate) kind: CandidateKind,
    /// The extension `ufrag`, by which browsers bind a candidate to a session.
    pub(crate) username_fragment: Option<String>,
}

/// What a candidate is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CandidateTransport {
    Udp,
    /// TCP, or something that is not known here.
    Other,
}

/// Where a candidate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CandidateAddress {
    Ip(IpAddr),
    /// `….local`, to be asked of the local network (draft-ietf-mmusic-mdns-ice-candidates).
    Mdns(String),
    /// Some other name.
    Name,
}

/// Type of a candidate (RFC 8445 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CandidateKind {
    Host,
    ServerReflexive,
    PeerReflexive,
    Relayed,
}

/// What is wrong with a candidate. The other side's mistake, or of whoever carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// Does not begin with `candidate:`.
    #[error("does not begin with \"candidate:\"")]
    Prefix,
    /// Longer than any candidate is.
    #[error("longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not 1 to 32 letters, digits, `+` or `/`.
    #[error("no valid foundation")]
    Foundation,
    /// Not a number between 1 and 256.
    #[error("no valid component")]
    Component,
    /// No transport.
    #[error("no transport")]
    Transport,
    /// Not a number below 2^32.
    #[error("no valid priority")]
    Priority,
    /// No address, or one that nobody can have.
    #[error("no valid address")]
    Address,
    /// Not a number below 65536.
    #[error("no valid port")]
    Port,
    /// No `typ`, or a type that is not known.
    #[error("no known type")]
    Kind,
    /// `raddr` or `rport` without its value, or an extension without one.
    #[error("an attribute without its value")]
    Extension,
    /// More candidates than one session takes.
    #[error("too many candidates")]
    TooMany,
}

/// Why a well-formed candidate is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// TCP is not spoken here.
    Transport,
    /// RTCP always shares the port of RTP (RFC 8858).
    Component,
    /// Its address is to be asked for, unless its checks arrive and tell.
    Mdns,
    /// Names are not looked up (RFC 8839 §5.1 lets us ignore them).
    Name,
    /// Port 0, or an IPv6 address that means nothing without its interface.
    Unreachable,
    /// Of another session than the present one.
    Session,
}

impl RemoteCandidate {
    /// Reads `candidate:…`.
    ///
    /// # Errors
    ///
    /// [`CandidateError`] names the part that is wrong.
    pub(crate) fn parse(line: &str) -> Result<Self, CandidateError> {
        if line.len() > MAX_LENGTH {
            return Err(CandidateError::TooLong);
        }
        let line = line.strip_prefix("a=").unwrap_or(line);
        let mut fields = line
            .strip_prefix("candidate:")
            .ok_or(CandidateError::Prefix)?
            .split_ascii_whitespace();
        let mut candidate = Self {
            foundation: foundation(fields.next())?,
            component: number(fields.next())
                .filter(|component| (1..=256).contains(component))
                .ok_or(CandidateError::Component)?,
            transport: match fields.next().ok_or(CandidateError::Transport)? {
                udp if udp.eq_ignore_ascii_case("udp") => CandidateTransport::Udp,
                _ => CandidateTransport::Other,
            },
            priority: number(fields.next()).ok_or(CandidateError::Priority)?,
            address: address(fields.next())?,
            port: number(fields.next()).ok_or(CandidateError::Port)?,
            kind: kind(&mut fields)?,
            username_fragment: None,
        };
        while let Some(name) = fields.next() {
            let value = fields.next().ok_or(CandidateError::Extension)?;
            if name == "ufrag" {
                candidate.username_fragment = Some(value.to_owned());
            }
        }
        Ok(candidate)
    }

    /// The address to check, in the session of that username fragment.
    pub(crate) fn usable(&self, username_fragment: &str) -> Result<SocketAddr, Unusable> {
        if self.transport != CandidateTransport::Udp {
            return Err(Unusable::Transport);
        }
        if self.component != 1 {
            return Err(Unusable::Component);
        }
        let other_session = self
            .username_fragment
            .as_deref()
            .is_some_and(|fragment| fragment != username_fragment);
        if other_session {
            return Err(Unusable::Session);
        }
        match &self.address {
            CandidateAddress::Mdns(_) => Err(Unusable::Mdns),
            CandidateAddress::Name => Err(Unusable::Name),
            CandidateAddress::Ip(ip) if self.port == 0 || needs_scope(*ip) => {
                Err(Unusable::Unreachable)
            }
            CandidateAddress::Ip(ip) => Ok(SocketAddr::new(*ip, self.port)),
        }
    }

    /// The same candidate at the address that its name stands for; `None` for one that nobody can have.
    pub(crate) fn at(self, ip: IpAddr) -> Option<Self> {
        let address = CandidateAddress::Ip(checked(ip)?);
        Some(Self { address, ..self })
    }
}

fn foundation(field: Option<&str>) -> Result<String, CandidateError> {
    // RFC 8839 §5.1 says 1*32ice-char; some senders write longer ones, or other characters, and
    // browsers take them.
    field
        .filter(|text| text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(str::to_owned)
        .ok_or(CandidateError::Foundation)
}

/// Digits only: `+1` is no number here.
fn number<T: std::str::FromStr>(field: Option<&str>) -> Option<T> {
    field
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}

fn address(field: Option<&str>) -> Result<CandidateAddress, CandidateError> {
    let text = field.ok_or(CandidateError::Address)?;
    if let Ok(ip) = text.parse() {
        return checked(ip)
            .map(CandidateAddress::Ip)
            .ok_or(CandidateError::Address);
    }
    let is_host_name = text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if !is_host_name {
        return Err(CandidateError::Address);
    }
    Ok(if text.to_ascii_lowercase().ends_with(".local") {
        CandidateAddress::Mdns(text.to_owned())
    } else {
        CandidateAddress::Name
    })
}

/// Addresses that somebody can have.
fn checked(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    let nobodys = match ip {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || is_name(v4),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    };
    (!nobodys).then_some(ip)
}

fn kind(fields: &mut SplitAsciiWhitespace<'_>) -> Result<CandidateKind, CandidateError> {
    if fields.next() != Some("typ") {
        return Err(CandidateError::Kind);
    }
    match fields.next() {
        Some("host") => Ok(CandidateKind::Host),
        Some("srflx") => Ok(CandidateKind::ServerReflexive),
        Some("prflx") => Ok(CandidateKind::PeerReflexive),
        Some("relay") => Ok(CandidateKind::Relayed),
        Some(_) | None => Err(CandidateError::Kind),
    }
}

fn needs_scope(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The longest that browsers write is about 200.
const MAX_LENGTH: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<RemoteCandidate, CandidateError> {
        RemoteCandidate::parse(line)
    }

    #[test]
    fn a_candidate_of_chromium_is_read() {
        let candidate = parse(
            "candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx raddr 10.0.0.1 rport \
             46154 generation 0 ufrag EsAw network-cost 999",
        )
        .unwrap();
        assert_eq!(candidate.foundation, "842163049");
        assert_eq!(candidate.priority, 1_677_729_535);
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(
            candidate.usable("EsAw"),
            Ok(SocketAddr::from(([203, 0, 113, 9], 46154)))
        );
        assert_eq!(candidate.usable("other"), Err(Unusable::Session));
    }

    #[test]
    fn a_candidate_of_firefox_is_read() {
        let candidate = parse("candidate:0 1 UDP 2122252543 2001:db8::1 57415 typ host").unwrap();
        assert_eq!(
            candidate.usable("x"),
            Ok("[2001:db8::1]:57415".parse().unwrap())
        );
    }

    #[test]
    fn what_is_well_formed_and_of_no_use_is_told_apart() {
        for (line, reason) in [
            (
                "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
                Unusable::Transport,
            ),
            (
                "candidate:1 2 udp 1 192.0.2.1 9 typ host",
                Unusable::Component,
            ),
            (
                "candidate:1 1 udp 1 0a1b2c3d-aaaa.LOCAL 9 typ host",
                Unusable::Mdns,
            ),
            ("candidate:1 1 udp 1 example.org 9 typ host", Unusable::Name),
            (
                "candidate:1 1 udp 1 192.0.2.1 0 typ host",
                Unusable::Unreachable,
            ),
            (
                "candidate:1 1 udp 1 fe80::1 9 typ host",
                Unusable::Unreachable,
            ),
        ] {
            assert_eq!(parse(line).unwrap().usable("x"), Err(reason), "{line}");
        }
    }

    #[test]
    fn a_wrong_candidate_names_the_part_that_is_wrong() {
        for (line, error) in [
            ("", CandidateError::Prefix),
            ("1 1 udp 1 192.0.2.1 9 typ host", CandidateError::Prefix),
            ("candidate:", CandidateError::Foundation),
            ("candidate:x", CandidateError::Component),
            // What makes webrtc-ice 0.17.2 overflow.
            (
                "candidate:x 257 tcp 0 1.2.3.4 9 x host",
                CandidateError::Component,
            ),
            (
                "candidate:x 257 udp 0 1.2.3.4 9 typ host",
                CandidateError::Component,
            ),
            (
                "candidate:x 65535 udp 0 1.2.3.4 9 typ host",
                CandidateError::Component,
            ),
            (
                "candidate:x 0 udp 0 1.2.3.4 9 typ host",
                CandidateError::Component,
            ),
            (
                "candidate:x -1 udp 0 1.2.3.4 9 typ host",
                CandidateError::Component,
            ),
            ("candidate:x 1", CandidateError::Transport),
            (
                "candidate:x 1 udp 4294967296 1.2.3.4 9 typ host",
                CandidateError::Priority,
            ),
            ("candidate:x 1 udp 0", CandidateError::Address),
            (
                "candidate:x 1 udp 0 1.2.3.4.5:6 9 typ host",
                CandidateError::Address,
            ),
            (
                "candidate:x 1 udp 0 0.0.0.0 9 typ host",
                CandidateError::Address,
            ),
            (
                "candidate:x 1 udp 0 224.0.0.1 9 typ host",
                CandidateError::Address,
            ),
            (
                "candidate:x 1 udp 0 240.0.0.1 9 typ host",
                CandidateError::Address,
            ),
            (
                "candidate:x 1 udp 0 255.255.255.255 9 typ host",
                CandidateError::Address,
            ),
            (
                "candidate:x 1 udp 0 ff02::1 9 typ host",
                CandidateError::Address,
            ),
            ("candidate:x 1 udp 0 :: 9 typ host", CandidateError::Address),
            (
                "candidate:x 1 udp 0 1.2.3.4 65536 typ host",
                CandidateError::Port,
            ),
            ("candidate:x 1 udp 0 1.2.3.4 9", CandidateError::Kind),
            ("candidate:x 1 udp 0 1.2.3.4 9 x host", CandidateError::Kind),
            ("candidate:x 1 udp 0 1.2.3.4 9 typ", CandidateError::Kind),
            (
                "candidate:x 1 udp 0 1.2.3.4 9 typ elsewhere",
                CandidateError::Kind,
            ),
            (
                "candidate:x 1 udp 0 1.2.3.4 9 typ srflx raddr",
                CandidateError::Extension,
            ),
            (
                "candidate:x 1 udp 0 1.2.3.4 9 typ host ufrag",
                CandidateError::Extension,
            ),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
        let long = format!(
            "candidate:x 1 udp 0 1.2.3.4 9 typ host {}",
            "a b ".repeat(1000)
        );
        assert_eq!(parse(&long), Err(CandidateError::TooLong));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_that_it_stands_for() {
        let candidate = parse("candidate:x 1 udp 0 ::ffff:192.0.2.1 9 typ host").unwrap();
        assert_eq!(
            candidate.usable("x"),
            Ok(SocketAddr::from(([192, 0, 2, 1], 9)))
        );
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "(candidate:)?[ -~]{0,80}") {
            let _read = parse(&line);
        }

        #[test]
        fn changed_fields_never_panic(at in 0_usize..8, field in "[ -~]{0,12}") {
            let mut fields = ["candidate:1", "1", "udp", "1", "192.0.2.1", "9", "typ", "host"];
            fields[at] = &field;
            if let Ok(candidate) = parse(&fields.join(" ")) {
                let _usable = candidate.usable("x");
            }
        }
    }
}
