//! Calls between pages of a real Chromium over a network that loses, delays, reorders, repeats and is narrow: every packet of IP
//! between browser and servers passes an emulator.
//!
//! Wants root, `iproute2`, `socat` and Chromium: the README says how to run it.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "../common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod call;
#[path = "../common/mod.rs"]
mod common;
mod emulator;
mod link;
mod str0m_server;

use std::env;
use std::time::Duration;

use self::browser::Browser;
use self::call::{Call, Outcome, Server, Setting, look_on};
use self::common::adapting::AdaptingSource;
use self::emulator::Conditions;
use self::link::Network;

/// Only one network can be there, and two cores have enough to do with one call.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Prints a row for each network and server. `CASES=…` picks the networks whose names begin with it, `SERVERS=Ours,Str0m` the
/// servers, `LENGTH=60` lets each call last for so many seconds, `VERBOSE=1` prints counters.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants root, and two minutes for each network"]
async fn the_matrix() {
    let _turn = TURN.lock().await;
    let mut network = Network::start();
    let Some(browser) = Browser::launch_by(|program, port| network.chromium(program, port)).await
    else {
        return;
    };
    let wanted = env::var("CASES").unwrap_or_default();
    let servers = env::var("SERVERS").unwrap_or_default();
    let length = env::var("LENGTH").map_or(LENGTH, |it| Duration::from_secs(it.parse().unwrap()));
    println!("{HEAD}");
    for (name, conditions) in cases() {
        if !name.starts_with(&wanted) {
            continue;
        }
        for setting in SETTINGS {
            let server = format!("{:?}", setting.server);
            if !servers.is_empty() && !servers.split(',').any(|it| it == server) {
                continue;
            }
            let call = Call::begin(&browser, &network, setting, conditions).await;
            let outcome = call.endure(&network, conditions, length).await;
            println!("{}", row(name, setting, &outcome));
            if env::var_os("VERBOSE").is_some() {
                println!("{outcome:?}\n{:?}", network.counts());
                call.print_counters().await;
            }
            call.end().await;
        }
    }
}

/// What a browser tells of how packets arrive is enough to find what the path to it takes, and to follow it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants root, and half a minute"]
async fn the_estimate_of_the_path_to_a_browser_follows_it() {
    let _turn = TURN.lock().await;
    let mut network = Network::start();
    let Some(browser) = Browser::launch_by(|program, port| network.chromium(program, port)).await
    else {
        return;
    };
    let (page, mut ours) = look_on(&browser).await;
    let mut source = AdaptingSource::new(&ours, 4_000_000);
    let narrow = |bits_per_second| {
        network.set(Conditions {
            delay: Duration::from_millis(20),
            bits_per_second: Some(bits_per_second),
            ..Conditions::default()
        });
    };
    source.follows_the_path(&mut ours, narrow, || ()).await;
    page.close().await;
}

fn row(name: &str, setting: Setting, outcome: &Outcome) -> String {
    let server = match setting.server {
        Server::Ours => "ours",
        Server::OursWithoutRepair => "ours without repair",
        Server::Str0m => "str0m",
    };
    let buffered = setting.buffered.map(|it| format!(", {it} ms buffered"));
    format!(
        "| {name} | {server}{} | {:.1} % | {:.1} % | {} | {} | {:.0} ms | {:.0} kbit/s |",
        buffered.unwrap_or_default(),
        outcome.decoded() * 100.0,
        outcome.frozen() * 100.0,
        outcome.seen.freezes,
        outcome.seen.keyframe_requests,
        outcome.buffered().as_secs_f64() * 1000.0,
        outcome.bits_per_second() / 1000.0,
    )
}

fn cases() -> Vec<(&'static str, Conditions)> {
    let near = Conditions {
        delay: Duration::from_millis(30),
        ..Conditions::default()
    };
    let losing = |loss| Conditions { loss, ..near };
    vec![
        ("no loss", near),
        ("1 % lost", losing(0.01)),
        ("5 % lost", losing(0.05)),
        ("10 % lost", losing(0.1)),
        ("20 % lost", losing(0.2)),
        (
            "100 ms, 5 % lost, 5 % reordered",
            Conditions {
                loss: 0.05,
                reordered: 0.05,
                delay: Duration::from_millis(50),
                jitter: Duration::from_millis(10),
                ..near
            },
        ),
        (
            "5 % duplicated",
            Conditions {
                duplicated: 0.05,
                ..near
            },
        ),
        (
            "500 kbit/s",
            Conditions {
                bits_per_second: Some(500_000),
                ..near
            },
        ),
    ]
}

const HEAD: &str = "| network | server | decoded | frozen | freezes | keyframe requests | jitter buffer | received |
|---|---|---|---|---|---|---|---|";

const SETTINGS: [Setting; 4] = [
    Setting {
        server: Server::OursWithoutRepair,
        buffered: None,
    },
    Setting {
        server: Server::Str0m,
        buffered: None,
    },
    Setting {
        server: Server::Ours,
        buffered: None,
    },
    Setting {
        server: Server::Ours,
        buffered: Some(150),
    },
];

/// The browser encodes one picture of 720 lines and 20 frames a second and a small one, and decodes one, in software: two cores
/// have just the time for it while nothing else runs.
const LENGTH: Duration = Duration::from_secs(20);
