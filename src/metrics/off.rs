//! What the feature `metrics` would count, not counted.

use crate::dtls::DtlsError;
use crate::peer_connection::{CloseReason, MediaStats, PeerConnectionStates};
use crate::rtp_transport::LaneDepths;

#[derive(Debug)]
pub(crate) struct PeerMeter;

impl PeerMeter {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn states(&mut self, _now: PeerConnectionStates) {}

    pub(crate) fn dtls_failed(&self, _error: &DtlsError) {}

    pub(crate) fn ended(&self, _reason: &CloseReason) {}
}

#[derive(Debug, Default)]
pub(crate) struct MediaMeter(());

impl MediaMeter {
    pub(crate) fn publish(&mut self, _counted: &MediaStats, _depths: &LaneDepths) {}
}
