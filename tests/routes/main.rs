//! Routes: from the clients of publishing peers to the clients of watching ones, past all owners.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod carrying;
#[path = "../common/mod.rs"]
mod common;
mod encodings;
mod ending;
mod overflow;
mod stage;
mod switching;
