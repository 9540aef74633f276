//! Messages of STUN and mDNS.

use std::net::{IpAddr, SocketAddr};

use super::mdns::answers;
use super::stun::{
    StunBuilder, error_code, is_authentic, priority, tie_breaker, xor_mapped_address,
};
pub(crate) use super::turn::fuzzing::turn;
use crate::fuzzing::Input;
use crate::udp::{HEADER, StunClass, StunMessage, TransactionId};

/// The first byte says of what kind the rest is: a message of a stranger, or what one of ours is to have and how it is changed on
/// the way.
///
/// What is read of a stranger's message is found there; ours are read as they were written, and are authentic to nobody with
/// another password, and to nobody at all once changed.
pub(crate) fn stun(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 2 {
        0 => read(input.rest()),
        _ => write(&mut input),
    }
}

fn read(bytes: &[u8]) {
    let Some(message) = StunMessage::parse_any(bytes) else {
        assert!(StunMessage::parse(bytes).is_none());
        return;
    };
    let _seen = (message.class(), message.method(), message.transaction_id());
    let _told = (error_code(&message), priority(&message));
    let mapped = xor_mapped_address(&message);
    let tie_breakers = [0x8029, 0x802a].map(|kind| tie_breaker(&message, kind));
    assert!(mapped.is_none() || message.attribute(0x0020).is_some());
    assert!(tie_breakers.iter().flatten().count() <= bytes.len() / 12);
    assert!(!is_authentic(&message, PASSWORD), "forged");
}

/// A message of ours, read, and changed.
fn write(input: &mut Input<'_>) {
    let class = match input.byte() % 4 {
        0 => StunClass::Request,
        1 => StunClass::Indication,
        2 => StunClass::SuccessResponse,
        _ => StunClass::ErrorResponse,
    };
    let transaction = TransactionId([input.byte(); 12]);
    let mut builder = StunBuilder::new(class, transaction);
    let mut written = Vec::new();
    for _ in 0..input.byte() % 8 {
        // What ends a message is added in the end.
        let kind = input.number() & 0x7ff7;
        let value = input.block();
        if written.iter().all(|(known, _)| *known != kind) {
            written.push((kind, value));
        }
        builder = builder.attribute(kind, value);
    }
    let address = address(input);
    let has_address = written.iter().any(|(kind, _)| *kind == 0x0020);
    let bytes = builder.xor_mapped_address(address).finish(Some(PASSWORD));
    let message = StunMessage::parse(&bytes).expect("ours are well-formed");
    assert_eq!(message.class(), class);
    assert_eq!(message.transaction_id(), transaction);
    for (kind, value) in written {
        assert_eq!(message.attribute(kind), Some(value));
    }
    assert!(has_address || xor_mapped_address(&message) == Some(address));
    assert!(is_authentic(&message, PASSWORD));
    assert!(!is_authentic(&message, "another password"));
    change(input, bytes);
}

fn change(input: &mut Input<'_>, mut bytes: Vec<u8>) {
    let end = usize::from(input.number()) % bytes.len();
    assert!(StunMessage::parse_any(&bytes[..end]).is_none(), "cut");
    let at = usize::from(input.number()) % bytes.len();
    bytes[at] ^= input.byte().max(1);
    let forged = StunMessage::parse_any(&bytes);
    // The two bits of the type that are no part of the length say what kind of datagram it is.
    assert!(forged.is_none_or(|forged| !is_authentic(&forged, PASSWORD)) || at >= HEADER);
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    let port = input.number();
    let ip: IpAddr = match input.byte() & 1 {
        0 => input.word().to_be_bytes().into(),
        _ => u128::from(input.word()).to_be_bytes().into(),
    };
    SocketAddr::new(ip, port)
}

/// An answer of the local network to a question for a name.
///
/// An address that is found stands in the answer.
pub(crate) fn mdns(data: &[u8]) {
    for name in ["a.local", "3f2504e0-4f89-11d3-9a0c-0305e82c3301.local"] {
        let stands_there = |bytes: &[u8]| data.windows(bytes.len()).any(|it| it == bytes);
        match answers(data, name) {
            Some(IpAddr::V4(ip)) => assert!(stands_there(&ip.octets())),
            Some(IpAddr::V6(ip)) => assert!(stands_there(&ip.octets())),
            None => {}
        }
    }
}

const PASSWORD: &str = "a password that nobody guesses";
