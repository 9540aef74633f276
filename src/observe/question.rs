//! What is asked of whom.

use std::time::Duration;

use ractor::{ActorCell, ActorRef, Message};
use tokio::time::Instant;

use super::snapshot::{ActorDetail, LaneSnapshot, TrafficSnapshot};
use crate::call::{CallError, ask_within};
use crate::forwarder::ForwarderMessage;
use crate::ice::IceMessage;
use crate::peer_connection::{PeerConnection, PeerId};
use crate::room::RoomMessage;
use crate::rtp_transport::RtpTransportMessage;
use crate::supervision::SupervisorMessage;
use crate::udp::UdpMessage;

/// A question to an actor of this crate. Others, and those that keep no figures, are asked nothing.
pub(super) enum Question {
    PeerConnection(PeerConnection),
    IceTransport(ActorRef<IceMessage>),
    RtpTransport(ActorRef<RtpTransportMessage>),
    UdpEndpoint(ActorRef<UdpMessage>),
    Forwarder(ActorRef<ForwarderMessage>),
    Room(ActorRef<RoomMessage>),
    Supervisor(ActorRef<SupervisorMessage>),
}

/// What came of it.
#[derive(Default)]
pub(super) struct Report {
    /// `None` where it was not answered.
    pub(super) after: Option<Duration>,
    pub(super) detail: Option<ActorDetail>,
    pub(super) lanes: Vec<LaneSnapshot>,
    pub(super) traffic: Option<TrafficSnapshot>,
    pub(super) peer: Option<PeerId>,
}

impl Question {
    /// `peer` is the actor's handle if it is a peer connection.
    pub(super) fn for_actor(actor: &ActorCell, peer: Option<PeerConnection>) -> Option<Self> {
        peer.map(Self::PeerConnection)
            .or_else(|| taking(actor).map(Self::RtpTransport))
            .or_else(|| taking(actor).map(Self::IceTransport))
            .or_else(|| taking(actor).map(Self::UdpEndpoint))
            .or_else(|| taking(actor).map(Self::Forwarder))
            .or_else(|| taking(actor).map(Self::Room))
            .or_else(|| taking(actor).map(Self::Supervisor))
    }

    /// Comes back within that time, with what is known without an answer where there is none.
    pub(super) async fn ask(self, within: Duration) -> Report {
        let asked = Instant::now();
        let mut report = Report::default();
        let answered = match self {
            Self::PeerConnection(peer) => report.ask_peer(&peer, within).await,
            Self::IceTransport(actor) => report.ask_ice(&actor, within).await,
            Self::RtpTransport(actor) => report.ask_rtp(&actor, within).await,
            Self::UdpEndpoint(actor) => report.ask_endpoint(&actor, within).await,
            Self::Forwarder(actor) => report.ask_forwarder(&actor, within).await,
            Self::Room(actor) => report.ask_room(&actor, within).await,
            Self::Supervisor(actor) => report.ask_supervisor(&actor, within).await,
        };
        report.after = answered.is_ok().then(|| asked.elapsed());
        report
    }
}

impl Report {
    /// Its states are in every handle; that it answers is what is asked.
    async fn ask_peer(&mut self, peer: &PeerConnection, within: Duration) -> Result<(), CallError> {
        let states = peer.states();
        self.peer = Some(peer.id());
        self.detail = Some(ActorDetail::PeerConnection {
            connection_state: states.connection,
            signaling_state: states.signaling,
            ice_gathering_state: states.ice_gathering,
            ice_connection_state: states.ice_connection,
            dtls_state: states.dtls_transport,
        });
        peer.answers_within(within).await
    }

    async fn ask_ice(
        &mut self,
        actor: &ActorRef<IceMessage>,
        within: Duration,
    ) -> Result<(), CallError> {
        let shown = ask_within(within, actor, |reply| IceMessage::Snapshot { reply }).await?;
        let selected = shown.pairs.iter().find(|pair| pair.selected);
        let local = selected.and_then(|pair| shown.local.get(pair.local));
        let remote = selected.and_then(|pair| shown.remote.get(pair.remote));
        self.detail = Some(ActorDetail::IceTransport {
            local_address: local.map(|it| it.address.to_string()),
            remote_address: remote.map(|it| it.address.to_string()),
            selected_candidate_pair_changes: shown.selections,
        });
        Ok(())
    }

    async fn ask_rtp(
        &mut self,
        actor: &ActorRef<RtpTransportMessage>,
        within: Duration,
    ) -> Result<(), CallError> {
        let (shown, counted) = tokio::try_join!(
            ask_within(within, actor, |reply| RtpTransportMessage::Snapshot {
                reply
            }),
            ask_within(within, actor, |reply| RtpTransportMessage::Stats { reply }),
        )?;
        let lanes = shown.depths.by_name();
        let lane = |(name, depth)| LaneSnapshot::new(name, depth);
        self.lanes = lanes.into_iter().map(lane).collect();
        self.traffic = Some(TrafficSnapshot {
            bytes_received: shown.received.1,
            bytes_sent: counted.bytes_sent,
            ..TrafficSnapshot::default()
        });
        Ok(())
    }

    async fn ask_endpoint(
        &mut self,
        actor: &ActorRef<UdpMessage>,
        within: Duration,
    ) -> Result<(), CallError> {
        let counted = ask_within(within, actor, |reply| UdpMessage::Statistics { reply }).await?;
        self.detail = Some(ActorDetail::UdpEndpoint {
            peers: counted.peers,
            dropped: counted.malformed + counted.unknown_peer + counted.unverified,
            dropped_by_kernel: counted.dropped_by_kernel,
        });
        Ok(())
    }

    async fn ask_forwarder(
        &mut self,
        actor: &ActorRef<ForwarderMessage>,
        within: Duration,
    ) -> Result<(), CallError> {
        let shown = ask_within(within, actor, |reply| ForwarderMessage::Snapshot { reply }).await?;
        self.detail = Some(ActorDetail::Forwarder {
            peers: shown.peers.len(),
            publications: shown.publications.len(),
            subscriptions: shown.subscriptions.len(),
        });
        Ok(())
    }

    async fn ask_room(
        &mut self,
        actor: &ActorRef<RoomMessage>,
        within: Duration,
    ) -> Result<(), CallError> {
        let shown = ask_within(within, actor, |reply| RoomMessage::Snapshot { reply }).await?;
        self.detail = Some(ActorDetail::Room(shown));
        Ok(())
    }

    async fn ask_supervisor(
        &mut self,
        actor: &ActorRef<SupervisorMessage>,
        within: Duration,
    ) -> Result<(), CallError> {
        let ask = ask_within(within, actor, |reply| SupervisorMessage::Snapshot { reply });
        self.detail = Some(ActorDetail::Supervisor(ask.await?));
        Ok(())
    }
}

/// The actor as one that takes these messages, if it is one.
fn taking<M: Message>(actor: &ActorCell) -> Option<ActorRef<M>> {
    let takes_those = actor.is_message_type_of::<M>() == Some(true);
    takes_those.then(|| actor.clone().into())
}
