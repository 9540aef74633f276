//! What a participant is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::machine::ParticipantTimer;
use crate::forwarder::{Forwarder, LayerWish};
use crate::peer_connection::PeerEvent;
use crate::perfect_negotiation::{PerfectNegotiationEvent, SignalingMessage};
use crate::timer::Generation;
use crate::track::{MediaKind, StreamId, TrackId};

/// Mailbox of a participant.
#[derive(Debug)]
pub(in crate::room) enum ParticipantMessage {
    // From its handle: what the page wants.
    /// Counted, and bounded.
    Page(Waiting<PageRequest>),

    // From its room.
    /// There is another forwarder in the place of one that has failed.
    Adopt(Forwarder),
    /// Close the connection, and end.
    End,

    // Facts, from below, and from its own timers.
    /// The peer connection has news.
    Peer(PeerEvent),
    /// The negotiator has news.
    Negotiation(PerfectNegotiationEvent),
    /// Something has taken too long.
    TimerFired {
        timer: ParticipantTimer,
        generation: Generation,
    },
}

/// What a page may say.
#[derive(Debug)]
pub(in crate::room) enum PageRequest {
    Signal(SignalingMessage),
    SetMuted {
        kind: MediaKind,
        muted: bool,
    },
    SetLabel {
        stream: StreamId,
        label: Option<String>,
    },
    SetLayers {
        publication: TrackId,
        wish: LayerWish,
    },
}

impl From<PeerEvent> for ParticipantMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl From<PerfectNegotiationEvent> for ParticipantMessage {
    fn from(event: PerfectNegotiationEvent) -> Self {
        Self::Negotiation(event)
    }
}

/// How many requests wait in the mailbox, which has no bound of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::room) struct WaitingLimit {
    count: Arc<AtomicU32>,
    limit: u32,
}

/// Something that waits; counted until it is taken out or dropped.
#[derive(Debug)]
pub(in crate::room) struct Waiting<T> {
    what: T,
    _place: Place,
}

#[derive(Debug)]
struct Place(Arc<AtomicU32>);

impl WaitingLimit {
    pub(in crate::room) fn new(limit: u32) -> Self {
        Self {
            count: Arc::default(),
            limit,
        }
    }

    /// `None` when as many wait as may.
    pub(in crate::room) fn admit<T>(&self, what: T) -> Option<Waiting<T>> {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.count));
        (before < self.limit).then_some(Waiting {
            what,
            _place: place,
        })
    }
}

impl<T> Waiting<T> {
    pub(in crate::room) fn take(self) -> T {
        self.what
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_waits_and_what_was_taken_or_dropped_waits_no_more() {
        let limit = WaitingLimit::new(2);
        let first = limit.admit(1).unwrap();
        let second = limit.admit(2).unwrap();
        assert!(limit.admit(3).is_none());
        assert!(limit.admit(4).is_none());
        assert_eq!(first.take(), 1);
        drop(second);
        assert!(limit.admit(5).is_some());
        assert_eq!(limit.count.load(Ordering::Relaxed), 0);
    }
}
