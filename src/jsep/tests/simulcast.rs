//! Several encodings of a track that we send.

use super::super::RtpTransceiverDirection::SendOnly;
use super::super::{
    ParametersError, RtpEncodingParameters, RtpSendParameters, RtpTransceiverInit, SdpType,
    SendPlan, SenderId, SessionDescription, TransceiverError,
};
use super::media_lines::pair;
use super::{End, negotiate};
use crate::configuration::{MediaConfiguration, MediaFeature};
use crate::rtp::{Rid, Ssrc};
use crate::track::MediaKind::{self, Audio, Video};
use crate::track::MediaStreamTrack;

fn encodings(rids: &[&str]) -> Vec<RtpEncodingParameters> {
    let named = |rid: &&str| RtpEncodingParameters::with_rid(*rid);
    rids.iter().map(named).collect()
}

fn add(
    end: &mut End,
    kind: MediaKind,
    send_encodings: Vec<RtpEncodingParameters>,
) -> Result<SenderId, TransceiverError> {
    let init = RtpTransceiverInit {
        direction: SendOnly,
        send_encodings,
        ..RtpTransceiverInit::default()
    };
    let track = MediaStreamTrack::new(kind, [MediaStreamTrack::generate_stream_id()]);
    let added = end
        .jsep
        .add_transceiver(track.into(), init, &mut end.effects)?;
    Ok(added.sender().id())
}

/// Two ends, the first of which is to send three encodings.
fn three() -> (End, End, SenderId) {
    let (mut a, b) = pair();
    let sender = add(&mut a, Video, encodings(&["q", "h", "f"])).unwrap();
    (a, b, sender)
}

/// The answer with each line made another, or none, by `change`; after it the first end has settled.
fn answered(a: &mut End, b: &mut End, change: impl Fn(&str) -> Option<String>) {
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let mut answer = b.answer();
    let lines = answer.sdp.lines().filter_map(change);
    answer.sdp = lines.map(|line| line + "\r\n").collect();
    a.set_remote(answer).unwrap();
}

fn sends(end: &End) -> Vec<SendPlan> {
    let plan = end.jsep.media_plan();
    plan.sections[0].sends().cloned().collect()
}

/// The names of what is sent; of what is sent now in the end.
fn names(end: &End) -> (Vec<String>, Vec<String>) {
    let sends = sends(end);
    let name = |it: &SendPlan| it.rid.as_ref().unwrap().to_string();
    let active = sends.iter().filter(|it| it.track.is_some());
    (sends.iter().map(name).collect(), active.map(name).collect())
}

fn read(end: &mut End, sender: SenderId) -> Vec<String> {
    let parameters = end.jsep.parameters(sender).unwrap();
    let rids = parameters.encodings.into_iter().map(|it| it.rid);
    rids.map(|rid| rid.unwrap().to_string()).collect()
}

#[test]
fn an_offer_names_its_encodings_and_who_takes_them_gets_each_under_its_own_ssrc() {
    let (mut a, mut b, sender) = three();
    negotiate(&mut a, &mut b);
    let offer = a.local_description().unwrap().sdp;
    assert!(offer.contains("a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\n"));
    assert!(offer.contains("a=simulcast:send q;h;f\r\n"));
    assert!(!offer.contains("a=ssrc"), "packets name their encodings");
    let sent = sends(&a);
    assert_eq!(names(&a).1, ["q", "h", "f"]);
    assert!(sent.iter().all(|it| it.is_named));
    let mut ssrcs: Vec<Ssrc> = sent.iter().map(|it| it.ssrc).collect();
    ssrcs.extend(sent.iter().filter_map(|it| it.rtx_ssrc));
    ssrcs.sort();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 6);
    assert_eq!(read(&mut a, sender), ["q", "h", "f"]);

    let received = b.receivers()[0].track().rids().to_vec();
    assert_eq!(received, ["q", "h", "f"].map(Rid::from));
    let plan = b.jsep.media_plan();
    assert_eq!(plan.sections[0].receive.as_ref().unwrap().rids, received);
}

#[test]
fn a_negotiation_after_that_keeps_encodings_and_ssrcs_whoever_offers() {
    let (mut a, mut b, _) = three();
    negotiate(&mut a, &mut b);
    let before = sends(&a);
    negotiate(&mut a, &mut b);
    assert_eq!(sends(&a), before);
    negotiate(&mut b, &mut a);
    assert_eq!(sends(&a), before);
    assert_eq!(b.receivers()[0].track().rids().len(), 3);
    let plan = b.jsep.media_plan();
    assert_eq!(plan.sections[0].receive.as_ref().unwrap().rids.len(), 3);
}

#[test]
fn who_rejects_some_encodings_gets_the_others() {
    let (mut a, mut b, sender) = three();
    answered(&mut a, &mut b, |line| {
        let left_out = line.starts_with("a=rid:h");
        (!left_out).then(|| line.replace("recv q;h;f", "recv f;q"))
    });
    assert_eq!(names(&a).0, ["q", "f"], "in our order");
    assert!(sends(&a).iter().all(|it| it.is_named));
    assert_eq!(read(&mut a, sender), ["q", "f"]);
    let offer = a.jsep.create_offer().unwrap().sdp;
    assert!(offer.contains("a=simulcast:send q;f\r\n"));
}

#[test]
fn who_knows_no_simulcast_gets_the_first_encoding_and_no_names() {
    let (mut a, mut b, sender) = three();
    answered(&mut a, &mut b, |line| {
        let left_out = line.starts_with("a=rid") || line.starts_with("a=simulcast");
        (!left_out).then(|| line.to_owned())
    });
    let sent = sends(&a);
    assert_eq!(names(&a).1, ["q"]);
    assert!(!sent[0].is_named);
    assert_eq!(read(&mut a, sender), ["q"]);
    let offer = a.jsep.create_offer().unwrap().sdp;
    assert!(
        !offer.contains("a=simulcast") && offer.contains(&format!("a=ssrc:{}", sent[0].ssrc.0))
    );
}

#[test]
fn what_the_answer_pauses_is_not_sent_until_a_later_one_resumes_it() {
    let (mut a, mut b, sender) = three();
    let pause = |line: &str| Some(line.replace("recv q;h;f", "recv q;~h;f"));
    answered(&mut a, &mut b, pause);
    assert_eq!(names(&a), (vec_of(&["q", "h", "f"]), vec_of(&["q", "f"])));
    let parameters = a.jsep.parameters(sender).unwrap();
    assert!(parameters.encodings.iter().all(|it| it.active));
    negotiate(&mut a, &mut b);
    assert_eq!(names(&a).1, ["q", "h", "f"]);
}

fn vec_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn c113_an_answer_that_names_what_was_not_offered_or_says_the_same_twice_changes_nothing_else() {
    for hostile in [
        "recv q;x;h;h;f;q",
        "recv x;q,h;h;f",
        "recv q;h;f send x;y",
        "recv ~;q;h;f;;",
    ] {
        let (mut a, mut b, sender) = three();
        answered(&mut a, &mut b, |line| {
            let more = line.replace(
                "a=rid:q recv",
                "a=rid:q recv\r\na=rid:x recv\r\na=rid:q recv",
            );
            Some(more.replace("recv q;h;f", hostile))
        });
        assert_eq!(names(&a).0, ["q", "h", "f"], "{hostile}");
        assert_eq!(read(&mut a, sender), ["q", "h", "f"]);
    }
    // An encoding without a line of its own, or with one that sends, is not taken (RFC 8853 §5.2).
    let (mut a, mut b, _) = three();
    answered(&mut a, &mut b, |line| match line {
        "a=rid:q recv" => None,
        "a=rid:h recv" => Some("a=rid:h send".to_owned()),
        other => Some(other.to_owned()),
    });
    assert_eq!(names(&a).0, ["f"]);
}

#[test]
fn a_provisional_answer_rejects_nothing_for_good() {
    let (mut a, mut b, sender) = three();
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    let lines = answer.sdp.lines();
    let lines = lines.filter(|it| !it.starts_with("a=rid") && !it.starts_with("a=simulcast"));
    let early = lines.flat_map(|line| [line, "\r\n"]).collect::<String>();
    let early = SessionDescription {
        kind: SdpType::Pranswer,
        ..SessionDescription::answer(early)
    };
    a.set_remote(early).unwrap();
    assert_eq!(names(&a).0, ["q"]);
    a.set_remote(answer).unwrap();
    assert_eq!(names(&a).1, ["q", "h", "f"]);
    assert_eq!(read(&mut a, sender).len(), 3);
}

#[test]
fn an_answer_has_those_encodings_that_the_offer_takes() {
    let (mut a, mut b, sender) = three();
    negotiate(&mut a, &mut b);
    let mut offer = b.offer();
    offer.sdp = offer.sdp.replace("recv q;h;f", "recv x;f;h");
    a.set_remote(offer).unwrap();
    let answer = a.answer().sdp;
    assert!(answer.contains("a=rid:f send\r\na=rid:h send\r\na=simulcast:send f;h\r\n"));
    assert_eq!(names(&a).0, ["f", "h"]);
    assert_eq!(
        read(&mut a, sender),
        ["q", "h", "f"],
        "they may be asked for again"
    );
}

#[test]
fn encodings_are_switched_by_themselves_and_stay_in_their_order() {
    let (mut a, mut b, sender) = three();
    negotiate(&mut a, &mut b);
    let mut parameters = a.jsep.parameters(sender).unwrap();
    parameters.encodings[1].active = false;
    let set = |a: &mut End, parameters: RtpSendParameters| {
        a.jsep.set_parameters(sender, &parameters, &mut a.effects)
    };
    set(&mut a, parameters).unwrap();
    assert_eq!(names(&a), (vec_of(&["q", "h", "f"]), vec_of(&["q", "f"])));

    for (parameter, change) in [
        (
            "rid",
            (|it| it.swap(0, 1)) as fn(&mut Vec<RtpEncodingParameters>),
        ),
        ("rid", |it| it[0].rid = None),
        ("encodings", |it| it.truncate(2)),
        ("encodings", |it| {
            it.push(RtpEncodingParameters::with_rid("x"))
        }),
    ] {
        let mut parameters = a.jsep.parameters(sender).unwrap();
        change(&mut parameters.encodings);
        let expected = ParametersError::InvalidModification { parameter };
        assert_eq!(set(&mut a, parameters), Err(expected));
    }
    assert_eq!(names(&a).1, ["q", "f"]);
}

#[test]
fn encodings_that_cannot_be_told_apart_are_refused() {
    let mut bad = vec![
        encodings(&["q", "q"]),
        encodings(&["q", ""]),
        encodings(&["q", "no_underscore"]),
        encodings(&["q", "seventeen0letters"]),
        encodings(&["-"]),
        vec![RtpEncodingParameters::default(); 2],
    ];
    let mut scaled = encodings(&["q", "h"]);
    scaled[0].scale_resolution_down_by = Some(4.0);
    bad.push(scaled);
    for encodings in bad {
        let (mut a, _) = pair();
        let refused = add(&mut a, Video, encodings.clone());
        assert!(
            matches!(refused, Err(TransceiverError::InvalidEncodings { .. })),
            "{encodings:?}"
        );
        assert!(a.jsep.transceivers().is_empty());
    }
}

#[test]
fn a_single_encoding_has_no_name_and_of_sound_there_is_one() {
    for (kind, given) in [(Video, &["q"][..]), (Audio, &["q", "h"])] {
        let (mut a, mut b) = pair();
        add(&mut a, kind, encodings(given)).unwrap();
        negotiate(&mut a, &mut b);
        assert_eq!(a.transceiver(0).sender().rids(), []);
        assert!(!a.local_description().unwrap().sdp.contains("simulcast"));
        assert_eq!(sends(&a).len(), 1);
    }
    let (mut a, _) = pair();
    let many: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    add(&mut a, Video, encodings(&many)).unwrap();
    assert_eq!(a.transceiver(0).sender().rids().len(), 8);
}

#[test]
fn without_the_header_extensions_only_the_first_encoding_is_offered() {
    let plain = MediaConfiguration::builder().feature(MediaFeature::Simulcast, false);
    let mut a = End::with("first", plain.build().unwrap());
    let mut b = End::new("second");
    add(&mut a, Video, encodings(&["q", "h"])).unwrap();
    negotiate(&mut a, &mut b);
    assert!(!a.local_description().unwrap().sdp.contains("simulcast"));
    assert_eq!(names(&a).1, ["q"]);
}

/// An offer of ours did not ask for the encodings that a page sends, and Chromium takes that for a rejection: it went on with the
/// first one alone.
#[test]
fn an_offer_asks_again_for_the_encodings_that_the_remote_side_sends() {
    let (mut a, mut b, _) = three();
    negotiate(&mut a, &mut b);
    b.add_track(Audio);
    let offer = b.offer();
    assert!(offer.sdp.contains("a=simulcast:recv q;h;f\r\n"));
    assert!(offer.sdp.contains("a=rid:h recv\r\n"));
    a.set_remote(offer).unwrap();
    assert!(a.answer().sdp.contains("a=simulcast:send q;h;f\r\n"));
}
