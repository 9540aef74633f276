//! A Forwarder between real peers: each has a client on loopback, and either side negotiates when it likes.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod by_hand;
mod codecs;
mod comings_and_goings;
#[path = "../common/mod.rs"]
mod common;
mod failing;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod stage;
