//! Shell: one exchange with the peer connection for each message.

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::Politeness;
use super::machine::{Decision, NegotiationMachine};
use super::message::{
    NegotiationEvent, PerfectNegotiationError as Error, PerfectNegotiationEvent,
    PerfectNegotiationMessage, SignalingMessage,
};
use crate::call::CallError;
use crate::ice::IceCandidate;
use crate::jsep::{CandidateError, NegotiationError, SdpType, SessionDescription};
use crate::outlet::Outlet;
use crate::peer_connection::PeerConnection;

/// The actor; all that changes lives in [`PerfectNegotiationShell`].
#[derive(Debug)]
pub(super) struct PerfectNegotiationActor;

/// What the handle's `spawn_linked` hands over.
#[derive(Debug)]
pub(super) struct PerfectNegotiationArguments {
    pub(super) peer: PeerConnection,
    pub(super) politeness: Politeness,
    pub(super) owner: Outlet<PerfectNegotiationEvent>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct PerfectNegotiationShell {
    machine: NegotiationMachine,
    peer: PeerConnection,
    owner: Outlet<PerfectNegotiationEvent>,
}

/// The peer connection or the owner is gone: nothing is left to do.
#[derive(Debug)]
struct Over;

impl Actor for PerfectNegotiationActor {
    type Msg = PerfectNegotiationMessage;
    type State = PerfectNegotiationShell;
    type Arguments = PerfectNegotiationArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(PerfectNegotiationShell {
            machine: NegotiationMachine::new(arguments.politeness),
            peer: arguments.peer,
            owner: arguments.owner,
        })
    }

    /// The peer connection never waits for the network, so waiting for its answers is no more.
    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        use PerfectNegotiationMessage as Message;

        let outcome = match message {
            Message::NegotiationNeeded => shell.offer_if_possible().await,
            Message::Received(SignalingMessage::Description(description)) => {
                shell.take_description(description).await
            }
            Message::Received(SignalingMessage::Candidate(candidate)) => {
                shell.take_candidate(candidate).await
            }
            Message::CandidateFound(candidate) => shell.pass_on(candidate),
            Message::Stop => Err(Over),
        };
        if let Err(Over) = outcome {
            myself.stop(None);
        }
        Ok(())
    }
}

impl PerfectNegotiationShell {
    async fn offer_if_possible(&mut self) -> Result<(), Over> {
        let state = self.peer.signaling_state();
        if !self.machine.handle_negotiation_needed(state) {
            return Ok(());
        }
        self.describe().await
    }

    async fn take_description(&mut self, description: SessionDescription) -> Result<(), Over> {
        let kind = description.kind;
        let state = self.peer.signaling_state();
        let decision = self.machine.handle_description(&description, state);
        if decision == Decision::Ignore {
            return Ok(());
        }
        match self.peer.set_remote_description(description).await {
            Ok(()) => self.machine.handle_applied(),
            Err(error) => return self.recover(kind, error).await,
        }
        match decision {
            Decision::ApplyAndAnswer => self.describe().await,
            Decision::Apply | Decision::Ignore => Ok(()),
        }
    }

    async fn take_candidate(&self, candidate: Option<IceCandidate>) -> Result<(), Over> {
        match self.peer.add_ice_candidate(candidate).await {
            Ok(()) => Ok(()),
            Err(CandidateError::Closed | CandidateError::Call(CallError::Stopped)) => Err(Over),
            Err(error) if self.machine.handle_candidate_refused(&error) => {
                self.fail(Error::Candidate(error))
            }
            Err(_) => Ok(()),
        }
    }

    fn pass_on(&self, candidate: Option<IceCandidate>) -> Result<(), Over> {
        let wanted = |one: &IceCandidate| self.machine.handle_candidate_found(one);
        if candidate.as_ref().is_some_and(|one| !wanted(one)) {
            return Ok(());
        }
        self.send(SignalingMessage::Candidate(candidate))
    }

    /// Makes and sends the offer or answer that is due.
    async fn describe(&mut self) -> Result<(), Over> {
        if let Err(error) = self.peer.set_local_description(None).await {
            return self.fail(Error::LocalDescription(check(error)?));
        }
        match self.peer.local_description().await {
            Ok(Some(description)) => {
                self.machine.handle_described(&description);
                self.send(SignalingMessage::Description(description))
            }
            Ok(None) => Ok(()),
            Err(CallError::Stopped) => Err(Over),
            Err(error) => self.fail(Error::LocalDescription(error.into())),
        }
    }

    /// A description was refused: an offer of ours that waited for it is taken back.
    async fn recover(&mut self, kind: SdpType, error: NegotiationError) -> Result<(), Over> {
        let error = check(error)?;
        let state = self.peer.signaling_state();
        if self.machine.handle_refused(kind, state) {
            let rollback = SessionDescription {
                kind: SdpType::Rollback,
                sdp: String::new(),
            };
            if let Err(error) = self.peer.set_local_description(rollback).await {
                self.fail(Error::LocalDescription(check(error)?))?;
            }
        }
        self.fail(Error::RemoteDescription { kind, error })
    }

    fn send(&self, message: SignalingMessage) -> Result<(), Over> {
        self.tell(NegotiationEvent::Send(message))
    }

    fn fail(&self, error: Error) -> Result<(), Over> {
        self.tell(NegotiationEvent::Failed(error))
    }

    fn tell(&self, event: NegotiationEvent) -> Result<(), Over> {
        let peer = self.peer.id();
        let told = self.owner.tell(PerfectNegotiationEvent { peer, event });
        told.map_err(|_gone| Over)
    }
}

/// The error, unless it says that the peer connection is gone.
fn check(error: NegotiationError) -> Result<NegotiationError, Over> {
    if error == NegotiationError::Call(CallError::Stopped) {
        return Err(Over);
    }
    Ok(error)
}
