//! The library's Room as a forwarder: the publisher and the viewers are its participants.

use std::num::NonZeroUsize;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::jsep::SdpType;
use ractor_webrtc::perfect_negotiation::SignalingMessage;
use ractor_webrtc::room::{JoinRequest, Participant, ParticipantEvent, Room, RoomLimits, RoomNews};
use ractor_webrtc::{
    Certificate, PeerConnection, SessionDescription, SrtpProfile, UdpEndpointConfiguration,
    UdpEndpointPool,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::{Failure, Forwarder, Role};

/// Handle of the room.
pub(super) struct OurRoom {
    runtime: Runtime,
    room: Room,
    /// Keep the participants there, the publisher first.
    listeners: Vec<ActorRef<ParticipantEvent>>,
}

impl OurRoom {
    /// All participants share so many sockets.
    pub(super) fn start(sockets: NonZeroUsize, runtime: Runtime) -> Result<Self, Failure> {
        let room = runtime.block_on(async {
            let (owner, _) = Actor::spawn(None, Owner, ()).await?;
            let socket = UdpEndpointConfiguration::address(([127, 0, 0, 1], 0).into());
            let pool = UdpEndpointPool::spawn(socket, sockets, owner.get_cell()).await?;
            let certificate = Certificate::generate()?;
            let connection = PeerConnection::builder()
                .endpoint(pool)
                .certificate(certificate)
                // What the clients choose where the choice is theirs.
                .srtp_profiles([SrtpProfile::AeadAes256Gcm])
                .include_loopback(true)
                .ip_filter(|ip| ip.is_ipv4() && ip.is_loopback());
            let limits = RoomLimits {
                participants: MANY,
                ..RoomLimits::default()
            };
            let builder = Room::builder().connection(move || connection.clone());
            let room = builder.limits(limits).spawn_linked(&owner).await?;
            Ok::<_, Failure>(room)
        })?;
        Ok(Self {
            runtime,
            room,
            listeners: Vec::new(),
        })
    }

    /// The peer connections of all, the publisher's first.
    async fn peers(&self) -> Result<Vec<PeerConnection>, Failure> {
        let snapshot = self.room.snapshot().await?;
        let peers: Vec<_> = snapshot.participants.iter().map(|one| one.peer).collect();
        let mut running = PeerConnection::all_running();
        running.retain(|pc| peers.contains(&Some(pc.id())));
        Ok(running)
    }

    async fn let_in(
        room: &Room,
        offer: SessionDescription,
    ) -> Result<(ActorRef<ParticipantEvent>, String), Failure> {
        let (said, mut hears) = mpsc::channel(SIGNALS);
        let (listener, _) = Actor::spawn(None, Listener, said).await?;
        let participant: Participant = room.join(JoinRequest::new("client"), &listener).await?;
        participant.receive(SignalingMessage::Description(offer));
        let mut answer = None;
        loop {
            match hears.recv().await.ok_or("the participant has left")? {
                SignalingMessage::Description(description) => answer = Some(description),
                SignalingMessage::Candidate(Some(candidate)) => {
                    let answer = answer.as_mut().ok_or("a candidate before the answer")?;
                    with_candidate(answer, &candidate.candidate)?;
                }
                SignalingMessage::Candidate(None) => break,
            }
        }
        Ok((listener, answer.ok_or("no answer")?.sdp))
    }
}

impl Forwarder for OurRoom {
    fn join(&mut self, _role: Role, offer: &str) -> Result<String, Failure> {
        let offer = SessionDescription::offer(offer);
        let joined = self.runtime.block_on(Self::let_in(&self.room, offer));
        let (listener, answer) = joined?;
        self.listeners.push(listener);
        Ok(answer)
    }

    fn control(&mut self) -> Result<(), Failure> {
        self.runtime.block_on(async {
            // The publisher and a viewer: what passes both has passed every kind of mailbox.
            for peer in self.peers().await?.iter().take(2) {
                peer.media_stats().await?;
            }
            Ok(())
        })
    }

    fn sent(&mut self) -> Result<u64, Failure> {
        self.runtime.block_on(async {
            let mut sent = 0;
            for peer in self.peers().await? {
                sent += peer.media_stats().await?.sent;
            }
            Ok(sent)
        })
    }
}

/// Puts a trickled candidate into the answer, which has one m-line.
fn with_candidate(answer: &mut SessionDescription, candidate: &str) -> Result<(), Failure> {
    if answer.kind != SdpType::Answer {
        return Err("the room has made an offer".into());
    }
    answer.sdp.push_str("a=");
    answer.sdp.push_str(candidate);
    answer.sdp.push_str("\r\n");
    Ok(())
}

/// Owns the room and its sockets.
struct Owner;

impl Actor for Owner {
    type Msg = RoomNews;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<RoomNews>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<RoomNews>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
            SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) => {
                Err(format!("nothing here should end: {event}").into())
            }
        }
    }
}

/// In the place of a WebSocket.
struct Listener;

impl Actor for Listener {
    type Msg = ParticipantEvent;
    type State = mpsc::Sender<SignalingMessage>;
    type Arguments = mpsc::Sender<SignalingMessage>;

    async fn pre_start(
        &self,
        _: ActorRef<ParticipantEvent>,
        said: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(said)
    }

    async fn handle(
        &self,
        _: ActorRef<ParticipantEvent>,
        event: ParticipantEvent,
        said: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let ParticipantEvent::Send(message) = event {
            // After the answer nobody listens.
            let _unheard = said.try_send(message);
        }
        Ok(())
    }
}

/// More than any scenario has.
const MANY: usize = 4096;

/// An answer and its candidates.
const SIGNALS: usize = 64;
