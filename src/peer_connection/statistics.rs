//! `getStats()`: the parts are asked at most so often, and all who ask meanwhile share the answer.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::task::coop::consume_budget;
use tokio::time::Instant as TokioInstant;

use super::message::PeerConnectionMessage as Message;
use super::{PeerConnection, PeerConnectionState};
use crate::call::{CallError, ask};
use crate::dtls::DtlsTransport;
use crate::ice::IceTransport;
use crate::stats::{MIN_INTERVAL, Sources, StatsError, StatsReport};
use crate::track::TrackId;

/// Keeps the latest report, and lets one at a time make the next.
#[derive(Debug)]
pub(super) struct StatsDesk {
    ice: IceTransport,
    dtls: DtlsTransport,
    latest: ArcSwapOption<Made>,
    turn: Mutex<()>,
}

/// A report, or why there is none; when it was made. A failure is shared like a report, so that nobody waits for more than one.
#[derive(Debug)]
struct Made {
    at: Instant,
    outcome: Result<Arc<StatsReport>, CallError>,
}

impl StatsDesk {
    pub(super) fn new(ice: IceTransport, dtls: DtlsTransport) -> Self {
        Self {
            ice,
            dtls,
            latest: ArcSwapOption::empty(),
            turn: Mutex::new(()),
        }
    }

    fn fresh(&self) -> Option<Result<Arc<StatsReport>, CallError>> {
        let latest = self.latest.load();
        let made = latest.as_ref()?;
        let age = now().saturating_duration_since(made.at);
        (age < MIN_INTERVAL).then(|| made.outcome.clone())
    }
}

impl PeerConnection {
    /// Statistics of the peer, or of one track of it: the streams of that track and all that they name (W3C
    /// `getStats()`).
    ///
    /// Ask as often as you like: this never delays media and never ends a peer. The parts of the peer are asked for copies of their
    /// counts every [`MIN_INTERVAL`] at most; in between everybody gets the report that is there. Waits for the turn of those
    /// actors, two seconds at most.
    ///
    /// # Errors
    ///
    /// [`StatsError::UnknownTrack`] when neither a sender nor a receiver has the track; [`StatsError::Call`] when the peer has
    /// ended or is stuck.
    pub async fn get_stats(
        &self,
        selector: impl Into<Option<TrackId>>,
    ) -> Result<Arc<StatsReport>, StatsError> {
        let report = self.stats_report().await?;
        let Some(track) = selector.into() else {
            return Ok(report);
        };
        if self.tracks.sent(track).is_none() && self.tracks.received(track).is_none() {
            return Err(StatsError::UnknownTrack(track));
        }
        Ok(Arc::new(report.select(track)))
    }

    async fn stats_report(&self) -> Result<Arc<StatsReport>, CallError> {
        if self.connection_state() == PeerConnectionState::Closed {
            return Err(CallError::Stopped);
        }
        // Who asks in a loop lets others have their turn, the media path among them.
        consume_budget().await;
        if let Some(outcome) = self.stats.fresh() {
            return outcome;
        }
        let _turn = self.stats.turn.lock().await;
        // Whoever had the turn before may have made one.
        if let Some(outcome) = self.stats.fresh() {
            return outcome;
        }
        let sources = self.collect().await;
        let outcome = sources.map(|sources| Arc::new(sources.report()));
        self.stats.latest.store(Some(Arc::new(Made {
            at: now(),
            outcome: outcome.clone(),
        })));
        outcome
    }

    async fn collect(&self) -> Result<Sources, CallError> {
        let control = ask(&self.actor, |reply| Message::Stats { reply });
        let (control, ice, (receiving, sending)) =
            tokio::try_join!(control, self.stats.ice.snapshot(), self.rtp.snapshot())?;
        Ok(Sources {
            at: now(),
            wall: SystemTime::now(),
            states: self.states(),
            control,
            ice,
            dtls: self.stats.dtls.traffic(),
            receiving,
            sending,
        })
    }
}

/// Follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}
