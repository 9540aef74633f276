//! What a peer holds while it has a place at an endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ractor::ActorRef;

use super::machine::PeerKey;
use super::message::{OutgoingStun, UdpMessage};
use super::socket::EndpointSocket;

/// A peer's place at an endpoint. Dropping it unregisters the username fragment and every
/// address learned through it.
#[derive(Debug)]
pub(crate) struct Registration {
    actor: ActorRef<UdpMessage>,
    socket: EndpointSocket,
    peer: PeerKey,
    in_flight: Arc<AtomicUsize>,
}

impl Registration {
    pub(super) fn new(actor: ActorRef<UdpMessage>, socket: EndpointSocket, peer: PeerKey) -> Self {
        Self {
            actor,
            socket,
            peer,
            in_flight: Arc::default(),
        }
    }

    /// The endpoint's socket.
    pub(crate) fn socket(&self) -> &EndpointSocket {
        &self.socket
    }

    /// Sends a STUN message, after noting what it means for the routes. Does not wait; dropped where too
    /// many are on their way already.
    pub(crate) fn send_stun(&self, stun: OutgoingStun) {
        let Some(credit) = Credit::take(&self.in_flight) else {
            return;
        };
        let peer = self.peer;
        // An endpoint that has stopped sends nothing; ICE notices by the silence.
        let _stopped = self.actor.cast(UdpMessage::SendStun { peer, stun, credit });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // An endpoint that has stopped has no routes left.
        let _stopped = self.actor.cast(UdpMessage::Unregister { peer: self.peer });
    }
}

/// One message of a bounded number in flight; given back when dropped.
#[derive(Debug)]
pub(crate) struct Credit(Arc<AtomicUsize>);

impl Credit {
    /// `None` when all are in flight.
    fn take(in_flight: &Arc<AtomicUsize>) -> Option<Self> {
        in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < STUN_IN_FLIGHT).then_some(count + 1)
            })
            .ok()?;
        Some(Self(Arc::clone(in_flight)))
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// STUN messages of one peer on their way to the endpoint actor. Beyond that, the newest are dropped:
/// ICE repeats itself.
const STUN_IN_FLIGHT: usize = 64;
