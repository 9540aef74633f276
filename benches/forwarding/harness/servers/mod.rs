//! The server process: one of several forwarders, told what to do over stdin.
//!
//! All of them do the same: packets of the one publisher go to every viewer. Each is written as the
//! examples of its stack are.

mod ours;
mod room;
mod str0m;
mod webrtc;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::str::FromStr;

use cpu_time::ProcessTime;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use self::ours::{By, OurForwarder, Sockets};
use self::room::OurRoom;
use self::str0m::Str0mForwarder;
use self::webrtc::WebrtcForwarder;
use super::Failure;
use super::protocol::{Heap, Request, Role, Usage};
use ::webrtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;

/// Which forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    /// From media path to media path.
    OursRoute,
    /// The same, each peer on a socket of its own, and so with a sending actor of its own.
    OursRouteOwnSockets,
    /// By routes that the library's Forwarder arranges.
    OursForwarder,
    /// By routes that the library's Room arranges, of which publisher and viewers are participants.
    OursRoom,
    /// An owner that gets every packet and gives it to `send_rtp` of each viewer.
    OursHand,
    OursHandOwnSockets,
    Str0m,
    /// With the SRTP profiles that it offers by default.
    Webrtc,
    /// With AES-CM and SHA-1, which its SRTP is quicker with.
    WebrtcCm,
}

impl ServerKind {
    pub(crate) const ALL: [Self; 9] = [
        Self::OursRoute,
        Self::OursRouteOwnSockets,
        Self::OursForwarder,
        Self::OursRoom,
        Self::OursHand,
        Self::OursHandOwnSockets,
        Self::Str0m,
        Self::Webrtc,
        Self::WebrtcCm,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OursRoute => "ours-route",
            Self::OursRouteOwnSockets => "ours-route-own-sockets",
            Self::OursForwarder => "ours-forwarder",
            Self::OursRoom => "ours-room",
            Self::OursHand => "ours-hand",
            Self::OursHandOwnSockets => "ours-hand-own-sockets",
            Self::Str0m => "str0m",
            Self::Webrtc => "webrtc",
            Self::WebrtcCm => "webrtc-cm",
        }
    }

    /// Whether it is made of this crate.
    pub(crate) fn is_ours(self) -> bool {
        match self {
            Self::OursRoute
            | Self::OursRouteOwnSockets
            | Self::OursForwarder
            | Self::OursRoom
            | Self::OursHand
            | Self::OursHandOwnSockets => true,
            Self::Str0m | Self::Webrtc | Self::WebrtcCm => false,
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ServerKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no server {name:?}, only {names}")
        })
    }
}

/// A 1 → N forwarder.
trait Forwarder {
    /// Lets a client in; the answer has all candidates.
    fn join(&mut self, role: Role, offer: &str) -> Result<String, Failure>;

    /// See [`Request::Control`].
    fn control(&mut self) -> Result<(), Failure> {
        Err("this server has nothing of the kind".into())
    }

    /// See [`Request::Sent`].
    fn sent(&mut self) -> Result<u64, Failure> {
        Err("this server does not count".into())
    }
}

/// Serves until stdin closes.
pub(crate) fn serve(
    kind: ServerKind,
    workers: NonZeroUsize,
    heap: impl Fn() -> Option<Heap>,
) -> Result<(), Failure> {
    let mut forwarder: Box<dyn Forwarder> = match kind {
        ServerKind::OursRoute => ours(By::Route, Sockets::Shared(workers), workers)?,
        ServerKind::OursRouteOwnSockets => ours(By::Route, Sockets::Own, workers)?,
        ServerKind::OursForwarder => ours(By::Forwarder, Sockets::Shared(workers), workers)?,
        ServerKind::OursRoom => Box::new(OurRoom::start(workers, runtime(workers)?)?),
        ServerKind::OursHand => ours(By::Hand, Sockets::Shared(workers), workers)?,
        ServerKind::OursHandOwnSockets => ours(By::Hand, Sockets::Own, workers)?,
        ServerKind::Str0m => Box::new(Str0mForwarder::start()?),
        ServerKind::Webrtc => webrtc(&[], workers)?,
        ServerKind::WebrtcCm => webrtc(&[SRTP_AES_CM], workers)?,
    };
    say(&Ok(Value::Null))?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        let answer = answer(forwarder.as_mut(), request, &heap);
        say(&answer.map_err(|error| error.to_string()))?;
    }
    Ok(())
}

fn answer(
    forwarder: &mut dyn Forwarder,
    request: Request,
    heap: impl Fn() -> Option<Heap>,
) -> Result<Value, Failure> {
    Ok(match request {
        Request::Join { role, offer } => forwarder.join(role, &offer)?.into(),
        Request::Control => forwarder.control()?.into(),
        Request::Usage => serde_json::to_value(usage(heap())?)?,
        Request::Sent => forwarder.sent()?.into(),
    })
}

fn ours(by: By, sockets: Sockets, workers: NonZeroUsize) -> Result<Box<dyn Forwarder>, Failure> {
    let forwarder = OurForwarder::start(by, sockets, runtime(workers)?)?;
    Ok(Box::new(forwarder))
}

fn webrtc(
    profiles: &[SrtpProtectionProfile],
    workers: NonZeroUsize,
) -> Result<Box<dyn Forwarder>, Failure> {
    let forwarder = WebrtcForwarder::start(profiles, runtime(workers)?)?;
    Ok(Box::new(forwarder))
}

/// The main thread only waits for stdin; these threads do the work.
fn runtime(workers: NonZeroUsize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers.get())
        .enable_all()
        .build()
}

fn say(answer: &Result<Value, String>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn usage(heap: Option<Heap>) -> Result<Usage, Failure> {
    let cpu = ProcessTime::try_now()?.as_duration();
    Ok(Usage {
        cpu_us: u64::try_from(cpu.as_micros())?,
        rss_bytes: rss_bytes()?,
        heap,
    })
}

fn rss_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("no VmRSS")?.parse::<u64>()? * 1024)
}

const SRTP_AES_CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
