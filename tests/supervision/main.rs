//! What is lost, what comes back, and who hears of it when an actor ends: the rows of the table in the guide on supervision.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "../common/mod.rs"]
mod common;
mod injection;
