//! A TURN server of the tests': just enough of one.

use std::net::SocketAddr;

use super::machine::{LIFETIME, XOR_RELAYED_ADDRESS};
use crate::ice::stun::{StunBuilder, is_authentic_by};
use crate::udp::{StunClass, StunMessage, TransactionId};

pub(super) const REALM_VALUE: &[u8] = b"test";
pub(super) const NONCE_VALUE: &[u8] = b"nonce";

/// MD5 of `ada:test:lovelace`.
pub(super) const KEY: [u8; 16] = [
    0x60, 0x03, 0x2b, 0xb3, 0x4f, 0x84, 0xb1, 0x95, 0x73, 0x9e, 0x84, 0xb5, 0x3b, 0xa2, 0xf3, 0xd0,
];

pub(super) fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

pub(super) fn server_answer(
    method: u16,
    class: StunClass,
    transaction: TransactionId,
) -> StunBuilder {
    StunBuilder::of(method, class, transaction)
}

/// Grants what it is asked with the right password and its nonce, and counts it.
#[derive(Debug)]
pub(super) struct TestServer {
    pub(super) nonce: Vec<u8>,
    pub(super) relayed: SocketAddr,
    pub(super) lifetime: u32,
    pub(super) refreshed: usize,
    pub(super) bound: usize,
    pub(super) released: usize,
}

impl Default for TestServer {
    fn default() -> Self {
        Self {
            nonce: NONCE_VALUE.to_vec(),
            relayed: peer(5000),
            lifetime: 600,
            refreshed: 0,
            bound: 0,
            released: 0,
        }
    }
}

impl TestServer {
    /// The answer to a request; nothing to ChannelData.
    pub(super) fn answer(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let message = StunMessage::parse_any(request)?;
        let (method, transaction) = (message.method(), message.transaction_id());
        let refuse = |code| {
            server_answer(method, StunClass::ErrorResponse, transaction)
                .error(code, "")
                .attribute(0x0014, REALM_VALUE)
                .attribute(0x0015, &self.nonce)
                .finish_by(None)
        };
        let Some(nonce) = message.attribute(0x0015) else {
            return Some(refuse(401));
        };
        if nonce != self.nonce {
            return Some(refuse(438));
        }
        if !is_authentic_by(&message, &KEY) {
            return Some(refuse(401));
        }
        let mut answer = server_answer(method, StunClass::SuccessResponse, transaction)
            .attribute(LIFETIME, &self.lifetime.to_be_bytes());
        match method {
            3 => {
                answer = answer
                    .xor_address(XOR_RELAYED_ADDRESS, self.relayed)
                    .xor_mapped_address(peer(6000));
            }
            4 if message.attribute(LIFETIME) == Some(&[0; 4]) => self.released += 1,
            4 => self.refreshed += 1,
            9 => self.bound += 1,
            other => panic!("method {other}"),
        }
        Some(answer.finish_by(Some(&KEY)))
    }
}
