//! Names that browsers put in place of their addresses, asked of the local network
//! (draft-ietf-mmusic-mdns-ice-candidates, RFC 6762).
//!
//! Answers go to everybody, so a look-up listens on the port of mDNS beside whoever else does. It runs in a task, is given up after
//! [`PATIENCE`], and believes what it is told: whoever is on the local network may answer. What comes of it is one address more to
//! check; the checks authenticate.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// The address of a name, if anybody answers for it.
pub(super) async fn look_up(name: &str) -> Option<IpAddr> {
    let socket = match open() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::debug!(%error, "no look-up of .local names");
            return None;
        }
    };
    let questions = [A, AAAA].map(|kind| question(name, kind));
    let mut buffer = [0; MAX_ANSWER];
    let begun = Instant::now();
    for wait in [Duration::from_millis(250), Duration::from_secs(1), PATIENCE] {
        for question in questions.iter().flatten() {
            ask(&socket, question).await;
        }
        while let Ok(received) = timeout_at(begun + wait, socket.recv_from(&mut buffer)).await {
            let Ok((length, _)) = received else {
                return None;
            };
            let found = answers(&buffer[..length], name);
            if let Some(address) = found {
                return Some(address);
            }
        }
    }
    None
}

/// Beside whoever else listens to mDNS on this machine, on all its networks.
fn open() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    let joined = own_addresses()
        .filter(|own| socket.join_multicast_v4(&GROUP, own).is_ok())
        .count();
    if joined == 0 {
        return Err(io::ErrorKind::NetworkUnreachable.into());
    }
    UdpSocket::from_std(StdSocket::from(socket))
}

/// On every network that there is; one that cannot be asked has no answer.
async fn ask(socket: &UdpSocket, question: &[u8]) {
    for own in own_addresses() {
        if SockRef::from(socket).set_multicast_if_v4(&own).is_ok()
            && let Err(error) = socket.send_to(question, (GROUP, PORT)).await
        {
            tracing::trace!(%error, %own, "no question to this network");
        }
    }
}

fn own_addresses() -> impl Iterator<Item = Ipv4Addr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .into_iter()
        .filter_map(|interface| match interface.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .take(MAX_NETWORKS)
}

/// A question for the addresses of a name (RFC 1035 §4.1); `None` for what is no name of one label under `local`,
/// which is all that browsers make.
fn question(name: &str, kind: u16) -> Option<Vec<u8>> {
    let label = label(name)?;
    let mut bytes = vec![0; 12];
    bytes[5] = 1;
    for label in [label, "local"] {
        bytes.push(u8::try_from(label.len()).ok()?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    Some(bytes)
}

/// Whether a name can be looked up.
pub(super) fn is_name(name: &str) -> bool {
    label(name).is_some()
}

fn label(name: &str) -> Option<&str> {
    let (label, domain) = name.split_once('.')?;
    let valid = domain.eq_ignore_ascii_case("local")
        && (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    valid.then_some(label)
}

/// The first address that a message gives to a name.
pub(super) fn answers(message: &[u8], name: &str) -> Option<IpAddr> {
    let label = label(name)?;
    let head = message.first_chunk::<12>()?;
    let is_response = head[2] & 0x80 != 0;
    let count = |at| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    if !is_response {
        return None;
    }
    let mut at = 12;
    for _ in 0..count(4).min(MAX_RECORDS) {
        at = skip_name(message, at)? + 4;
    }
    // Answers, then what the responder adds.
    for _ in 0..(count(6) + count(8) + count(10)).min(MAX_RECORDS) {
        let ours = names(message, at, label);
        at = skip_name(message, at)?;
        let fixed = message.get(at..)?.first_chunk::<10>()?;
        let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if ours && let Some(address) = address(kind, data) {
            return Some(address);
        }
    }
    None
}

fn address(kind: u16, data: &[u8]) -> Option<IpAddr> {
    match kind {
        A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
        AAAA => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
        _ => None,
    }
}

/// Where the bytes of a name end; it may end in a pointer to elsewhere.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= POINTER => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// Whether the name there is this label under `local`.
fn names(message: &[u8], at: usize, label: &str) -> bool {
    let mut wanted = [label, "local"].into_iter();
    let mut at = at;
    // Pointers may point at pointers, and in circles.
    for _ in 0..MAX_STEPS {
        match message.get(at).copied() {
            Some(0) => return wanted.next().is_none(),
            Some(high) if high >= POINTER => {
                let Some(low) = message.get(at + 1) else {
                    return false;
                };
                at = usize::from(u16::from_be_bytes([high & !POINTER, *low]));
            }
            Some(length) => {
                let end = at + 1 + usize::from(length);
                let found = message.get(at + 1..end);
                let same = found
                    .zip(wanted.next())
                    .is_some_and(|(found, wanted)| found.eq_ignore_ascii_case(wanted.as_bytes()));
                if !same {
                    return false;
                }
                at = end;
            }
            None => return false,
        }
    }
    false
}

/// RFC 6762 §3.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// RFC 1035 §3.2, RFC 3596 §2.1.
const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// The two high bits of a length make it a pointer (RFC 1035 §4.1.4).
const POINTER: u8 = 0xC0;

/// Somebody on the local network answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// RFC 6762 §17.
const MAX_ANSWER: usize = 9000;
const MAX_RECORDS: usize = 64;
const MAX_STEPS: usize = 16;
const MAX_NETWORKS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "0a1b-2c.local";

    /// A response with one record of that name.
    fn response(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = question(NAME, kind).unwrap();
        bytes[2] = 0x84;
        bytes[7] = 1;
        bytes.extend([0xC0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0x80, 1, 0, 0, 0, 120]);
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn a_question_is_written_as_rfc_1035_says() {
        let bytes = question("ab.local", A).unwrap();
        assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[12..], *b"\x02ab\x05local\0\0\x01\0\x01");
        for name in [
            "ab.example.org",
            "a.b.local",
            ".local",
            "local",
            "a b.local",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn the_address_of_the_name_is_found_in_either_family() {
        let v4 = response(A, &[192, 0, 2, 1]);
        assert_eq!(answers(&v4, NAME), "192.0.2.1".parse().ok());
        assert_eq!(answers(&v4, "0A1B-2C.LOCAL"), "192.0.2.1".parse().ok());
        assert_eq!(answers(&v4, "0a1b.local"), None);
        let v6 = "2001:db8::1".parse::<Ipv6Addr>().unwrap();
        assert_eq!(
            answers(&response(AAAA, &v6.octets()), NAME),
            Some(v6.into())
        );
        assert_eq!(answers(&response(16, &[1, 2, 3, 4]), NAME), None);
        assert_eq!(answers(&response(A, &[1, 2, 3]), NAME), None);
        let mut query = v4;
        query[2] = 0;
        assert_eq!(answers(&query, NAME), None);
    }

    #[test]
    fn pointers_in_circles_end() {
        let mut bytes = response(A, &[192, 0, 2, 1]);
        let at = question(NAME, A).unwrap().len();
        bytes[at + 1] = u8::try_from(at).unwrap();
        assert_eq!(answers(&bytes, NAME), None);
    }

    proptest! {
        #[test]
        fn whatever_the_network_says_nothing_panics(
            at in 0_usize..100, byte: u8, cut in 0_usize..60, noise: Vec<u8>
        ) {
            let mut bytes = response(A, &[192, 0, 2, 1]);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _seen = (answers(&bytes, NAME), answers(&noise, NAME));
        }
    }
}
