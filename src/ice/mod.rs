//! ICE: candidates, checks, the selected path (RFC 8445, RFC 8838, RFC 8839).
//!
//! `IceTransport` is the handle; the actor behind it gathers local candidates, carries STUN between the UDP
//! endpoints and a webrtc-ice agent, and follows nominations. The agent sees STUN only, and only
//! what is authentic; DTLS and media go from the endpoint straight to the actors that they are for, and leave
//! on the path that `IceEvent::SelectedPathChanged` names. A relay is one more socket: see `turn`.
//!
//! **Sessions.** Whatever has credentials of its own is a `Session`: machine, agent, places at the endpoints, gathering.
//! There is one as a rule. An ICE restart (RFC 8445 §9) is a second one beside it, with the role that the new exchange
//! gives; the first one's pair carries media until the second has selected its own, and then lingers, for what is still under
//! way. `Generations` says which session counts, and sums their states up as W3C has them. (The agent's
//! own restart goes silent in between and cannot change its role.) The sessions are values in one actor, not actors: W3C knows
//! one transport whose state outlives restarts, so somebody would have to stand above them to tell it; and
//! nobody can go on without them, so there is nothing that a supervisor of their own would do.
//!
//! **States** are W3C's, from facts of ours: when a path is selected, what is still to be gathered, and consent (RFC 7675), which is asked
//! for by checks of our own. When consent has expired, the path that was told sends nothing any more.
//!
//! Started and supervised by a peer connection. It ends with its supervisor, by `IceTransport::stop`, or when nobody
//! listens to its events any more. With it, and with each session, go by guards: the agent and its tasks, the
//! places at the endpoints, relays, look-ups and timers; so killing it is as good as stopping it.
//!
//! | child | how it may end | what is lost | what we do | what the owner hears |
//! | --- | --- | --- | --- | --- |
//! | relay | refused, or given up by its server | its candidate, its paths | go on without it | `disconnected`, `failed`, where it was in use |
//! | relay | crash | the same | end with its reason | `Closed`, this part failed |
//!
//! What is not done: TCP candidates, TURN over TCP or TLS. A peer that hides its addresses behind `.local`
//! names is found by its checks where it reaches us; only where that has not happened in half a second its names are looked up.

mod actor;
mod adapter;
mod address_book;
mod agent_conn;
mod candidate;
mod checks;
mod configuration;
mod consent;
mod effect;
#[cfg(test)]
mod fixtures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gathering;
mod generations;
mod ledger;
mod local_candidate;
mod lookups;
mod machine;
mod mdns;
mod message;
mod pacer;
mod path;
mod remote_candidate;
mod remotes;
mod ring;
mod roles;
mod server;
mod session;
mod snapshot;
mod states;
mod stun;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;

use ractor::{ActorCell, ActorRef};
use tracing::Span;

use self::actor::IceActor;
pub(crate) use self::actor::{IceArguments, IceSinks};
pub(crate) use self::candidate::IceParameters;
pub use self::candidate::{IceCandidate, IceRole};
pub(crate) use self::configuration::IceConfiguration;
pub use self::configuration::IceTransportPolicy;
pub(crate) use self::message::{IceEvent, IceMessage};
pub use self::remote_candidate::CandidateError;
pub(crate) use self::remote_candidate::CandidateKind;
pub use self::server::{
    IceServer, IceServerError, IceServerScheme, IceServerTransport, IceServerUrl,
    IceServerUrlProblem,
};
pub(crate) use self::snapshot::{CandidateSnapshot, IceSnapshot, PairSnapshot};
use crate::call::{CallError, StartError, ask};
use crate::start::spawn_linked;

/// Handle to a running ICE transport. Cheap to clone; dead once the transport has stopped.
#[derive(Clone, Debug)]
pub(crate) struct IceTransport {
    actor: ActorRef<IceMessage>,
}

impl IceTransport {
    /// Takes its place at the endpoints and starts under `supervisor`, in the caller's span.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an endpoint has stopped, or has another session of the same username fragment.
    pub(crate) async fn spawn(
        arguments: IceArguments,
        supervisor: ActorCell,
    ) -> Result<Self, StartError> {
        let actor = spawn_linked(IceActor, (arguments, Span::current()), supervisor).await?;
        Ok(Self { actor })
    }

    /// Collects local candidates. Does not wait; asked again, it does nothing.
    pub(crate) fn gather(&self) {
        self.cast(IceMessage::Gather);
    }

    /// Has checks begin, as soon as there is a remote candidate or a check of the peer. Does not wait;
    /// the first call counts.
    ///
    /// A lite peer (RFC 8445 §2.5) answers checks and sends none: the agent, which never is lite, needs to
    /// know no more of it than that its role is `Controlling`.
    pub(crate) fn start(&self, role: IceRole, remote: IceParameters, _remote_lite: bool) {
        self.cast(IceMessage::Start { role, remote });
    }

    /// Begins another session with these credentials beside the running one, and collects its candidates: an ICE
    /// restart (RFC 8445 §9). [`Self::start`] is for it from now on; a session that was begun so and never started
    /// makes way. Does not wait.
    pub(crate) fn restart(&self, local: IceParameters) {
        self.cast(IceMessage::Restart { local });
    }

    /// Forgets a session that was begun by [`Self::restart`] and not started; the one before goes on as if nothing had
    /// been. Does not wait.
    pub(crate) fn abandon_restart(&self) {
        self.cast(IceMessage::AbandonRestart);
    }

    /// What the next gathering is to go by; sessions that have begun theirs keep what they have
    /// (W3C §4.4.1.6). Does not wait.
    pub(crate) fn set_configuration(&self, configuration: Arc<IceConfiguration>) {
        self.cast(IceMessage::SetConfiguration(configuration));
    }

    /// Takes `candidate:…` of the other side; kept until [`Self::start`]. Does not wait; what is
    /// no candidate is told as [`IceEvent::RemoteCandidateRefused`].
    pub(crate) fn add_remote_candidate(&self, candidate: String) {
        self.cast(IceMessage::AddRemoteCandidate(candidate));
    }

    /// The other side has no more candidates. Does not wait.
    pub(crate) fn end_of_remote_candidates(&self) {
        self.cast(IceMessage::EndOfRemoteCandidates);
    }

    /// What the session that counts shows of itself for statistics. Waits for the actor's turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the actor is gone or stuck.
    pub(crate) async fn snapshot(&self) -> Result<IceSnapshot, CallError> {
        ask(&self.actor, |reply| IceMessage::Snapshot { reply }).await
    }

    /// Ends the session: the state becomes `Closed`, then the transport is gone. Does not wait.
    pub(crate) fn stop(&self) {
        self.cast(IceMessage::Stop);
    }

    /// Tells the first session what a helper of it would.
    #[cfg(test)]
    pub(super) fn tell_session(&self, fact: message::SessionFact) {
        self.cast(fact.of(message::SessionNumber(0)));
    }

    /// The actor, to be watched or killed.
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// A transport that has stopped wants nothing any more.
    fn cast(&self, message: IceMessage) {
        let _stopped = self.actor.cast(message);
    }
}
