//! Negotiation through the actors: what the owner hears, and operations that meet each other.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::future::Future;
use std::task::Poll;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::codec::RtpCodec;
use ractor_webrtc::configuration::CodecConfiguration;
use ractor_webrtc::peer_connection::{DtlsTransportState, SetConfigurationError, SignalingState};
use ractor_webrtc::rtp::PayloadType;
use ractor_webrtc::{
    Certificate, Event, IceServer, MediaConfiguration, MediaKind, MediaStreamTrack,
    NegotiationError, PeerConnection, PeerConnectionState, PeerEvent, SessionDescription,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::connect_ours;

#[tokio::test]
async fn c035_the_owner_hears_which_codecs_each_side_had() {
    let only = |codec| {
        let codec = CodecConfiguration::new(codec, PayloadType::new(100).unwrap());
        let builder = MediaConfiguration::builder().codecs(MediaKind::Video, [codec]);
        loopback().media(builder.build().unwrap())
    };
    let mut one = Ours::spawn(only(RtpCodec::vp8())).await;
    let mut two = Ours::spawn(only(RtpCodec::h264(1))).await;
    let offer = SessionDescription::offer(one.offer().await);
    two.peer.set_remote_description(offer).await.unwrap();
    two.peer.set_local_description(None).await.unwrap();
    let (kind, ours, theirs) = two
        .expect("codecs that do not meet", |event| match event {
            Event::NoCommonCodec {
                kind,
                local,
                remote,
                ..
            } => Some((*kind, local[0].name.clone(), remote[0].name.clone())),
            _ => None,
        })
        .await;
    assert_eq!(kind, MediaKind::Video);
    assert_eq!((ours.as_str(), theirs.as_str()), ("H264", "VP8"));
}

#[tokio::test]
async fn c101_ice_is_restarted_from_either_side_and_media_goes_on() {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut two, None).await;
    let mut numbers = 0..;
    expect_media(&one, &mut two, &mut numbers).await;
    for _ in 0..2 {
        one.peer.restart_ice().await.unwrap();
        expect_negotiation_needed(&mut one).await;
        let fragment = fragment(&one).await;
        restart(&mut one, &mut two).await;
        assert_ne!(fragment, self::fragment(&one).await);
        expect_media(&one, &mut two, &mut numbers).await;
        (one, two) = (two, one);
    }
}

#[tokio::test]
async fn c101_changed_servers_restart_ice_with_the_next_offer() {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut two, None).await;
    let before = fragment(&one).await;
    let mut configuration = one.peer.configuration().await.unwrap();
    let same = one.peer.set_configuration(configuration.clone()).await;
    same.unwrap();
    restart_or_not(&mut one, &mut two).await;
    assert_eq!(fragment(&one).await, before);

    configuration.ice_servers = vec![IceServer::new(["stun:127.0.0.1:1"]).unwrap()];
    let changed = one.peer.set_configuration(configuration.clone()).await;
    changed.unwrap();
    assert_eq!(one.peer.configuration().await.unwrap(), configuration);
    restart_or_not(&mut one, &mut two).await;
    assert_ne!(fragment(&one).await, before);

    configuration.certificate = Certificate::generate().unwrap();
    let refused = one.peer.set_configuration(configuration).await;
    let setting = "certificate";
    assert_eq!(
        refused,
        Err(SetConfigurationError::InvalidModification { setting })
    );
}

#[tokio::test]
async fn c028_after_the_remote_side_closed_a_restart_leads_to_a_third_peer() {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut two, None).await;
    two.peer.close().await;
    one.expect("end of DTLS", |event| match event {
        Event::DtlsTransportStateChange(DtlsTransportState::Closed) => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(one.peer.connection_state(), PeerConnectionState::Connected);

    let mut three = Ours::spawn(loopback()).await;
    one.peer.restart_ice().await.unwrap();
    restart(&mut one, &mut three).await;
    one.expect("DTLS with the third", |event| match event {
        Event::DtlsTransportStateChange(DtlsTransportState::Connected) => Some(()),
        _ => None,
    })
    .await;
    three.expect_connected().await;
    let mut numbers = 0..;
    expect_media(&one, &mut three, &mut numbers).await;
    expect_media(&three, &mut one, &mut numbers).await;
}

#[tokio::test]
async fn operations_that_are_called_at_once_are_carried_out_in_their_order() {
    let one = Ours::spawn(loopback()).await;
    let two = Ours::spawn(loopback()).await;
    let (offered, offer) = tokio::join!(
        one.peer.set_local_description(None),
        one.peer.local_description(),
    );
    offered.unwrap();
    let offer = offer.unwrap().unwrap();
    let (taken, answered, answer) = tokio::join!(
        two.peer.set_remote_description(offer),
        two.peer.set_local_description(None),
        two.peer.local_description(),
    );
    taken.unwrap();
    answered.unwrap();
    let (finished, again) = tokio::join!(
        one.peer.set_remote_description(answer.unwrap().unwrap()),
        one.peer.create_offer(),
    );
    finished.unwrap();
    again.unwrap();
    assert_eq!(one.peer.signaling_state(), SignalingState::Stable);
    assert_eq!(two.peer.signaling_state(), SignalingState::Stable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_once_all_get_their_answers() {
    let side = Ours::spawn(loopback()).await;
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let peer = side.peer.clone();
        calls.spawn(async move {
            match number % 5 {
                0 => {
                    let audio = MediaStreamTrack::new(MediaKind::Audio, []);
                    peer.add_track(&audio).await.map(drop).unwrap();
                }
                1 => peer.set_local_description(None).await.unwrap(),
                2 => peer.restart_ice().await.unwrap(),
                3 => peer.create_offer().await.map(drop).unwrap(),
                _ => {
                    let answered = peer.create_answer().await;
                    let refused = answered.unwrap_err();
                    assert!(matches!(refused, NegotiationError::InvalidState { .. }));
                }
            }
        });
    }
    tokio::time::timeout(common::PATIENCE, calls.join_all())
        .await
        .unwrap();
    // Two of its own, and one for each of the forty tracks.
    assert_eq!(side.peer.transceivers().await.unwrap().len(), 42);
    let offer = side.peer.create_offer().await.unwrap();
    assert_eq!(offer.sdp.matches("\r\nm=").count(), 42);
}

/// Whoever gives up waiting has asked all the same: what was called is carried out, once, and nothing
/// that follows waits for it.
#[tokio::test]
async fn a_call_that_is_given_up_is_carried_out_and_holds_nothing_up() {
    let side = Ours::spawn(loopback()).await;
    for _ in 0..100 {
        let video = MediaStreamTrack::new(MediaKind::Video, []);
        let call = side.peer.add_track(&video);
        let mut call = std::pin::pin!(call);
        let asked = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        assert!(asked.is_pending(), "asked, and not waited for");
    }
    assert_eq!(side.peer.transceivers().await.unwrap().len(), 102);
    side.peer.set_local_description(None).await.unwrap();
    let state = side.peer.signaling_state();
    assert_eq!(state, SignalingState::HaveLocalOffer);
}

#[tokio::test]
async fn nothing_deadlocks_when_everything_is_called_from_the_event_handler() {
    let (sender, mut hears) = mpsc::unbounded_channel();
    let (caller, _) = Actor::spawn(None, Caller, sender).await.unwrap();
    let mut two = Ours::spawn(loopback()).await;
    let offer = hears.recv().await.unwrap();
    let answer = two.answer(&offer.sdp).await;
    let answer = SessionDescription::answer(answer);
    caller.cast(CallerMessage::Answer(answer)).unwrap();
    two.expect_connected().await;
    // From the handler of its own end it may even close itself.
    caller.cast(CallerMessage::Close).unwrap();
    let ended = caller.wait(Some(common::PATIENCE)).await;
    ended.unwrap();
}

/// Does everything within `handle`: negotiates when it is told that it must, asks, and closes.
struct Caller;

struct CallerState {
    pc: PeerConnection,
    says: mpsc::UnboundedSender<SessionDescription>,
}

enum CallerMessage {
    Peer(PeerEvent),
    Answer(SessionDescription),
    Close,
}

impl From<PeerEvent> for CallerMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl Actor for Caller {
    type Msg = CallerMessage;
    type State = CallerState;
    type Arguments = mpsc::UnboundedSender<SessionDescription>;

    async fn pre_start(
        &self,
        myself: ActorRef<CallerMessage>,
        says: Self::Arguments,
    ) -> Result<CallerState, ActorProcessingErr> {
        let pc = loopback().spawn_linked(&myself).await?;
        let audio = MediaStreamTrack::new(MediaKind::Audio, []);
        pc.add_track(&audio).await?;
        Ok(CallerState { pc, says })
    }

    async fn handle(
        &self,
        myself: ActorRef<CallerMessage>,
        message: CallerMessage,
        state: &mut CallerState,
    ) -> Result<(), ActorProcessingErr> {
        let pc = &state.pc;
        match message {
            CallerMessage::Peer(PeerEvent { event, .. }) => match event {
                Event::NegotiationNeeded => pc.set_local_description(None).await?,
                Event::IceCandidate(None) => {
                    let offer = pc.local_description().await?.ok_or("no description")?;
                    state.says.send(offer)?;
                }
                Event::SignalingStateChange(_) | Event::ConnectionStateChange(_) => {
                    let (transceivers, offered, stats) =
                        tokio::join!(pc.transceivers(), pc.create_offer(), pc.media_stats());
                    transceivers?;
                    offered?;
                    stats?;
                }
                _ => {}
            },
            CallerMessage::Answer(answer) => pc.set_remote_description(answer).await?,
            CallerMessage::Close => {
                pc.close().await;
                myself.stop(None);
            }
        }
        Ok(())
    }
}

/// An exchange, candidates in the descriptions.
async fn restart(offerer: &mut Ours, answerer: &mut Ours) {
    let offer = offerer.offer().await;
    let answer = answerer.answer(&offer).await;
    offerer.accept_answer(&answer).await;
}

/// An exchange; whether anything is gathered for it does not matter.
async fn restart_or_not(offerer: &mut Ours, answerer: &mut Ours) {
    offerer.peer.set_local_description(None).await.unwrap();
    let offer = offerer.peer.local_description().await.unwrap().unwrap();
    answerer.peer.set_remote_description(offer).await.unwrap();
    answerer.peer.set_local_description(None).await.unwrap();
    let answer = answerer.peer.local_description().await.unwrap().unwrap();
    offerer.peer.set_remote_description(answer).await.unwrap();
}

async fn expect_negotiation_needed(peer: &mut Ours) {
    peer.expect("negotiation needed", |event| {
        matches!(event, Event::NegotiationNeeded).then_some(())
    })
    .await;
}

/// What is sent arrives. Packets may be lost while paths change: each is another one.
async fn expect_media(from: &Ours, to: &mut Ours, numbers: &mut impl Iterator<Item = u16>) {
    let wait = async {
        loop {
            let number = numbers.next().unwrap();
            let packet = rtp_packet(111, number, 960 * u32::from(number), false, vec![7; 20]);
            from.peer.send_rtp(from.audio.id(), packet).unwrap();
            let patience = std::time::Duration::from_millis(100);
            let arrived = tokio::time::timeout(patience, to.expect_rtp()).await;
            if arrived.is_ok_and(|(_, packet)| packet.sequence_number().0 == number) {
                return;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, wait)
        .await
        .expect("media within the time");
}

async fn fragment(peer: &Ours) -> String {
    let description = peer
        .peer
        .current_local_description()
        .await
        .unwrap()
        .unwrap();
    let mut lines = description.sdp.lines();
    let line = lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.unwrap().to_owned()
}
