//! Shell: carries requests to the peer connection, and keeps the deadlines.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::machine::{Decision, SessionMachine};
use super::message::{
    Connected, OpenRequest, Opened, PatchRequest, Patched, SessionMessage, SessionTimer, Source,
    Waiting,
};
use super::offer::{self, OfferError};
use crate::forwarder::Forwarder;
use crate::ice::IceCandidate;
use crate::jsep::{Description, RtpTransceiverDirection, SessionDescription};
use crate::outlet::Outlet;
use crate::peer_connection::{
    DtlsTransportState, Event, IceGatheringState, PeerConnection, PeerConnectionBuilder,
    PeerConnectionState, PeerEvent, PeerId, RtpDelivery,
};
use crate::signaling::broadcaster::BroadcasterLimits;
use crate::signaling::broadcaster::error::{OpenError, PatchError};
use crate::signaling::broadcaster::name::{Role, SessionId};
use crate::signaling::sdpfrag::{IceCredentials, SdpFragment};
use crate::timer::TimerTable;
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// The actor; all that changes lives in [`SessionShell`].
#[derive(Debug)]
pub(super) struct SessionActor;

/// What the stream hands over.
#[derive(Debug)]
pub(in crate::signaling::broadcaster) struct SessionArguments {
    pub(in crate::signaling::broadcaster) id: SessionId,
    pub(in crate::signaling::broadcaster) request: OpenRequest,
    pub(in crate::signaling::broadcaster) connection: PeerConnectionBuilder,
    pub(in crate::signaling::broadcaster) forwarder: Forwarder,
    pub(in crate::signaling::broadcaster) limits: BroadcasterLimits,
    pub(in crate::signaling::broadcaster) stream: Outlet<Connected>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct SessionShell {
    id: SessionId,
    role: Role,
    forwarder: Forwarder,
    limits: BroadcasterLimits,
    stream: Outlet<Connected>,
    /// Until it begins.
    beginning: Option<Beginning>,
    /// From when the offer is answered.
    live: Option<Live>,
    waiting: Option<Waiting>,
    /// What a viewer is to be sent.
    source: Source,
    timers: TimerTable<SessionTimer>,
}

/// What is needed once.
#[derive(Debug)]
struct Beginning {
    request: OpenRequest,
    connection: PeerConnectionBuilder,
}

/// A session with a connection.
#[derive(Debug)]
struct Live {
    pc: PeerConnection,
    machine: SessionMachine,
    /// A viewer's places.
    slots: Vec<(MediaKind, TrackId)>,
}

/// There is nothing left to do; for the log, why.
#[derive(Debug)]
struct Over(&'static str);

impl Actor for SessionActor {
    type Msg = SessionMessage;
    type State = SessionShell;
    type Arguments = SessionArguments;

    /// The stream waits for this, so that the work comes later.
    async fn pre_start(
        &self,
        myself: ActorRef<SessionMessage>,
        arguments: SessionArguments,
    ) -> Result<SessionShell, ActorProcessingErr> {
        myself.cast(SessionMessage::Begin)?;
        Ok(SessionShell {
            id: arguments.id,
            role: arguments.request.role,
            forwarder: arguments.forwarder,
            limits: arguments.limits,
            stream: arguments.stream,
            beginning: Some(Beginning {
                request: arguments.request,
                connection: arguments.connection,
            }),
            live: None,
            waiting: None,
            source: Source::default(),
            timers: TimerTable::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<SessionMessage>,
        message: SessionMessage,
        shell: &mut SessionShell,
    ) -> Result<(), ActorProcessingErr> {
        let outcome = match message {
            SessionMessage::Begin => shell.begin(&myself).await,
            SessionMessage::Patch(request) => shell.patch(&myself, request).await,
            SessionMessage::Source(source) => {
                shell.follow(source).await;
                Ok(())
            }
            SessionMessage::Forwarder(forwarder) => {
                shell.forwarder = forwarder;
                shell.follow(shell.source).await;
                Ok(())
            }
            SessionMessage::End(why) => Err(Over(why)),
            SessionMessage::Peer(event) => shell.hear(event).await,
            SessionMessage::TimerFired { timer, generation } => {
                if shell.timers.accept(timer, generation) {
                    shell.time_out(timer).await
                } else {
                    Ok(())
                }
            }
        };
        if let Err(Over(why)) = outcome {
            tracing::debug!(peer = ?shell.peer(), role = ?shell.role, why, "session ends");
            myself.stop(Some(why.to_owned()));
        }
        Ok(())
    }

    /// The table stands in the [door](super).
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SessionMessage>,
        event: SupervisionEvent,
        _shell: &mut SessionShell,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) = event {
            myself.stop(Some("the connection has ended".to_owned()));
        }
        Ok(())
    }

    /// The remote side is told, where it can be: a killed child says nothing.
    async fn post_stop(
        &self,
        _myself: ActorRef<SessionMessage>,
        shell: &mut SessionShell,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(live) = &shell.live {
            live.pc.close().await;
        }
        Ok(())
    }
}

impl SessionShell {
    async fn begin(&mut self, myself: &ActorRef<SessionMessage>) -> Result<(), Over> {
        let Some(beginning) = self.beginning.take() else {
            return Ok(());
        };
        let (connection, OpenRequest { offer, reply, .. }) =
            (beginning.connection, beginning.request);
        match self.answer(myself, offer, connection).await {
            Ok(live) => {
                self.live = Some(live);
                self.arm(SessionTimer::Connect, self.limits.connect, myself);
                self.wait_for_candidates(Waiting::Opened(reply), myself)
                    .await
            }
            Err(error) => {
                // The asker may have given up.
                let _gone = reply.send(Err(error));
                Err(Over("the offer was refused"))
            }
        }
    }

    /// From the offer to a connection that has answered it.
    async fn answer(
        &self,
        myself: &ActorRef<SessionMessage>,
        offer: String,
        connection: PeerConnectionBuilder,
    ) -> Result<Live, OpenError> {
        let description = Description::parse(&offer)?;
        let kinds = offer::check(self.role, &description)?;
        let pc = connection.spawn_linked(myself).await?;
        let added = self.forwarder.add_peer(&pc).await;
        added.map_err(|error| refused_by_forwarder(&error))?;
        pc.set_remote_description(SessionDescription::offer(offer))
            .await?;
        // What was applied has credentials, and those of all m-lines are the same.
        let credentials = offer::fragment(&description).credentials();
        let credentials = credentials.map_err(OfferError::from)?;
        let credentials = credentials.ok_or(OfferError::NoMedia)?;
        let slots = match self.role {
            Role::Publisher => Vec::new(),
            Role::Viewer => self.add_slots(&pc, &kinds).await?,
        };
        let answer = pc.create_answer().await?;
        offer::check_answer(&kinds, &Description::parse(&answer.sdp)?)?;
        pc.set_local_description(answer).await?;
        Ok(Live {
            pc,
            machine: SessionMachine::new(credentials),
            slots,
        })
    }

    /// A place for each kind that the viewer takes, all of one stream, so that sound and pictures are played in time with
    /// each other.
    async fn add_slots(
        &self,
        pc: &PeerConnection,
        kinds: &[MediaKind],
    ) -> Result<Vec<(MediaKind, TrackId)>, OpenError> {
        let stream = MediaStreamTrack::generate_stream_id();
        let mut slots = Vec::new();
        for &kind in kinds {
            let track = MediaStreamTrack::new(kind, [stream.clone()]);
            slots.push((kind, track.id()));
            let added = self.forwarder.add_slot(pc.id(), track).await;
            added.map_err(|error| refused_by_forwarder(&error))?;
        }
        // What a viewer would send is not wanted (WHEP: an answer says sendonly).
        for transceiver in pc.transceivers().await? {
            let direction = RtpTransceiverDirection::SendOnly;
            if transceiver.sender().track().is_some() {
                let set = pc.set_direction(transceiver.id(), direction).await;
                set.map_err(|error| refused_by_forwarder(&error))?;
            }
        }
        Ok(slots)
    }

    async fn patch(
        &mut self,
        myself: &ActorRef<SessionMessage>,
        request: PatchRequest,
    ) -> Result<(), Over> {
        let PatchRequest {
            if_match,
            fragment,
            reply,
        } = request;
        let decision = match &self.live {
            None => Err(PatchError::UnknownSession),
            Some(live) => live.machine.handle_patch(&if_match, &fragment),
        };
        let answer = match decision {
            Ok(Decision::Trickle) => self.trickle(&fragment).await.map(|()| Patched::Trickled),
            Ok(Decision::Restart(credentials)) => {
                match self.restart(credentials, &fragment).await {
                    Ok(()) => {
                        let waiting = Waiting::Restarted(reply);
                        return self.wait_for_candidates(waiting, myself).await;
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        // The asker may have given up.
        let _gone = reply.send(answer);
        Ok(())
    }

    async fn trickle(&self, fragment: &SdpFragment) -> Result<(), PatchError> {
        let live = self.live.as_ref().ok_or(PatchError::UnknownSession)?;
        let username_fragment = live.machine.username_fragment();
        for media in &fragment.media {
            for candidate in &media.candidates {
                let candidate = IceCandidate {
                    candidate: candidate.clone(),
                    sdp_mid: Some(media.mid.clone()),
                    sdp_m_line_index: None,
                    username_fragment: Some(username_fragment.to_owned()),
                };
                live.pc.add_ice_candidate(candidate).await?;
            }
        }
        if fragment.is_last() {
            live.pc.add_ice_candidate(None).await?;
        }
        Ok(())
    }

    /// Nothing has changed when it fails: a description is applied whole or not at all.
    async fn restart(
        &mut self,
        credentials: IceCredentials,
        fragment: &SdpFragment,
    ) -> Result<(), PatchError> {
        if self.waiting.is_some() {
            return Err(PatchError::RestartUnderWay);
        }
        let live = self.live.as_mut().ok_or(PatchError::UnknownSession)?;
        let before = live.pc.current_remote_description().await?;
        let before = before.ok_or(PatchError::UnknownSession)?;
        let offer = offer::restarted(&before.sdp, &credentials, fragment)?;
        let offer = SessionDescription::offer(offer);
        live.pc.set_remote_description(offer).await?;
        live.pc.set_local_description(None).await?;
        live.machine.handle_restarted(credentials);
        Ok(())
    }

    /// Answers once the candidates of this side are known, which they are at once where they are those of
    /// this host, or when there was time enough for them.
    async fn wait_for_candidates(
        &mut self,
        waiting: Waiting,
        myself: &ActorRef<SessionMessage>,
    ) -> Result<(), Over> {
        self.waiting = Some(waiting);
        self.arm(SessionTimer::Gathering, self.limits.gathering, myself);
        self.say_if(|fragment| fragment.is_last()).await
    }

    /// Answers whoever waits, if what is known of this side passes.
    async fn say_if(&mut self, passes: impl FnOnce(&SdpFragment) -> bool) -> Result<(), Over> {
        let (Some(live), true) = (&self.live, self.waiting.is_some()) else {
            return Ok(());
        };
        let answer = live.pc.local_description().await;
        let answer = answer.map_err(|_ended| Over("the connection has ended"))?;
        let answer = answer.map(|answer| answer.sdp).unwrap_or_default();
        let description = Description::parse(&answer);
        let description = description.map_err(|_own| Over("the own answer is unreadable"))?;
        let fragment = offer::fragment(&description);
        if !passes(&fragment) {
            return Ok(());
        }
        self.timers.disarm(SessionTimer::Gathering);
        let etag = live.machine.etag();
        match self.waiting.take() {
            Some(Waiting::Opened(reply)) => {
                let session = self.id;
                let opened = reply.send(Ok(Opened {
                    session,
                    answer,
                    etag,
                }));
                opened.map_err(|_gone| Over("nobody waits for the answer any more"))
            }
            Some(Waiting::Restarted(reply)) => {
                // Who did not wait restarts again.
                let _gone = reply.send(Ok(Patched::Restarted { fragment, etag }));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What cannot be switched now has ended, or waits for the next Forwarder.
    async fn follow(&mut self, source: Source) {
        self.source = source;
        for &(kind, slot) in self.live.iter().flat_map(|live| &live.slots) {
            if let Err(error) = self.forwarder.switch(slot, source.of(kind)).await {
                tracing::debug!(peer = ?self.peer(), %kind, %error, "a viewer keeps its source");
            }
        }
    }

    #[allow(clippy::wildcard_enum_match_arm)] // Most events are for the Forwarder, or for nobody here.
    async fn hear(&mut self, event: PeerEvent) -> Result<(), Over> {
        self.forwarder.handle_event(&event);
        match event.event {
            Event::Track(track) => {
                if let Some(live) = &self.live {
                    // Routes take it; while there are none nobody wants it. Who has ended needs no telling.
                    let _ended = live.pc.set_rtp_delivery(track.id(), RtpDelivery::Never);
                }
                Ok(())
            }
            Event::ConnectionStateChange(PeerConnectionState::Connected) => {
                self.timers.disarm(SessionTimer::Connect);
                let told = self.stream.tell(Connected(event.peer));
                told.map_err(|_gone| Over("the stream has ended"))
            }
            Event::ConnectionStateChange(PeerConnectionState::Failed) => {
                Err(Over("the connection has failed"))
            }
            Event::IceGatheringStateChange(IceGatheringState::Complete) => {
                self.say_if(|fragment| fragment.is_last()).await
            }
            Event::DtlsTransportStateChange(DtlsTransportState::Closed) => {
                Err(Over("the client has hung up"))
            }
            Event::Closed { .. } => Err(Over("the connection has ended")),
            _ => Ok(()),
        }
    }

    async fn time_out(&mut self, timer: SessionTimer) -> Result<(), Over> {
        match timer {
            SessionTimer::Connect => Err(Over("no connection was made in time")),
            SessionTimer::Gathering => self.say_if(|_| true).await,
        }
    }

    fn arm(&mut self, timer: SessionTimer, after: Duration, myself: &ActorRef<SessionMessage>) {
        let message = move |generation| SessionMessage::TimerFired { timer, generation };
        self.timers.arm(timer, after, myself, message);
    }

    fn peer(&self) -> Option<PeerId> {
        self.live.as_ref().map(|live| live.pc.id())
    }
}

fn refused_by_forwarder(error: &dyn std::error::Error) -> OpenError {
    let reason = error.to_string();
    OpenError::Forwarder { reason }
}
