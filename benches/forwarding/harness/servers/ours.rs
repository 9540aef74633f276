//! Forwarders made of this crate.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_webrtc::peer_connection::{PeerConnectionBuilder, PeerId, RouteSource};
use ractor_webrtc::{
    Certificate, Event, ForwarderEvent, MediaKind, MediaStreamTrack, PeerConnection, PeerEvent,
    RtcpPacket, SessionDescription, SrtpProfile, TrackId, UdpEndpointConfiguration,
    UdpEndpointPool,
};
use tokio::runtime::Runtime;

use super::{Failure, Forwarder, Role};

/// How packets get from one peer to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Route,
    /// By routes too, which the library's Forwarder sets.
    Forwarder,
    Hand,
}

/// Whose sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// All peers share so many.
    Shared(NonZeroUsize),
    /// Each peer has its own.
    Own,
}

/// Handle of the actor that does it.
pub(super) struct OurForwarder {
    runtime: Runtime,
    room: ActorRef<RoomMessage>,
}

impl OurForwarder {
    pub(super) fn start(by: By, sockets: Sockets, runtime: Runtime) -> Result<Self, Failure> {
        let (room, _) = runtime.block_on(Actor::spawn(None, Room, (by, sockets)))?;
        Ok(Self { runtime, room })
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(RpcReplyPort<T>) -> RoomMessage + Send,
    ) -> Result<T, Failure> {
        match self.runtime.block_on(self.room.call(question, None))? {
            CallResult::Success(answer) => Ok(answer),
            CallResult::Timeout | CallResult::SenderError => Err("the room is gone".into()),
        }
    }
}

impl Forwarder for OurForwarder {
    fn join(&mut self, role: Role, offer: &str) -> Result<String, Failure> {
        let offer = SessionDescription::offer(offer);
        self.ask(|reply| RoomMessage::Join { role, offer, reply })
    }

    fn control(&mut self) -> Result<(), Failure> {
        let peers = self.ask(|reply| RoomMessage::Peers { reply })?;
        // The publisher and a viewer: what passes both has passed every kind of mailbox.
        for peer in peers.iter().take(2) {
            self.runtime.block_on(peer.media_stats())?;
        }
        Ok(())
    }

    fn sent(&mut self) -> Result<u64, Failure> {
        let peers = self.ask(|reply| RoomMessage::Peers { reply })?;
        let mut sent = 0;
        for peer in peers {
            sent += self.runtime.block_on(peer.media_stats())?.sent;
        }
        Ok(sent)
    }
}

/// Owns the publisher and all viewers.
struct Room;

enum RoomMessage {
    Join {
        role: Role,
        offer: SessionDescription,
        /// The answer, when all candidates are in it.
        reply: RpcReplyPort<String>,
    },
    /// Everybody, the publisher first.
    Peers {
        reply: RpcReplyPort<Vec<PeerConnection>>,
    },
    Peer(PeerEvent),
    /// Everything is as it should be, or else no packet arrives.
    Forwarder,
}

impl From<PeerEvent> for RoomMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl From<ForwarderEvent> for RoomMessage {
    fn from(_: ForwarderEvent) -> Self {
        Self::Forwarder
    }
}

struct RoomState {
    by: By,
    forwarder: Option<ractor_webrtc::Forwarder>,
    connections: PeerConnectionBuilder,
    publisher: Option<PeerConnection>,
    /// The track that the publisher sends.
    camera: Option<TrackId>,
    viewers: Vec<(PeerConnection, TrackId)>,
    gathering: HashMap<PeerId, (PeerConnection, RpcReplyPort<String>)>,
}

impl Actor for Room {
    type Msg = RoomMessage;
    type State = RoomState;
    type Arguments = (By, Sockets);

    async fn pre_start(
        &self,
        myself: ActorRef<RoomMessage>,
        (by, sockets): (By, Sockets),
    ) -> Result<RoomState, ActorProcessingErr> {
        let socket = UdpEndpointConfiguration::address(([127, 0, 0, 1], 0).into());
        let connections = PeerConnection::builder()
            .certificate(Certificate::generate()?)
            // What the clients choose where the choice is theirs.
            .srtp_profiles([SrtpProfile::AeadAes256Gcm])
            .include_loopback(true)
            .ip_filter(|ip| ip.is_ipv4() && ip.is_loopback());
        let connections = match sockets {
            Sockets::Own => connections.own_endpoint(socket),
            Sockets::Shared(count) => connections
                .endpoint(UdpEndpointPool::spawn(socket, count, myself.get_cell()).await?),
        };
        let forwarder = match by {
            By::Forwarder => Some(
                ractor_webrtc::Forwarder::builder()
                    .spawn_linked(&myself)
                    .await?,
            ),
            By::Route | By::Hand => None,
        };
        Ok(RoomState {
            by,
            forwarder,
            connections,
            publisher: None,
            camera: None,
            viewers: Vec::new(),
            gathering: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RoomMessage>,
        message: RoomMessage,
        state: &mut RoomState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RoomMessage::Peer(event) => {
                if let Some(forwarder) = &state.forwarder {
                    forwarder.handle_event(&event);
                }
                state.take_event(event.peer, event.event).await?;
            }
            RoomMessage::Forwarder => {}
            RoomMessage::Join { role, offer, reply } => {
                state.join(&myself, role, offer, reply).await?;
            }
            RoomMessage::Peers { reply } => {
                let viewers = state.viewers.iter().map(|(pc, _)| pc);
                let peers = state.publisher.iter().chain(viewers).cloned().collect();
                reply.send(peers)?;
            }
        }
        Ok(())
    }
}

impl RoomState {
    async fn join(
        &mut self,
        myself: &ActorRef<RoomMessage>,
        role: Role,
        offer: SessionDescription,
        reply: RpcReplyPort<String>,
    ) -> Result<(), ActorProcessingErr> {
        let pc = self.connections.clone().spawn_linked(myself).await?;
        let stream = MediaStreamTrack::generate_stream_id();
        let track = MediaStreamTrack::new(MediaKind::Video, [stream]);
        match role {
            Role::Publisher => self.publisher = Some(pc.clone()),
            Role::Viewer => self.viewers.push((pc.clone(), track.id())),
        }
        self.gathering.insert(pc.id(), (pc.clone(), reply));
        if role == Role::Viewer && self.by != By::Forwarder {
            pc.add_track(&track).await?;
        }
        if role == Role::Viewer && self.by == By::Route {
            pc.set_route(track.id(), self.source()?).await?;
        }
        pc.set_remote_description(offer).await?;
        if let Some(forwarder) = &self.forwarder {
            forwarder.add_peer(&pc).await?;
        }
        pc.set_local_description(None).await?;
        Ok(())
    }

    fn source(&self) -> Result<RouteSource, Failure> {
        match (&self.publisher, self.camera) {
            (Some(publisher), Some(camera)) => Ok(RouteSource::new(publisher, camera)),
            _ => Err("nobody publishes".into()),
        }
    }

    /// The events are many; these are the ones a forwarder needs.
    #[allow(clippy::wildcard_enum_match_arm)]
    async fn take_event(&mut self, peer: PeerId, event: Event) -> Result<(), ActorProcessingErr> {
        match event {
            Event::Track(track) => self.camera = Some(track.id()),
            Event::Rtp { packets, .. } if self.by == By::Hand => {
                for (viewer, track) in &self.viewers {
                    viewer.send_rtp(*track, packets.clone())?;
                }
            }
            // Whoever makes the picture has to make a new one. Along a route the wish finds its way itself.
            Event::Rtcp { packets, .. }
                if self.by == By::Hand && packets.iter().any(asks_for_keyframe) =>
            {
                if let (Some(publisher), Some(camera)) = (&self.publisher, self.camera) {
                    publisher.send_pli(camera, None)?;
                }
            }
            Event::IceCandidate(None) => {
                if let Some((pc, reply)) = self.gathering.remove(&peer) {
                    let answer = pc.local_description().await?;
                    reply.send(answer.ok_or("no answer")?.sdp)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn asks_for_keyframe(packet: &RtcpPacket) -> bool {
    matches!(packet, RtcpPacket::PictureLossIndication(_))
}
