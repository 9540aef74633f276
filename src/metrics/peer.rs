//! What a peer's life adds to the figures.

use std::time::Instant;

use metrics::{counter, gauge, histogram};
use tokio::time::Instant as TokioInstant;

use super::names;
use crate::dtls::DtlsError;
use crate::peer_connection::{
    CloseReason, IceConnectionState, PeerConnectionState, PeerConnectionStates,
};

/// One peer's part of the figures about peers. What it counts towards a gauge goes with it, however the peer ends.
#[derive(Debug)]
pub(crate) struct PeerMeter {
    told: PeerConnectionStates,
    connecting: Connecting,
}

/// How long the first way to `connected` takes.
#[derive(Debug)]
enum Connecting {
    NotYet,
    Since(Instant),
    Done,
}

impl PeerMeter {
    pub(crate) fn new() -> Self {
        let told = PeerConnectionStates::default();
        counter!(names::PEERS_STARTED).increment(1);
        gauge!(names::PEERS, names::STATE => told.connection.as_str()).increment(1);
        Self {
            told,
            connecting: Connecting::NotYet,
        }
    }

    /// The states have changed, or not.
    pub(crate) fn states(&mut self, now: PeerConnectionStates) {
        let before = std::mem::replace(&mut self.told, now);
        if now.connection != before.connection {
            gauge!(names::PEERS, names::STATE => before.connection.as_str()).decrement(1);
            gauge!(names::PEERS, names::STATE => now.connection.as_str()).increment(1);
            self.time(now.connection);
        }
        if now.ice_connection != before.ice_connection {
            count_ice(now.ice_connection);
        }
    }

    pub(crate) fn dtls_failed(&self, error: &DtlsError) {
        counter!(names::DTLS_FAILURES, names::REASON => names::of_dtls_error(error)).increment(1);
    }

    pub(crate) fn ended(&self, reason: &CloseReason) {
        counter!(names::PEERS_CLOSED, names::REASON => names::of_close_reason(reason)).increment(1);
    }

    fn time(&mut self, state: PeerConnectionState) {
        match (&self.connecting, state) {
            (Connecting::NotYet, PeerConnectionState::Connecting) => {
                self.connecting = Connecting::Since(now());
            }
            (Connecting::Since(began), PeerConnectionState::Connected) => {
                let took = now().saturating_duration_since(*began);
                histogram!(names::CONNECT_SECONDS).record(took);
                self.connecting = Connecting::Done;
            }
            (Connecting::NotYet | Connecting::Since(_) | Connecting::Done, _) => {}
        }
    }
}

impl Drop for PeerMeter {
    fn drop(&mut self) {
        gauge!(names::PEERS, names::STATE => self.told.connection.as_str()).decrement(1);
    }
}

fn count_ice(state: IceConnectionState) {
    match state {
        IceConnectionState::Failed => counter!(names::ICE_FAILURES).increment(1),
        IceConnectionState::Disconnected => counter!(names::ICE_DISCONNECTIONS).increment(1),
        IceConnectionState::New
        | IceConnectionState::Checking
        | IceConnectionState::Connected
        | IceConnectionState::Completed
        | IceConnectionState::Closed => {}
    }
}

/// Follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}
