//! Candidates of both sides.

use super::super::JsepEffect::{AddRemoteCandidate, EndOfRemoteCandidates, StartTransports};
use super::super::{CandidateError, JsepEffect, SdpType, SessionDescription};
use super::{End, negotiate};
use crate::ice::IceCandidate;
use crate::track::MediaKind::{Audio, Video};

const FIRST: &str = "candidate:1 1 udp 2122194687 192.0.2.2 40070 typ host generation 0";
const SECOND: &str = "candidate:2 1 udp 2122194686 192.0.2.3 40071 typ host";

fn candidate(text: &str, mid: &str, fragment: Option<&str>) -> IceCandidate {
    IceCandidate {
        candidate: text.to_owned(),
        sdp_mid: Some(mid.to_owned()),
        sdp_m_line_index: None,
        username_fragment: fragment.map(ToOwned::to_owned),
    }
}

fn add(end: &mut End, candidate: IceCandidate) -> Result<(), CandidateError> {
    end.jsep.add_ice_candidate(candidate, &mut end.effects)
}

/// What ICE is told of remote candidates, in order.
fn told(effects: Vec<JsepEffect>) -> Vec<JsepEffect> {
    let is_told = |e: &JsepEffect| matches!(e, AddRemoteCandidate(_) | EndOfRemoteCandidates);
    effects.into_iter().filter(is_told).collect()
}

#[test]
fn c010_local_candidates_stand_in_the_first_m_line_only() {
    let mut end = End::new("first");
    end.add_track(Audio);
    end.add_track(Video);
    end.offer();
    let event = end
        .jsep
        .add_local_candidate(FIRST.to_owned(), "firstfrag".to_owned());
    assert_eq!(event.unwrap(), {
        let mut event = candidate(FIRST, "0", Some("firstfrag"));
        event.sdp_m_line_index = Some(0);
        event
    });
    let text = end.local_description().unwrap().sdp;
    assert_eq!(text.matches(FIRST).count(), 1);
    let (audio, video) = text.split_once("m=video").unwrap();
    assert!(audio.contains(&format!("a={FIRST}\r\n")));
    assert!(!video.contains("candidate"));
    assert!(!text.contains("a=end-of-candidates"));
    end.jsep.local_gathering_complete();
    let text = end.jsep.pending_local_description().unwrap().sdp;
    assert_eq!(text.matches("a=end-of-candidates\r\n").count(), 1);
    assert_eq!(end.jsep.current_local_description(), None);
}

#[test]
fn c102_candidates_that_come_early_wait_for_both_descriptions() {
    let (mut a, mut b) = (End::new("first"), End::new("second"));
    a.add_track(Audio);
    a.add_track(Video);
    let offer = a.offer();
    add(&mut b, candidate(FIRST, "0", Some("firstfrag"))).unwrap();
    // Of an earlier session, of an m-line that bundling leaves without transport, and the end.
    add(&mut b, candidate(SECOND, "0", Some("oldfrag"))).unwrap();
    add(&mut b, candidate(SECOND, "1", None)).unwrap();
    add(&mut b, candidate("", "0", None)).unwrap();
    b.set_remote(offer).unwrap();
    assert_eq!(told(b.effects()), []);
    let answer = b.answer();
    let effects = b.effects();
    let started = effects
        .iter()
        .position(|e| matches!(e, StartTransports { .. }));
    let added = effects
        .iter()
        .position(|e| matches!(e, AddRemoteCandidate(_)));
    assert!(started.unwrap() < added.unwrap());
    assert_eq!(
        told(effects),
        [AddRemoteCandidate(FIRST.to_owned()), EndOfRemoteCandidates]
    );
    // From now on they go straight through, each once.
    a.set_remote(answer).unwrap();
    a.effects();
    add(&mut a, candidate(FIRST, "0", None)).unwrap();
    add(&mut a, candidate(FIRST, "0", None)).unwrap();
    add(&mut a, candidate("", "0", None)).unwrap();
    assert_eq!(
        told(a.effects()),
        [AddRemoteCandidate(FIRST.to_owned()), EndOfRemoteCandidates]
    );
}

#[test]
fn c102_the_end_of_candidates_is_taken_in_every_form() {
    let ends = [
        r#"{"candidate":"","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"firstfrag"}"#,
        r#"{"candidate":"","sdpMid":"0","sdpMLineIndex":0}"#,
        r#"{"candidate":"","sdpMid":null,"sdpMLineIndex":0,"usernameFragment":null}"#,
        r#"{"candidate":"","sdpMid":null,"sdpMLineIndex":null}"#,
        r#"{"candidate":""}"#,
        "{}",
    ];
    for end in ends {
        let (mut a, mut b) = (End::new("first"), End::new("second"));
        a.add_track(Audio);
        negotiate(&mut a, &mut b);
        b.effects();
        let candidate: IceCandidate = serde_json::from_str(end).unwrap();
        add(&mut b, candidate).unwrap();
        assert_eq!(told(b.effects()), [EndOfRemoteCandidates], "{end}");
    }
}

#[test]
fn candidates_of_a_description_are_told_unless_they_are_of_another_m_line_or_for_rtcp() {
    let mut end = End::new("server");
    let offer = include_str!("../../../tests/data/sdp/firefox-sendrecv-av.sdp");
    end.offer_from(offer).unwrap();
    end.answer();
    let told = told(end.effects());
    assert_eq!(told.last(), Some(&EndOfRemoteCandidates));
    let audio = offer.split("m=video").next().unwrap();
    for effect in &told {
        let AddRemoteCandidate(text) = effect else {
            continue;
        };
        assert!(audio.contains(text), "{text}");
        assert_eq!(text.split(' ').nth(1), Some("1"), "{text}");
    }
    assert!(told.len() > 2);
}

#[test]
fn a_candidate_that_belongs_nowhere_is_refused_and_says_why() {
    let (mut a, mut b) = (End::new("first"), End::new("second"));
    a.add_track(Audio);
    negotiate(&mut a, &mut b);
    b.effects();
    let nowhere = IceCandidate {
        candidate: FIRST.to_owned(),
        ..IceCandidate::default()
    };
    assert_eq!(add(&mut b, nowhere), Err(CandidateError::MissingMediaLine));
    let unknown = CandidateError::UnknownMid {
        mid: "7".to_owned(),
    };
    assert_eq!(add(&mut b, candidate(FIRST, "7", None)), Err(unknown));
    let by_index = IceCandidate {
        candidate: FIRST.to_owned(),
        sdp_m_line_index: Some(3),
        ..IceCandidate::default()
    };
    let unknown = CandidateError::UnknownMediaLineIndex { index: 3 };
    assert_eq!(add(&mut b, by_index), Err(unknown));
    let unknown = CandidateError::UnknownUsernameFragment {
        username_fragment: "old".to_owned(),
    };
    let by_field = add(&mut b, candidate(FIRST, "0", Some("old")));
    assert_eq!(by_field, Err(unknown.clone()));
    let by_text = add(&mut b, candidate(&format!("{FIRST} ufrag old"), "0", None));
    assert_eq!(by_text, Err(unknown));
    for (text, part) in [
        ("nonsense", "prefix"),
        ("candidate:", "foundation"),
        ("candidate:1 x udp 1 192.0.2.2 1 typ host", "component"),
        ("candidate:1 1 udp -1 192.0.2.2 1 typ host", "priority"),
        ("candidate:1 1 udp 1 192.0.2.2 70000 typ host", "port"),
        ("candidate:1 1 udp 1 192.0.2.2 1 type host", "type"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ", "type"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ host\r\na=x", "text"),
    ] {
        let refused = add(&mut b, candidate(text, "0", None));
        assert_eq!(refused, Err(CandidateError::Malformed { part }), "{text}");
    }
    assert!(b.effects().is_empty());
    b.jsep.close();
    let closed = add(&mut b, candidate(FIRST, "0", None));
    assert_eq!(closed, Err(CandidateError::Closed));
}

#[test]
fn no_stranger_makes_us_keep_more_than_256_candidates() {
    let text = |n: u32| format!("candidate:{n} 1 udp {n} 192.0.2.2 1 typ host");
    let too_many = Err(CandidateError::TooMany { limit: 256 });
    let mut early = End::new("early");
    for n in 0..256 {
        add(&mut early, candidate(&text(n), "0", None)).unwrap();
    }
    assert_eq!(add(&mut early, candidate(&text(256), "0", None)), too_many);

    let (mut a, mut b) = (End::new("first"), End::new("second"));
    a.add_track(Audio);
    negotiate(&mut a, &mut b);
    for n in 0..256 {
        add(&mut b, candidate(&text(n), "0", None)).unwrap();
    }
    assert_eq!(add(&mut b, candidate(&text(256), "0", None)), too_many);
}

#[test]
fn descriptions_and_candidates_are_the_json_of_browsers() {
    // As Chromium's JSON.stringify writes them.
    let text = r#"{"candidate":"candidate:186316072 1 udp 2122194687 192.0.2.2 40070 typ host generation 0 ufrag Fsiv network-id 1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"Fsiv"}"#;
    let candidate: IceCandidate = serde_json::from_str(text).unwrap();
    assert_eq!(candidate.sdp_m_line_index, Some(0));
    assert_eq!(candidate.username_fragment.as_deref(), Some("Fsiv"));
    assert_eq!(serde_json::to_string(&candidate).unwrap(), text);
    let text = r#"{"candidate":"","sdpMid":null,"sdpMLineIndex":null,"usernameFragment":null}"#;
    let candidate: IceCandidate = serde_json::from_str(text).unwrap();
    assert_eq!(candidate, IceCandidate::default());
    assert_eq!(serde_json::to_string(&candidate).unwrap(), text);

    let text = r#"{"type":"offer","sdp":"v=0\r\n"}"#;
    let offer: SessionDescription = serde_json::from_str(text).unwrap();
    assert_eq!(offer, SessionDescription::offer("v=0\r\n"));
    assert_eq!(serde_json::to_string(&offer).unwrap(), text);
    for (text, kind) in [
        (r#"{"type":"answer","sdp":""}"#, SdpType::Answer),
        (r#"{"type":"pranswer","sdp":""}"#, SdpType::Pranswer),
        (r#"{"type":"rollback","sdp":""}"#, SdpType::Rollback),
    ] {
        let read: SessionDescription = serde_json::from_str(text).unwrap();
        assert_eq!(read.kind, kind);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
    let bare: SessionDescription = serde_json::from_str(r#"{"type":"rollback"}"#).unwrap();
    assert_eq!(bare.sdp, "");
    serde_json::from_str::<SessionDescription>(r#"{"type":"nonsense","sdp":""}"#).unwrap_err();
}
