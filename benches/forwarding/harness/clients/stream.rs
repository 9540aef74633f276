//! The stream that is forwarded: what its packets contain, when they go out, and when they went.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How packets lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Frames of [`FRAME`] packets, each frame at once.
    Framed,
    /// The same number of packets in equal distances.
    Paced,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Framed => "framed",
            Self::Paced => "paced",
        })
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "framed" => Ok(Self::Framed),
            "paced" => Ok(Self::Paced),
            _ => Err(format!("packets are framed or paced, not {name:?}")),
        }
    }
}

/// A shape at a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) shape: Shape,
    pub(crate) packets_per_second: u32,
}

impl Pace {
    /// So much faster.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            packets_per_second: (f64::from(self.packets_per_second) * factor) as u32,
            ..self
        }
    }

    /// How many packets go out together.
    pub(crate) fn burst(self) -> u64 {
        match self.shape {
            Shape::Framed => FRAME,
            Shape::Paced => 1,
        }
    }

    /// How long after the first packet of a stream the packet `index` is due.
    pub(crate) fn due(self, index: u64) -> Duration {
        let together = index - index % self.burst();
        Duration::from_nanos(together * 1_000_000_000 / u64::from(self.packets_per_second))
    }

    /// How many packets go out in `time`, whole frames.
    pub(crate) fn packets_in(self, time: Duration) -> u64 {
        let packets = time.as_millis() as u64 * u64::from(self.packets_per_second) / 1_000;
        packets.next_multiple_of(self.burst())
    }
}

/// The payload of the packet at `position`: what begins a VP8 keyframe, so that no forwarder waits for another, its number, and
/// bytes that follow from it.
pub(crate) fn payload(position: u64) -> Vec<u8> {
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
    payload.extend(KEYFRAME);
    payload.extend(position.to_be_bytes());
    payload.extend((payload.len()..PAYLOAD_BYTES).map(|index| filler(position, index)));
    payload
}

/// Which packet of the stream this payload is, if it is one and every byte is right.
pub(crate) fn position_of(payload: &[u8]) -> Option<u64> {
    let position = u64::from_be_bytes(*payload.strip_prefix(&KEYFRAME)?.first_chunk()?);
    let right = payload.len() == PAYLOAD_BYTES
        && (10..)
            .zip(&payload[10..])
            .all(|(index, byte)| *byte == filler(position, index));
    right.then_some(position)
}

fn filler(position: u64, index: usize) -> u8 {
    (position as u8).wrapping_mul(31).wrapping_add(index as u8)
}

/// When each of the last packets was sent, for all viewers to look up.
#[derive(Clone, Debug)]
pub(crate) struct SentTimes {
    nanoseconds: Arc<[AtomicU64]>,
}

impl SentTimes {
    pub(crate) fn new() -> Self {
        Self {
            nanoseconds: (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn note(&self, position: u64) {
        self.slot(position).store(wall_clock(), Ordering::Relaxed);
    }

    /// How long before `now` (of [`wall_clock`]) the packet left.
    pub(super) fn age(&self, position: u64, now: u64) -> Duration {
        let sent = self.slot(position).load(Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(sent))
    }

    fn slot(&self, position: u64) -> &AtomicU64 {
        &self.nanoseconds[position as usize % REMEMBERED]
    }
}

/// Nanoseconds by the clock that the kernel stamps arrivals with.
pub(super) fn wall_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}

/// Packets of a frame.
pub(crate) const FRAME: u64 = 16;

/// Descriptor and first byte of a frame (RFC 7741 §4.2, §4.3).
const KEYFRAME: [u8; 2] = [0x10, 0];

/// Bytes of an RTP payload.
const PAYLOAD_BYTES: usize = 1100;

/// Twice what is sent while the slowest packet is under way.
const REMEMBERED: usize = 1 << 18;
