//! WHIP and WHEP as clients use and misuse them, over HTTP, with peers behind the requests.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod hostile;
mod requests;
mod sessions;
mod streams;
mod supervision;
