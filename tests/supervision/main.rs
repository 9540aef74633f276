//! What is lost, what comes back, and who hears of it when an actor ends: the rows of the table in the guide on supervision.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod call;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/coturn.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod coturn;
mod eight;
#[path = "../room/hall.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod hall;
mod injection;
mod negotiator;
#[path = "../room/page.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod page;
mod peer;
mod relay;
mod restart;
#[path = "../forwarder/stage.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod stage;
mod table;
