//! The command line.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use super::Failure;
use super::clients::{Pace, Shape};
use super::servers::ServerKind;

/// What is to be done, and how.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) servers: Vec<ServerKind>,
    pub(crate) fanouts: Vec<usize>,
    /// Viewers where the rate is what varies.
    pub(crate) load_fanout: usize,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) packets_per_second: u32,
    pub(crate) runs: usize,
    pub(crate) window: Duration,
    /// Whether viewers take several packets from the kernel as one.
    pub(crate) gro: bool,
    /// Whether viewers negotiate what browsers do: retransmission, and transport-wide numbers.
    pub(crate) repairs: bool,
    /// Whether the clients' core never sleeps, so that no sender has to wake it.
    pub(crate) awake: bool,
    pub(crate) workers: NonZeroUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Be the driver.
    Measure,
    /// Be the server.
    Serve(ServerKind),
    /// `cargo test --all-targets` calls benchmarks too, without `--bench`.
    Nothing,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Every server with every number of viewers and every shape.
    FanOut,
    /// Latency where a server has time to spare.
    HalfLoad,
    /// How much a server carries without loss.
    Limit,
    /// What happens beyond that.
    Saturation,
    /// How much more two cores carry than one.
    TwoCores,
}

impl Scenario {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::FanOut => "From 1 to N",
            Self::HalfLoad => "Half load",
            Self::Limit => "The highest rate without loss, and the next",
            Self::Saturation => "Above saturation",
            Self::TwoCores => "Two cores",
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fanout" => Ok(Self::FanOut),
            "half" => Ok(Self::HalfLoad),
            "limit" => Ok(Self::Limit),
            "saturation" => Ok(Self::Saturation),
            "cores" => Ok(Self::TwoCores),
            _ => Err(format!("there is no scenario {name:?}")),
        }
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            command: Command::Nothing,
            scenarios: vec![
                Scenario::FanOut,
                Scenario::HalfLoad,
                Scenario::Limit,
                Scenario::Saturation,
                Scenario::TwoCores,
            ],
            servers: vec![
                ServerKind::OursRoute,
                ServerKind::OursForwarder,
                ServerKind::OursRoom,
                ServerKind::OursHand,
                ServerKind::Str0m,
                ServerKind::Webrtc,
            ],
            fanouts: vec![10, 50, 200],
            load_fanout: 50,
            shapes: vec![Shape::Framed, Shape::Paced],
            packets_per_second: 480,
            runs: 3,
            window: Duration::from_secs(2),
            gro: true,
            repairs: false,
            awake: false,
            workers: NonZeroUsize::MIN,
        }
    }
}

impl Arguments {
    /// This shape at the rate that was asked for.
    pub(crate) fn pace(&self, shape: Shape) -> Pace {
        Pace {
            shape,
            packets_per_second: self.packets_per_second,
        }
    }

    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            if word == "--bench" {
                arguments.command = Command::Measure;
                continue;
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{word} wants a value"))?;
            match word.as_str() {
                "--serve" => arguments.command = Command::Serve(value.parse()?),
                "--scenarios" => arguments.scenarios = list(&value)?,
                "--servers" => arguments.servers = list(&value)?,
                "--fanout" => arguments.fanouts = list(&value)?,
                "--load-fanout" => arguments.load_fanout = one(&value)?,
                "--shape" => arguments.shapes = list(&value)?,
                "--rate" => arguments.packets_per_second = one(&value)?,
                "--runs" => arguments.runs = one(&value)?,
                "--seconds" => arguments.window = Duration::from_secs(one(&value)?),
                "--gro" => arguments.gro = switch(&value)?,
                "--repairs" => arguments.repairs = switch(&value)?,
                "--awake" => arguments.awake = switch(&value)?,
                "--workers" => arguments.workers = one(&value)?,
                _ => return Err(format!("there is no argument {word}").into()),
            }
        }
        Ok(arguments)
    }
}

fn switch(value: &str) -> Result<bool, Failure> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("on or off, not {value:?}").into()),
    }
}

fn list<T: FromStr<Err: Display>>(value: &str) -> Result<Vec<T>, Failure> {
    value.split(',').map(one).collect()
}

fn one<T: FromStr<Err: Display>>(value: &str) -> Result<T, Failure> {
    value
        .parse()
        .map_err(|error| format!("{value}: {error}").into())
}
