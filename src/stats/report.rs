//! All objects of one moment.

use std::collections::HashSet;
use std::slice;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::objects::Stats;
use super::rtp::{InboundRtpStats, OutboundRtpStats};
use super::transport::{CandidatePairStats, TransportStats};
use crate::call::CallError;
use crate::track::TrackId;

/// The statistics of a peer at one moment (`RTCStatsReport`).
///
/// As JSON it is an object with the ids as keys, like `Object.fromEntries(report)` in a page.
///
/// ```
/// # use ractor_webrtc::{PeerConnection, stats::StatsError};
/// # async fn example(pc: PeerConnection) -> Result<(), StatsError> {
/// let report = pc.get_stats(None).await?;
/// for stream in report.inbound_rtp() {
///     println!("{} {}: {} packets, {} lost", stream.kind, stream.ssrc, stream.packets_received, stream.packets_lost);
/// }
/// if let Some(pair) = report.selected_candidate_pair() {
///     println!("to the other side and back: {:?}", pair.current_round_trip_time);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StatsReport {
    timestamp: SystemTime,
    objects: Vec<Stats>,
}

/// Why there are no statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Neither a sender nor a receiver has this track (`InvalidAccessError`).
    #[error("no sender or receiver has {0}")]
    UnknownTrack(TrackId),
    /// The peer has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl StatsReport {
    pub(super) fn new(timestamp: SystemTime, objects: Vec<Stats>) -> Self {
        Self { timestamp, objects }
    }

    /// When this was so.
    pub fn timestamp(&self) -> SystemTime {
        self.timestamp
    }

    /// The object of that id.
    pub fn get(&self, id: &str) -> Option<&Stats> {
        self.objects.iter().find(|object| object.id() == id)
    }

    /// All objects; streams first.
    pub fn iter(&self) -> slice::Iter<'_, Stats> {
        self.objects.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none: of a track of which nothing has been heard or sent.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The streams that arrive.
    pub fn inbound_rtp(&self) -> impl Iterator<Item = &InboundRtpStats> {
        self.iter().filter_map(|object| {
            let Stats::InboundRtp(it) = object else {
                return None;
            };
            Some(it)
        })
    }

    /// The streams that are sent.
    pub fn outbound_rtp(&self) -> impl Iterator<Item = &OutboundRtpStats> {
        self.iter().filter_map(|object| {
            let Stats::OutboundRtp(it) = object else {
                return None;
            };
            Some(it)
        })
    }

    /// The transport, from the first description on.
    pub fn transport(&self) -> Option<&TransportStats> {
        self.iter().find_map(|object| {
            let Stats::Transport(it) = object else {
                return None;
            };
            Some(it)
        })
    }

    /// The pair that media takes.
    pub fn selected_candidate_pair(&self) -> Option<&CandidatePairStats> {
        let id = self.transport()?.selected_candidate_pair_id.as_ref()?;
        let Stats::CandidatePair(it) = self.get(id)? else {
            return None;
        };
        Some(it)
    }

    /// The streams of one track and all that they name, one after the other (W3C "stats selection algorithm").
    pub(crate) fn select(&self, track: TrackId) -> Self {
        let of_track = |object: &&Stats| object.track() == Some(track);
        let mut waiting: Vec<&Stats> = self.iter().filter(of_track).collect();
        let mut selected = HashSet::new();
        while let Some(object) = waiting.pop() {
            if selected.insert(object.id()) {
                let named = object.references();
                waiting.extend(named.into_iter().filter_map(|id| self.get(id)));
            }
        }
        let objects = self.iter().filter(|it| selected.contains(it.id()));
        Self {
            timestamp: self.timestamp,
            objects: objects.cloned().collect(),
        }
    }
}

impl<'a> IntoIterator for &'a StatsReport {
    type Item = &'a Stats;
    type IntoIter = slice::Iter<'a, Stats>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for StatsReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|object| (object.id(), object)))
    }
}
