//! WebRTC for Rust servers as supervised `ractor` actors and typed messages.
// Seams that the rooms are still growing into.
#![allow(dead_code, unused_imports)]

mod call;
pub mod codec;
pub mod configuration;
pub mod dtls;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod ice;
pub mod jsep;
mod lane;
mod outlet;
pub mod peer_connection;
pub mod rtp;
mod rtp_transport;
pub mod srtp;
mod timer;
pub mod track;
pub mod udp;
