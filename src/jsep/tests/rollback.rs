//! Offers that are taken back or replaced, and provisional answers.

use super::super::JsepEffect::{NegotiationNeeded, SignalingStateChanged, TrackEnded, TrackMuted};
use super::super::{NegotiationError, SdpType, SessionDescription};
use super::media_lines::{current, lines, pair, roles};
use super::{End, media_lines, negotiate};
use crate::peer_connection::SignalingState;
use crate::rtp::Mid;
use crate::track::MediaKind::{Audio, Video};

fn rollback() -> SessionDescription {
    SessionDescription {
        kind: SdpType::Rollback,
        sdp: String::new(),
    }
}

#[test]
fn c101_a_local_offer_is_taken_back() {
    let mut end = End::new("one");
    end.add_track(Audio);
    end.offer();
    assert_eq!(end.transceiver(0).mid(), Some(&Mid::from("0")));
    end.events();
    end.set_local(rollback()).unwrap();
    assert_eq!(
        end.events(),
        // The offer is due as before.
        [
            SignalingStateChanged(SignalingState::Stable),
            NegotiationNeeded
        ]
    );
    assert_eq!(end.transceiver(0).mid(), None);
    assert_eq!(end.local_description(), None);
    let twice = end.set_local(rollback()).unwrap_err();
    assert!(matches!(twice, NegotiationError::InvalidState { .. }));
}

#[test]
fn c101_a_remote_offer_is_taken_back_with_what_it_brought() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    let offer = a.offer();
    b.set_remote(offer.clone()).unwrap();
    // One of the two is used for a track of ours, and stays.
    let track = b.add_track(Video);
    let receivers = b.receivers();
    let [audio, video] = [receivers[0].track().id(), receivers[1].track().id()];
    b.events();
    let rollback = SessionDescription {
        kind: SdpType::Rollback,
        sdp: String::new(),
    };
    b.set_remote(rollback).unwrap();
    assert_eq!(
        b.events(),
        [
            SignalingStateChanged(SignalingState::Stable),
            TrackMuted(audio),
            TrackMuted(video),
            TrackEnded(audio),
            NegotiationNeeded,
        ]
    );
    let left = b.jsep.transceivers();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].sender().track().unwrap().id(), track.id());
    assert_eq!(left[0].mid(), None);
    // The same offer again finds it.
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    assert_eq!(b.jsep.transceivers().len(), 2);
    a.set_remote(answer).unwrap();
}

#[test]
fn c101_a_remote_offer_that_meets_ours_replaces_it() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    b.add_track(Audio);
    b.add_track(Video);
    let offer = a.offer();
    b.offer();
    b.events();
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    assert_eq!(b.events().last(), Some(&NegotiationNeeded), "the video");
    negotiate(&mut b, &mut a);
    assert_eq!(
        media_lines(&current(&a)),
        lines(&[(9, "audio"), (9, "video")])
    );
    assert_eq!(a.jsep.transceivers().len(), 2);
    assert_eq!(b.jsep.transceivers().len(), 2);
}

#[test]
fn c101_a_provisional_answer_starts_everything_and_the_final_one_ends_it() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let mut answer = b.jsep.create_answer().unwrap();
    answer.kind = SdpType::Pranswer;
    b.set_local(answer.clone()).unwrap();
    assert_eq!(b.jsep.signaling_state(), SignalingState::HaveLocalPranswer);
    assert!(roles(&b.effects()).is_some());
    assert_eq!(b.local_description().unwrap(), answer);
    a.effects();
    a.set_remote(answer.clone()).unwrap();
    assert_eq!(a.jsep.signaling_state(), SignalingState::HaveRemotePranswer);
    assert!(roles(&a.effects()).is_some());
    assert_eq!(a.jsep.current_remote_description(), None);

    answer.kind = SdpType::Answer;
    b.set_local(answer.clone()).unwrap();
    a.set_remote(answer).unwrap();
    for end in [&mut a, &mut b] {
        assert_eq!(end.jsep.signaling_state(), SignalingState::Stable);
        assert!(roles(&end.effects()).is_none());
        assert_eq!(end.jsep.pending_local_description(), None);
    }
}

/// A transceiver that was stopped while an offer named it, and lost its m-line when the offer was taken
/// back, stayed for ever, asking for offers that could not name it.
#[test]
fn c101_one_stopped_during_an_offer_that_is_taken_back_is_gone() {
    let (mut a, mut b) = (End::new("first"), End::new("second"));
    a.add_track(Audio);
    negotiate(&mut a, &mut b);
    // Made before the offer, and made by a remote one.
    a.add_track(Video);
    a.offer();
    a.stop(1);
    b.add_transceiver(Video, super::RtpTransceiverDirection::SendRecv);
    let offer = b.offer();
    a.set_remote(offer).unwrap();
    a.stop(1);
    a.effects();
    a.set_remote(rollback()).unwrap();
    assert_eq!(a.jsep.transceivers().len(), 1);
    assert!(!a.effects().contains(&NegotiationNeeded));
}
