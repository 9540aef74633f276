//! How much a Forwarder takes on.

/// What a Forwarder takes at most; what is more is refused and told
/// ([`ForwarderEvent::Refused`](super::ForwarderEvent::Refused),
/// [`PublicationRefused`](super::ForwarderEvent::PublicationRefused)), and taken when room has become for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwarderLimits {
    /// Peers at a time (default 1024).
    pub peers: usize,
    /// Remote tracks of one peer that others may have (default 16).
    pub publications_per_peer: usize,
    /// Tracks that one peer is sent, slots included (default 200: a peer connection has 256 transceivers at most).
    pub subscriptions_per_peer: usize,
}

impl ForwarderLimits {
    /// So many peers at a time.
    #[must_use]
    pub fn peers(self, peers: usize) -> Self {
        Self { peers, ..self }
    }

    /// So many remote tracks of one peer that others may have.
    #[must_use]
    pub fn publications_per_peer(self, publications: usize) -> Self {
        Self {
            publications_per_peer: publications,
            ..self
        }
    }

    /// So many tracks that one peer is sent, slots included.
    #[must_use]
    pub fn subscriptions_per_peer(self, subscriptions: usize) -> Self {
        Self {
            subscriptions_per_peer: subscriptions,
            ..self
        }
    }
}

impl Default for ForwarderLimits {
    fn default() -> Self {
        Self {
            peers: 1024,
            publications_per_peer: 16,
            subscriptions_per_peer: 200,
        }
    }
}
