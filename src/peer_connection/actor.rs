//! Shell: carries mailbox messages into the negotiation core and its decisions to the parts.

use std::sync::Arc;

use ractor::{ACTIVE_STATES, Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use rand::Rng;
use tokio::sync::{oneshot, watch};
use tracing::{Instrument, Span};

use super::builder::Settings;
use super::configuration::InForce;
use super::event::{CloseReason, PeerEvent, PeerId};
use super::life::Life;
use super::machine::{ConnectionMachine, PeerConnectionStates};
use super::message::PeerConnectionMessage;
use super::monitor::Monitor;
use super::owner::Owner;
use super::parts::Parts;
use super::registry::Listed;
use super::shell::PeerConnectionShell;
use super::snapshot::KnownTracks;
use super::statistics::StatsDesk;
use super::{PeerConnection, SpawnError};
use crate::ice::IceParameters;
use crate::jsep::{Jsep, JsepArguments};
use crate::outlet::Outlet;

/// The actor; all that changes lives in [`PeerConnectionShell`].
#[derive(Debug)]
pub(super) struct PeerConnectionActor;

/// What the builder hands over.
#[derive(Debug)]
pub(super) struct PeerConnectionArguments {
    pub(super) id: PeerId,
    /// All that this peer's actors do happens in it.
    pub(super) span: Span,
    pub(super) settings: Settings,
    pub(super) owner: Outlet<PeerEvent>,
    pub(super) supervisor: ActorCell,
    /// Where the handle goes: it needs parts that only the started actor has.
    pub(super) handle: oneshot::Sender<PeerConnection>,
}

impl Actor for PeerConnectionActor {
    type Msg = PeerConnectionMessage;
    type State = PeerConnectionShell;
    type Arguments = PeerConnectionArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let span = arguments.span.clone();
        start(myself, arguments).instrument(span).await
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if shell.closing.is_none() {
            shell.life.reason = CloseReason::Stopped;
        }
        shell.life.end();
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.life.span.clone();
        span.in_scope(|| shell.receive(message, &myself));
        Ok(())
    }

    /// See the table in the room's door.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.life.span.clone();
        span.in_scope(|| shell.hear_of(event, &myself));
        Ok(())
    }
}

impl PeerConnectionShell {
    fn hear_of(&mut self, event: SupervisionEvent, myself: &ActorRef<PeerConnectionMessage>) {
        match event {
            SupervisionEvent::ActorTerminated(who, ..) | SupervisionEvent::ActorFailed(who, _)
                if self.life.is_owner(&who) =>
            {
                self.begin_close(CloseReason::OwnerGone, myself);
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let message = reason.unwrap_or_else(|| "stopped".to_owned());
                self.part_ended(&child, message, myself);
            }
            SupervisionEvent::ActorFailed(child, error) => {
                self.part_ended(&child, error.to_string(), myself);
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
    }
}

/// Starts the parts.
async fn start(
    myself: ActorRef<PeerConnectionMessage>,
    arguments: PeerConnectionArguments,
) -> Result<PeerConnectionShell, ActorProcessingErr> {
    let PeerConnectionArguments {
        id,
        span,
        settings,
        owner,
        supervisor,
        handle,
    } = arguments;
    // The owner need not be the supervisor. Watched first, so that its end is seen here or told.
    let watched_owner = Monitor::new(myself.get_cell(), owner.listener().clone());
    if !ACTIVE_STATES.contains(&owner.listener().get_status()) {
        return Err(SpawnError::OwnerGone.into());
    }
    let owner = Owner::new(owner);
    let ice = IceParameters::generate();
    let jsep = Jsep::new(JsepArguments {
        configuration: Arc::clone(&settings.media),
        ice: ice.clone(),
        fingerprints: settings.certificate.fingerprints(),
        cname: cname(),
        limits: settings.limits,
    });
    let parts = Parts::spawn(id, &settings, ice, &owner, &myself).await?;
    let (states, watched) = watch::channel(PeerConnectionStates::default());
    let tracks = Arc::new(KnownTracks::default());
    let peer = PeerConnection {
        id,
        actor: myself,
        rtp: parts.rtp.clone(),
        tracks: Arc::clone(&tracks),
        stats: Arc::new(StatsDesk::new(parts.ice.clone(), parts.dtls.clone())),
        states: watched,
    };
    tracing::debug!("started");
    // The builder may have been cancelled; then the supervisor stops us.
    let _cancelled = handle.send(peer.clone());
    Ok(PeerConnectionShell {
        jsep,
        connection: ConnectionMachine::default(),
        configuration: InForce {
            ice: Arc::clone(&settings.ice),
            certificate: settings.certificate.clone(),
        },
        parts,
        tracks,
        dtls_session: None,
        closing: None,
        effects: Vec::new(),
        events: Vec::new(),
        life: Life::new(id, span, owner, supervisor, states),
        _listed: Listed::new(peer),
        watched_owner,
    })
}

/// A canonical name that says nothing of the host (RFC 7022 §4.2).
fn cname() -> Arc<str> {
    format!("{:024x}", rand::rng().random::<u128>() >> 32).into()
}
