//! Perfect negotiation (W3C webrtc-pc §10.7): both sides change their tracks whenever they like, and an actor does the
//! negotiating.
//!
//! Two offers that meet on the way are a *collision* (*glare*). One side is **polite**: it takes its own offer
//! back and answers the other's. The other is **impolite**: it ignores what it is offered, and waits for its answer. What
//! the polite side had wanted to say follows in its next offer. Which side is which does not matter, as long as both
//! know; a server does well to be impolite, so that browsers run W3C's example as it stands with `polite = true`.
//!
//! [`PerfectNegotiation`] is the handle of that actor. Its owner is the owner of the peer connection too, as a rule: it gives
//! it the events of the peer connection and what the remote side says, and carries what comes back
//! ([`NegotiationEvent::Send`]) to the remote side. For the rest it adds and removes tracks, and never makes an
//! offer by hand.
//!
//! Started by [`PerfectNegotiation::spawn_linked`]; its owner is its supervisor. It ends with its owner, when it
//! hears that its peer connection has ended, and by [`PerfectNegotiation::stop`]. It has no children and keeps
//! nothing that a restart would miss but what was said last. It waits for answers of the peer
//! connection and for nothing else.
//!
//! ```no_run
//! use ractor::{Actor, ActorProcessingErr, ActorRef};
//! use ractor_webrtc::perfect_negotiation::{
//!     NegotiationEvent, PerfectNegotiation, PerfectNegotiationEvent, Politeness,
//! };
//! use ractor_webrtc::{PeerConnection, PeerEvent};
//! use tokio::sync::mpsc;
//!
//! struct Visitor;
//!
//! enum VisitorMessage {
//!     Page(String),
//!     Peer(PeerEvent),
//!     Negotiation(PerfectNegotiationEvent),
//! }
//!
//! impl From<PeerEvent> for VisitorMessage {
//!     fn from(event: PeerEvent) -> Self {
//!         Self::Peer(event)
//!     }
//! }
//!
//! impl From<PerfectNegotiationEvent> for VisitorMessage {
//!     fn from(event: PerfectNegotiationEvent) -> Self {
//!         Self::Negotiation(event)
//!     }
//! }
//!
//! struct VisitorState {
//!     pc: PeerConnection,
//!     negotiation: PerfectNegotiation,
//!     page: mpsc::Sender<String>,
//! }
//!
//! impl Actor for Visitor {
//!     type Msg = VisitorMessage;
//!     type State = VisitorState;
//!     type Arguments = mpsc::Sender<String>;
//!
//!     async fn pre_start(
//!         &self,
//!         myself: ActorRef<VisitorMessage>,
//!         page: mpsc::Sender<String>,
//!     ) -> Result<VisitorState, ActorProcessingErr> {
//!         let pc = PeerConnection::builder().spawn_linked(&myself).await?;
//!         let negotiation =
//!             PerfectNegotiation::spawn_linked(&pc, Politeness::Impolite, &myself).await?;
//!         Ok(VisitorState { pc, negotiation, page })
//!     }
//!
//!     async fn handle(
//!         &self,
//!         _: ActorRef<VisitorMessage>,
//!         message: VisitorMessage,
//!         state: &mut VisitorState,
//!     ) -> Result<(), ActorProcessingErr> {
//!         match message {
//!             VisitorMessage::Page(text) => state.negotiation.receive(serde_json::from_str(&text)?),
//!             VisitorMessage::Peer(event) => {
//!                 state.negotiation.handle_event(&event);
//!                 // … and what else the application makes of it.
//!             }
//!             VisitorMessage::Negotiation(PerfectNegotiationEvent { event, .. }) => match event {
//!                 NegotiationEvent::Send(message) => {
//!                     state.page.try_send(serde_json::to_string(&message)?)?;
//!                 }
//!                 NegotiationEvent::Failed(error) => eprintln!("{}: {error}", state.pc.id()),
//!                 _ => {}
//!             },
//!         }
//!         Ok(())
//!     }
//! }
//! ```

mod actor;
mod machine;
mod message;

use ractor::{ActorCell, ActorRef, Message};

use self::actor::{PerfectNegotiationActor, PerfectNegotiationArguments};
use self::message::PerfectNegotiationMessage;
pub use self::message::{
    NegotiationEvent, PerfectNegotiationError, PerfectNegotiationEvent, SignalingMessage,
};
use crate::call::StartError;
use crate::outlet::Outlet;
use crate::peer_connection::{Event, PeerConnection, PeerEvent, PeerId};
use crate::start::spawn_linked;
use crate::stop::{END_DEADLINE, force_after};

/// What a side does with an offer that meets its own. The two sides of a connection must differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Politeness {
    /// Gives way.
    Polite,
    /// Has its way.
    Impolite,
}

/// Handle to a running negotiator. Cheap to clone; without effect once the negotiator has ended.
///
/// See the [module](self) for what it does.
#[derive(Clone, Debug)]
pub struct PerfectNegotiation {
    peer: PeerId,
    actor: ActorRef<PerfectNegotiationMessage>,
}

impl PerfectNegotiation {
    /// Starts negotiating for `peer`, with `owner` as owner and supervisor.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor did not start.
    pub async fn spawn_linked<M>(
        peer: &PeerConnection,
        politeness: Politeness,
        owner: &ActorRef<M>,
    ) -> Result<Self, StartError>
    where
        M: Message + From<PerfectNegotiationEvent>,
    {
        let arguments = PerfectNegotiationArguments {
            peer: peer.clone(),
            politeness,
            owner: Outlet::new(owner),
        };
        let supervisor = owner.get_cell();
        let actor = spawn_linked(PerfectNegotiationActor, arguments, supervisor).await?;
        let peer = peer.id();
        Ok(Self { peer, actor })
    }

    /// Passes on what the peer connection has told. All its events may be given: those that are not for
    /// negotiation, and those of other peers, are passed over. Does not wait.
    pub fn handle_event(&self, event: &PeerEvent) {
        if event.peer != self.peer {
            return;
        }
        if let Event::NegotiationNeeded = event.event {
            self.cast(PerfectNegotiationMessage::NegotiationNeeded);
        } else if let Event::IceCandidate(candidate) = &event.event {
            self.cast(PerfectNegotiationMessage::CandidateFound(candidate.clone()));
        } else if let Event::Closed { .. } = event.event {
            self.stop();
        }
    }

    /// Takes what the remote side has said, in the order in which it was said. Does not wait.
    pub fn receive(&self, message: SignalingMessage) {
        self.cast(PerfectNegotiationMessage::Received(message));
    }

    /// Ends the negotiator; the peer connection stays. Does not wait. One that is stuck is killed after a second.
    pub fn stop(&self) {
        self.cast(PerfectNegotiationMessage::Stop);
        force_after(self.actor.get_cell(), END_DEADLINE);
    }

    /// Whether this is the negotiator's actor.
    pub(crate) fn is(&self, actor: &ActorCell) -> bool {
        self.actor.get_id() == actor.get_id()
    }

    /// One that has ended wants nothing any more.
    fn cast(&self, message: PerfectNegotiationMessage) {
        let _ended = self.actor.cast(message);
    }
}
