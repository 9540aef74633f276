//! A room, with real peers on loopback as its pages.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod hall;
mod joining;
mod leaving;
mod limits;
mod muting;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod page;
