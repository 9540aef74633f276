//! Transceivers, directions and events.

use super::super::JsepEffect::{
    NegotiationNeeded, NoCommonCodec, SignalingStateChanged, Track, TrackEnded, TrackMuted,
};
use super::super::RtpTransceiverDirection::{Inactive, RecvOnly, SendOnly, SendRecv, Stopped};
use super::super::{JsepEffect, NegotiationError, RtpTransceiverInit, TransceiverError};
use super::{End, announced, media_lines, negotiate};
use crate::codec::RtpCodec;
use crate::configuration::{CodecConfiguration, MediaConfiguration};
use crate::peer_connection::SignalingState;
use crate::rtp::{Mid, PayloadType};
use crate::track::MediaKind::{Audio, Video};
use crate::track::{MediaStreamTrack, StreamId};

fn pair() -> (End, End) {
    (End::new("first"), End::new("second"))
}

/// A configuration with one video codec and no other.
fn only(codec: RtpCodec) -> MediaConfiguration {
    let codec = CodecConfiguration::new(codec, PayloadType::new(100).unwrap());
    MediaConfiguration::builder()
        .codecs(Video, [codec])
        .build()
        .unwrap()
}

#[test]
fn c001_a_transceiver_added_in_the_middle_fires_negotiation_needed_once_stable() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    assert_eq!(a.events(), [NegotiationNeeded]);
    let offer = a.offer();
    a.add_transceiver(Video, SendRecv);
    b.set_remote(offer).unwrap();
    b.add_transceiver(Video, SendRecv);
    assert!(!a.events().contains(&NegotiationNeeded));
    assert!(!b.events().contains(&NegotiationNeeded));
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    assert_eq!(a.events().last(), Some(&NegotiationNeeded));
    assert_eq!(b.events().last(), Some(&NegotiationNeeded));
}

#[test]
fn c002_a_finished_negotiation_leaves_nothing_to_negotiate() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    a.events();
    negotiate(&mut a, &mut b);
    assert!(!a.events().contains(&NegotiationNeeded));
    assert!(!b.events().contains(&NegotiationNeeded));
}

#[test]
fn c003_signalling_goes_through_its_states_in_order() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    assert_eq!(a.jsep.signaling_state(), SignalingState::Stable);
    a.events();
    negotiate(&mut a, &mut b);
    let states = |end: &mut End| {
        let mut events = end.events();
        events.retain(|event| matches!(event, SignalingStateChanged(_)));
        events
    };
    assert_eq!(
        states(&mut a),
        [
            SignalingStateChanged(SignalingState::HaveLocalOffer),
            SignalingStateChanged(SignalingState::Stable)
        ]
    );
    assert_eq!(
        states(&mut b),
        [
            SignalingStateChanged(SignalingState::HaveRemoteOffer),
            SignalingStateChanged(SignalingState::Stable)
        ]
    );
}

#[test]
fn c003_an_operation_in_the_wrong_state_is_refused_and_changes_nothing() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let refused = |result: Result<(), NegotiationError>, wanted: &str| match result {
        Err(NegotiationError::InvalidState { operation, .. }) => assert_eq!(operation, wanted),
        other => panic!("{wanted}: {other:?}"),
    };
    refused(a.jsep.create_answer().map(drop), "create_answer");
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    refused(b.jsep.create_offer().map(drop), "create_offer");
    let answer = b.answer();
    b.events();
    refused(b.set_remote(answer), "set_remote_description");
    assert_eq!(b.events(), []);
}

#[test]
fn c016_a_transceiver_is_added_by_kind_by_track_and_with_direction() {
    let mut end = End::new("one");
    let by_kind = end.add_transceiver(Video, SendRecv);
    assert_eq!(by_kind.direction(), SendRecv);
    assert_eq!(by_kind.sender().track(), None);
    assert_eq!(by_kind.mid(), None);
    assert_eq!(end.events(), [NegotiationNeeded]);

    let track = MediaStreamTrack::new(Audio, []);
    let mut effects = Vec::new();
    let by_track = end
        .jsep
        .add_transceiver((&track).into(), SendOnly.into(), &mut effects)
        .unwrap();
    assert_eq!(by_track.kind(), Audio);
    assert_eq!(by_track.direction(), SendOnly);
    assert_eq!(by_track.sender().track(), Some(&track));
    assert!(effects.is_empty(), "one event for both");

    let stopped = end
        .jsep
        .add_transceiver(Audio.into(), Stopped.into(), &mut effects);
    let refused = TransceiverError::InvalidDirection { direction: Stopped };
    assert_eq!(stopped.unwrap_err(), refused);
}

#[test]
fn c017_a_change_of_direction_fires_only_where_the_other_side_must_know() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    negotiate(&mut a, &mut b);
    assert_eq!(a.transceiver(0).current_direction(), Some(SendOnly));
    assert_eq!(b.transceiver(0).current_direction(), Some(RecvOnly));
    a.events();
    b.events();
    // The offerer sends and that is all it may: the answer said recvonly.
    a.set_direction(0, SendOnly);
    assert_eq!(a.events(), []);
    a.set_direction(0, RecvOnly);
    assert_eq!(a.events(), [NegotiationNeeded]);
    // The answerer was offered both ways: whatever it changes is news.
    for direction in [SendRecv, SendOnly, Inactive] {
        b.set_direction(0, direction);
        assert_eq!(b.events(), [NegotiationNeeded], "{direction}");
        b.set_direction(0, RecvOnly);
        assert_eq!(b.events(), []);
    }
}

#[test]
fn c018_one_stopped_before_the_first_offer_is_gone_without_a_trace() {
    let mut end = End::new("one");
    let transceiver = end.add_transceiver(Audio, SendRecv);
    end.events();
    end.stop(0);
    assert_eq!(
        end.events(),
        [TrackEnded(transceiver.receiver().track().id())]
    );
    let offer = end.offer();
    assert_eq!(media_lines(&offer), []);
    assert!(end.jsep.transceivers().is_empty());
}

#[test]
fn c019_one_stopped_between_offer_and_answer_is_rejected_by_the_next_offer() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    b.stop(0);
    b.events();
    let answer = b.answer();
    assert_eq!(media_lines(&answer), [(9, "audio".to_owned())]);
    assert!(answer.sdp.contains("a=inactive"));
    assert_eq!(b.events().last(), Some(&NegotiationNeeded));
    a.set_remote(answer).unwrap();

    let offer = b.offer();
    assert_eq!(media_lines(&offer), [(0, "audio".to_owned())]);
    a.set_remote(offer).unwrap();
    let answer = a.answer();
    assert!(a.jsep.transceivers().is_empty());
    b.set_remote(answer).unwrap();
    assert!(b.jsep.transceivers().is_empty());
    assert!(!b.events().contains(&NegotiationNeeded));
}

#[test]
fn c020_stopping_shows_at_each_step_of_a_renegotiation() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    negotiate(&mut a, &mut b);
    let fields = |end: &End| {
        let transceiver = end.transceiver(0);
        (
            transceiver.is_stopping(),
            transceiver.is_stopped(),
            transceiver.current_direction(),
        )
    };
    a.stop(0);
    assert_eq!(fields(&a), (true, false, Some(SendOnly)));
    assert_eq!(a.transceiver(0).direction(), Stopped);
    let offer = a.offer();
    assert_eq!(fields(&a), (true, false, Some(SendOnly)));
    assert_eq!(fields(&b), (false, false, Some(RecvOnly)));
    b.events();
    let track = b.transceiver(0).receiver().track().id();
    b.set_remote(offer).unwrap();
    assert_eq!(fields(&b), (true, true, Some(Stopped)));
    assert_eq!(b.news(), [TrackMuted(track), TrackEnded(track)]);
    let answer = b.answer();
    assert!(b.jsep.transceivers().is_empty());
    a.set_remote(answer).unwrap();
    assert!(a.jsep.transceivers().is_empty());

    // Nothing else changes: the rejected m-line stays where it is.
    negotiate(&mut a, &mut b);
    let again = a.local_description().unwrap();
    assert_eq!(media_lines(&again), [(0, "audio".to_owned())]);
    assert!(a.jsep.transceivers().is_empty());
    assert!(b.jsep.transceivers().is_empty());
}

#[test]
fn c021_a_transceiver_of_another_connection_is_refused() {
    let (mut a, mut b) = pair();
    let foreign = a.add_transceiver(Audio, SendRecv).id();
    let mut effects = Vec::new();
    let refused = TransceiverError::UnknownTransceiver { id: foreign };
    let direction = b.jsep.set_direction(foreign, SendOnly, &mut effects);
    assert_eq!(direction.unwrap_err(), refused);
    let stop = b.jsep.stop_transceiver(foreign, &mut effects);
    assert_eq!(stop.unwrap_err(), refused);
    assert!(effects.is_empty());
}

#[test]
fn c022_a_track_takes_a_transceiver_that_never_sent_and_no_other() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    assert_eq!(b.directions(), [RecvOnly]);
    let track = b.add_track(Audio);
    assert_eq!(b.directions(), [SendRecv]);
    let sender = b.transceiver(0).sender().clone();
    assert_eq!(sender.track().map(MediaStreamTrack::id), Some(track.id()));
    // It has a track now; the next one gets a transceiver of its own.
    b.add_track(Audio);
    assert_eq!(b.directions(), [SendRecv, SendRecv]);
    // And the same track twice is refused.
    let again = b.jsep.add_track(&track, &mut Vec::new());
    let refused = TransceiverError::TrackAlreadyAdded { track: track.id() };
    assert_eq!(again.unwrap_err(), refused);
    // One that has sent is not used again, even without a track.
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    b.jsep.remove_track(sender.id(), &mut Vec::new()).unwrap();
    b.add_track(Audio);
    assert_eq!(b.jsep.transceivers().len(), 3);
}

#[test]
fn c022_an_offered_m_line_takes_a_transceiver_of_add_track_and_none_of_add_transceiver() {
    let (mut a, mut b) = pair();
    a.add_track(Video);
    b.add_transceiver(Video, SendRecv);
    b.add_track(Video);
    let mid = |end: &End, index| end.transceiver(index).mid().cloned();
    // `add_track` takes the transceiver that has no track yet; a second one is its own.
    assert_eq!(b.jsep.transceivers().len(), 1);
    b.add_track(Video);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    assert_eq!(mid(&b, 0), None);
    assert_eq!(mid(&b, 1), Some(Mid::from("0")));
}

#[test]
fn c023_a_track_is_announced_once_with_its_streams() {
    let (mut a, mut b) = pair();
    let stream = MediaStreamTrack::generate_stream_id();
    let track = MediaStreamTrack::new(Audio, [stream.clone()]);
    a.jsep.add_track(&track, &mut Vec::new()).unwrap();
    let offer = a.offer();
    b.set_remote(offer.clone()).unwrap();
    let news = b.news();
    let [Track(announced_track)] = news.as_slice() else {
        panic!("{news:?}");
    };
    assert_eq!(announced_track.streams(), [stream]);
    assert_eq!(announced_track.label(), track.label());
    assert_ne!(announced_track.id(), track.id());
    // The same offer again brings no news.
    b.set_remote(offer).unwrap();
    assert_eq!(b.news(), []);
    let answer = b.answer();
    a.set_remote(answer).unwrap();

    // A second one, without a stream; the first is not announced again.
    let bare = MediaStreamTrack::new(Video, []);
    a.jsep.add_track(&bare, &mut Vec::new()).unwrap();
    b.events();
    negotiate(&mut a, &mut b);
    let news = b.news();
    let [Track(second)] = news.as_slice() else {
        panic!("{news:?}");
    };
    assert_eq!(second.kind(), Video);
    assert_eq!(second.streams(), [] as [StreamId; 0]);
}

#[test]
fn c024_a_track_is_replaced_without_negotiation() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    negotiate(&mut a, &mut b);
    a.effects();
    let sender = a.transceiver(0).sender().id();
    let other = MediaStreamTrack::new(Audio, []);
    let mut effects = Vec::new();
    a.jsep
        .replace_track(sender, Some(other.clone()), &mut effects)
        .unwrap();
    let [JsepEffect::ApplyMedia(plan)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let send = plan.sections[0].send.as_ref().unwrap();
    assert_eq!(send.track, Some(other.id()));

    let foreign = b.transceiver(0).sender().id();
    let refused = a.jsep.replace_track(foreign, None, &mut effects);
    let unknown = TransceiverError::UnknownSender { id: foreign };
    assert_eq!(refused.unwrap_err(), unknown);
    let video = MediaStreamTrack::new(Video, []);
    let refused = a.jsep.replace_track(sender, Some(video), &mut effects);
    let mismatch = TransceiverError::KindMismatch {
        expected: Audio,
        found: Video,
    };
    assert_eq!(refused.unwrap_err(), mismatch);
    // W3C lets a track be put in place whatever the direction: it is sent once that allows it.
    let waiting = MediaStreamTrack::new(Audio, []);
    b.jsep
        .replace_track(foreign, Some(waiting), &mut effects)
        .unwrap();
    let plan = b.jsep.media_plan();
    assert!(plan.sections[0].send.is_none());
}

#[test]
fn c025_a_removed_track_is_muted_at_the_other_side() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    negotiate(&mut a, &mut b);
    a.events();
    b.events();
    let sender = a.transceiver(0).sender().id();
    let remote = b.transceiver(0).receiver().track().id();
    let mut effects = Vec::new();
    a.jsep.remove_track(sender, &mut effects).unwrap();
    assert!(effects.contains(&NegotiationNeeded));
    assert_eq!(a.directions(), [RecvOnly]);
    let plan = a.jsep.media_plan();
    assert_eq!(plan.sections[0].send.as_ref().unwrap().track, None);
    effects.clear();
    a.jsep.remove_track(sender, &mut effects).unwrap();
    assert!(effects.is_empty(), "an empty sender has nothing to remove");
    negotiate(&mut a, &mut b);
    assert_eq!(b.news(), [TrackMuted(remote)]);
    assert_eq!(b.transceiver(0).current_direction(), Some(Inactive));
    assert_eq!(a.transceiver(0).current_direction(), Some(Inactive));
}

#[test]
fn c031_media_flows_both_ways_on_one_transceiver() {
    // In one negotiation, with a direction and a track put into the transceiver of the offer.
    let (mut a, mut b) = pair();
    a.add_track(Video);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let sender = b.transceiver(0).sender().id();
    let track = MediaStreamTrack::new(Video, []);
    b.jsep
        .replace_track(sender, Some(track), &mut Vec::new())
        .unwrap();
    b.set_direction(0, SendRecv);
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    assert_eq!(a.transceiver(0).current_direction(), Some(SendRecv));
    assert_eq!(announced(&a.effects()).len(), 1);

    // With tracks on both sides first.
    let (mut a, mut b) = pair();
    a.add_track(Video);
    b.add_track(Video);
    negotiate(&mut a, &mut b);
    assert_eq!(a.jsep.transceivers().len(), 1);
    assert_eq!(b.jsep.transceivers().len(), 1);
    assert_eq!(b.transceiver(0).current_direction(), Some(SendRecv));

    // With a second negotiation, which the answerer asks for.
    let (mut a, mut b) = pair();
    a.add_track(Video);
    negotiate(&mut a, &mut b);
    b.add_track(Video);
    negotiate(&mut b, &mut a);
    assert_eq!(b.jsep.transceivers().len(), 1);
    assert_eq!(a.transceiver(0).current_direction(), Some(SendRecv));
    for (end, other) in [(&a, &b), (&b, &a)] {
        let plan = end.jsep.media_plan();
        let other = other.jsep.media_plan();
        let receive = plan.sections[0].receive.as_ref().unwrap();
        let send = other.sections[0].send.as_ref().unwrap();
        assert_eq!(receive.ssrcs, [send.ssrc]);
        assert_eq!(receive.rtx_ssrcs, [(send.rtx_ssrc.unwrap(), send.ssrc)]);
        assert_eq!(receive.codecs[0].payload_type, send.codecs[0].payload_type);
        assert_eq!(receive.extensions, send.extensions);
    }
}

#[test]
fn c034_an_incoming_track_can_be_turned_away() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let track = b.transceiver(0).receiver().track().clone();
    b.set_direction(0, Inactive);
    let answer = b.answer();
    assert_eq!(b.news(), [Track(track.clone()), TrackMuted(track.id())]);
    a.set_remote(answer).unwrap();
    assert_eq!(a.transceiver(0).current_direction(), Some(Inactive));
    assert_eq!(b.transceiver(0).current_direction(), Some(Inactive));
}

#[test]
fn c035_without_a_common_codec_no_transceiver_is_left() {
    let mut a = End::with("first", only(RtpCodec::vp8()));
    let mut b = End::with("second", only(RtpCodec::h264(1)));
    a.add_track(Video);
    let local = a.transceiver(0).receiver().track().id();
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let track = b.transceiver(0).receiver().track().clone();
    let answer = b.answer();
    assert_eq!(media_lines(&answer), [(0, "video".to_owned())]);
    a.set_remote(answer).unwrap();
    assert_eq!(a.news(), [NegotiationNeeded, TrackEnded(local)]);
    let of = |codec| {
        let configuration = only(codec);
        let codecs = configuration.codecs(Video);
        codecs.map(|entry| entry.codec.clone()).collect()
    };
    assert_eq!(
        b.news(),
        [
            Track(track.clone()),
            NoCommonCodec {
                mid: Mid::from("0"),
                kind: Video,
                local: of(RtpCodec::h264(1)),
                remote: of(RtpCodec::vp8()),
            },
            TrackMuted(track.id()),
            TrackEnded(track.id()),
        ]
    );
    assert!(a.jsep.transceivers().is_empty());
    assert!(b.jsep.transceivers().is_empty());
}

#[test]
fn an_answer_without_a_common_codec_says_what_each_side_has() {
    let (mut a, mut b) = pair();
    let transceiver = a.add_transceiver(Video, SendRecv);
    let wanted = vec![RtpCodec::vp8(), RtpCodec::av1()];
    a.jsep
        .set_codec_preferences(transceiver.id(), wanted)
        .unwrap();
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let mut answer = b.answer();
    // One that answers with what was not offered: a codec, under the numbers of VP8 and AV1.
    answer.sdp = answer.sdp.replace("VP8/90000", "H265/90000");
    answer.sdp = answer.sdp.replace("AV1/90000", "H266/90000");
    a.events();
    a.set_remote(answer).unwrap();
    let news = a.news();
    let [NoCommonCodec { local, remote, .. }, ..] = news.as_slice() else {
        panic!("{news:?}");
    };
    let names = |codecs: &[RtpCodec]| {
        let names = codecs.iter().map(|codec| codec.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(local), ["VP8", "AV1"]);
    assert_eq!(names(remote), ["H265", "H266"]);
    assert!(
        a.jsep.media_plan().sections[0]
            .send
            .as_ref()
            .is_none_or(|send| send.codecs.is_empty())
    );
}

#[test]
fn codec_preferences_choose_and_order_what_is_offered() {
    let (mut a, mut b) = pair();
    let init = RtpTransceiverInit::default();
    let transceiver = a
        .jsep
        .add_transceiver(Video.into(), init, &mut Vec::new())
        .unwrap();
    let wanted = vec![RtpCodec::h264(1), RtpCodec::vp8()];
    a.jsep
        .set_codec_preferences(transceiver.id(), wanted)
        .unwrap();
    negotiate(&mut a, &mut b);
    let names = |end: &End| {
        let plan = end.jsep.media_plan();
        let section = &plan.sections[0];
        let receive = section.receive.as_ref().map(|receive| &receive.codecs);
        let codecs = section.send.as_ref().map(|send| &send.codecs).or(receive);
        let names = codecs.unwrap().iter().map(|c| c.codec.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&a), ["H264", "VP8"]);
    assert_eq!(names(&b), ["H264", "VP8"]);
    let unknown = RtpCodec::vp9(2);
    let refused = a
        .jsep
        .set_codec_preferences(transceiver.id(), vec![unknown]);
    assert_eq!(refused.unwrap_err(), TransceiverError::NoPreferredCodec);
}

#[test]
fn a_local_description_must_be_the_one_made_last() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let mut offer = a.jsep.create_offer().unwrap();
    offer.sdp.push_str("a=tool:mine\r\n");
    let changed = a.set_local(offer);
    assert_eq!(changed.unwrap_err(), NegotiationError::InvalidModification);
    assert_eq!(a.jsep.signaling_state(), SignalingState::Stable);
    // The implicit form makes what is due.
    let mut effects = Vec::new();
    a.jsep.set_local_description(None, &mut effects).unwrap();
    b.set_remote(a.local_description().unwrap()).unwrap();
    b.jsep.set_local_description(None, &mut effects).unwrap();
    a.set_remote(b.local_description().unwrap()).unwrap();
    assert_eq!(a.jsep.signaling_state(), SignalingState::Stable);
}

#[test]
fn after_close_everything_is_refused() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let offer = a.offer();
    a.jsep.close();
    let mut effects = Vec::new();
    assert_eq!(a.jsep.signaling_state(), SignalingState::Closed);
    assert!(a.transceiver(0).is_stopped());
    a.jsep.create_offer().unwrap_err();
    a.jsep
        .set_local_description(None, &mut effects)
        .unwrap_err();
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap_err();
    let track = MediaStreamTrack::new(Audio, []);
    let refused = a.jsep.add_track(&track, &mut effects);
    assert_eq!(refused.unwrap_err(), TransceiverError::Closed);
    assert!(effects.is_empty());
    a.jsep.close();
}
