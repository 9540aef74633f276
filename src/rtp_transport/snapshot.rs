//! What the receiving half shows of itself for statistics.

use super::depths::LaneDepths;
use super::machine::RtpTransportMachine;
use super::observed::ObservedStream;
use super::stats::MediaStats;
use crate::rtp::HeardStream;

/// The receiving half at one moment.
#[derive(Clone, Debug)]
pub(crate) struct ReceivingSnapshot {
    pub(crate) counters: MediaStats,
    pub(crate) depths: LaneDepths,
    /// Datagrams of media that the network brought, and their bytes: protected, whatever became of them.
    pub(crate) received: (u64, u64),
    /// What the remote side sends.
    pub(crate) heard: Vec<HeardStream>,
    /// What it says of what we send.
    pub(crate) observed: Vec<ObservedStream>,
    /// How much the remote side allows, in bits per second, where that was negotiated.
    pub(crate) maximum_bitrate: Option<u64>,
}

impl RtpTransportMachine {
    /// Copies the counts of at most as many streams as there may be; takes some microseconds.
    pub(super) fn snapshot(&self, depths: LaneDepths) -> ReceivingSnapshot {
        ReceivingSnapshot {
            counters: self.stats(),
            depths,
            received: self.received,
            heard: self.inbound.demuxer.heard(),
            observed: self.observed.of(self.speakers.ssrcs()),
            maximum_bitrate: self.maximum_bitrate.latest(),
        }
    }
}
