//! ICE restarts: other credentials, asked for by either side.

use super::super::JsepEffect::{self, AddRemoteCandidate, NegotiationNeeded};
use super::super::{CandidateError, NegotiationError, SdpType, SessionDescription};
use super::media_lines::{current, pair, roles};
use super::{End, media_lines, negotiate};
use crate::dtls::DtlsRole;
use crate::ice::{IceCandidate, IceRole};
use crate::peer_connection::SignalingState;
use crate::track::MediaKind::{Audio, Video};

/// Two ends that are connected.
fn connected() -> (End, End) {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    negotiate(&mut a, &mut b);
    a.effects();
    b.effects();
    (a, b)
}

fn fragment(description: &SessionDescription) -> String {
    let mut lines = description.sdp.lines();
    let line = lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.unwrap().to_owned()
}

fn certificate(end: &End) -> String {
    let text = end.local_description().unwrap().sdp;
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("a=fingerprint"));
    line.unwrap().to_owned()
}

/// The fragment of the session that ICE is told to begin.
fn begun(effects: &[JsepEffect]) -> Option<String> {
    effects.iter().find_map(|effect| {
        let JsepEffect::RestartIce { local } = effect else {
            return None;
        };
        Some(local.username_fragment.clone())
    })
}

fn abandoned(effects: &[JsepEffect]) -> bool {
    effects.contains(&JsepEffect::AbandonIceRestart)
}

fn restart(end: &mut End) {
    end.jsep.restart_ice(&mut end.effects);
}

fn roll_back(end: &mut End) {
    let rollback = SessionDescription {
        kind: SdpType::Rollback,
        sdp: String::new(),
    };
    end.set_local(rollback).unwrap();
}

fn candidate(text: &str, fragment: Option<&str>) -> IceCandidate {
    IceCandidate {
        candidate: text.to_owned(),
        sdp_mid: Some("0".to_owned()),
        sdp_m_line_index: None,
        username_fragment: fragment.map(ToOwned::to_owned),
    }
}

const ONE: &str = "candidate:1 1 udp 2122194687 192.0.2.2 40070 typ host";
const TWO: &str = "candidate:1 1 udp 2122194687 192.0.2.2 40071 typ host";

#[test]
fn c101_a_restart_begins_with_the_offer_and_counts_with_the_answer() {
    let (mut a, mut b) = connected();
    restart(&mut a);
    assert_eq!(a.effects(), [NegotiationNeeded]);

    let offer = a.offer();
    let ours = fragment(&offer);
    assert_ne!(ours, "firstfrag");
    assert_eq!(begun(&a.effects()), Some(ours.clone()));
    assert!(current(&a).sdp.contains("firstfrag"));

    b.set_remote(offer).unwrap();
    let answer = b.answer();
    let theirs = fragment(&answer);
    assert_ne!(theirs, "secondfrag");
    let effects = b.effects();
    assert_eq!(begun(&effects), Some(theirs.clone()));
    let started = roles(&effects).unwrap();
    assert_eq!(started.0, IceRole::Controlled);
    assert_eq!(started.2, ours);

    a.set_remote(answer).unwrap();
    let effects = a.effects();
    let started = roles(&effects).unwrap();
    assert_eq!(started.0, IceRole::Controlling);
    assert_eq!(started.2, theirs);
    assert!(!effects.contains(&NegotiationNeeded));

    // It is over: the next exchange goes on with what there is.
    negotiate(&mut b, &mut a);
    for end in [&mut a, &mut b] {
        let effects = end.effects();
        assert_eq!((begun(&effects), roles(&effects)), (None, None));
    }
    assert_eq!(fragment(&current(&a)), ours);
}

#[test]
fn c101_whoever_offers_the_restart_controls_and_dtls_keeps_its_roles() {
    let (mut a, mut b) = connected();
    restart(&mut b);
    negotiate(&mut b, &mut a);
    let (ice, dtls, _) = roles(&b.effects()).unwrap();
    assert_eq!((ice, dtls), (IceRole::Controlling, DtlsRole::Server));
    let (ice, dtls, _) = roles(&a.effects()).unwrap();
    assert_eq!((ice, dtls), (IceRole::Controlled, DtlsRole::Client));
}

#[test]
fn c101_all_offers_until_the_restart_say_the_same_and_a_rollback_takes_it_back() {
    let (mut a, mut b) = connected();
    restart(&mut a);
    let first = a.jsep.create_offer().unwrap();
    let second = a.jsep.create_offer().unwrap();
    assert_eq!(fragment(&first), fragment(&second));
    a.set_local(second).unwrap();
    let again = a.offer();
    assert_eq!(fragment(&again), fragment(&first));
    let effects = a.effects();
    let restarts = effects
        .iter()
        .filter(|effect| matches!(effect, JsepEffect::RestartIce { .. }));
    assert_eq!(restarts.count(), 1);

    roll_back(&mut a);
    let effects = a.effects();
    assert!(abandoned(&effects));
    // What was asked for is still to be done.
    assert!(effects.contains(&NegotiationNeeded));
    let later = a.offer();
    assert_ne!(fragment(&later), fragment(&first));
    assert_eq!(begun(&a.effects()), Some(fragment(&later)));
    b.set_remote(later).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    assert!(roles(&a.effects()).is_some());
}

#[test]
fn c101_a_restart_asked_for_while_answering_follows_as_an_offer() {
    let (mut a, mut b) = connected();
    b.add_track(Audio);
    let offer = b.offer();
    a.set_remote(offer).unwrap();
    restart(&mut a);
    // The offer restarts nothing, so its answer may not.
    let answer = a.answer();
    assert_eq!(fragment(&answer), "firstfrag");
    b.set_remote(answer).unwrap();
    let effects = a.effects();
    assert!(effects.contains(&NegotiationNeeded));
    assert_eq!(begun(&effects), None);
    negotiate(&mut a, &mut b);
    assert!(begun(&a.effects()).is_some());
}

#[test]
fn c101_a_restart_by_the_other_side_is_the_one_that_was_asked_for() {
    let (mut a, mut b) = connected();
    restart(&mut a);
    restart(&mut b);
    a.effects();
    // Both offer; a gives way.
    a.offer();
    let ours = begun(&a.effects()).unwrap();
    let offer = b.offer();
    a.set_remote(offer).unwrap();
    assert!(abandoned(&a.effects()));
    let answer = a.answer();
    assert_ne!(fragment(&answer), ours, "that session was abandoned");
    b.set_remote(answer).unwrap();
    let effects = a.effects();
    assert!(begun(&effects).is_some() && roles(&effects).is_some());
    assert!(!effects.contains(&NegotiationNeeded));
}

#[test]
fn c101_a_restart_asked_for_during_a_restart_follows_it() {
    let (mut a, mut b) = connected();
    restart(&mut a);
    let offer = a.offer();
    restart(&mut a);
    b.set_remote(offer.clone()).unwrap();
    let answer = b.answer();
    a.effects();
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    assert!(roles(&effects).is_some());
    assert!(effects.contains(&NegotiationNeeded));
    let next = a.offer();
    assert_ne!(fragment(&next), fragment(&offer));
}

#[test]
fn c101_where_nothing_runs_there_is_nothing_to_restart() {
    let (mut a, mut b) = pair();
    restart(&mut a);
    a.add_track(Audio);
    a.effects();
    let offer = a.offer();
    assert_eq!(fragment(&offer), "firstfrag");
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap();

    // Nor where all m-lines are given up: such offers would go on for ever.
    restart(&mut a);
    a.stop(0);
    a.effects();
    let offer = a.offer();
    assert_eq!(media_lines(&offer), [(0, "audio".to_owned())]);
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    assert_eq!(begun(&effects), None);
    assert!(!effects.contains(&NegotiationNeeded));
    // It is not forgotten.
    a.add_track(Audio);
    let offer = a.offer();
    assert!(begun(&a.effects()).is_some_and(|begun| begun == fragment(&offer)));
    a.jsep.close();
    a.jsep.restart_ice(&mut a.effects);
    assert_eq!(a.effects(), []);
}

#[test]
fn c101_a_restart_whose_m_lines_are_all_rejected_is_abandoned() {
    let (mut a, mut b) = connected();
    restart(&mut a);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let mut answer = b.answer();
    for kind in ["audio", "video"] {
        let (line, port) = (format!("m={kind} 9 "), format!("m={kind} 0 "));
        answer.sdp = answer.sdp.replace(&line, &port);
    }
    a.effects();
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    assert!(abandoned(&effects));
    assert_eq!(roles(&effects), None);
    assert_eq!(a.jsep.signaling_state(), SignalingState::Stable);
}

#[test]
fn an_answer_restarts_if_and_only_if_its_offer_does() {
    let (mut a, mut b) = connected();
    let ignored = |error| {
        let NegotiationError::IceRestartIgnored { line } = error else {
            panic!("{error}");
        };
        line.index
    };
    let unexpected = |error| {
        let NegotiationError::UnexpectedIceRestart { line } = error else {
            panic!("{error}");
        };
        line.index
    };
    let (before, _) = (a.offer(), a.effects());
    b.set_remote(before).unwrap();
    let answer = b.answer();
    let new = SessionDescription {
        sdp: answer.sdp.replace("secondfrag", "otherfrag"),
        ..answer.clone()
    };
    assert_eq!(unexpected(a.set_remote(new).unwrap_err()), 0);
    assert!(a.effects().is_empty());
    a.set_remote(answer).unwrap();

    restart(&mut a);
    let offer = a.offer();
    a.effects();
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    let old = answer.sdp.replace(&fragment(&answer), "secondfrag");
    let password = answer
        .sdp
        .lines()
        .find(|line| line.starts_with("a=ice-pwd"));
    let old = old.replace(
        password.unwrap(),
        "a=ice-pwd:secondpasswordpasswordpassword",
    );
    let old = SessionDescription::answer(old);
    assert_eq!(ignored(a.set_remote(old).unwrap_err()), 0);
    assert!(a.effects().is_empty());
    a.set_remote(answer).unwrap();
}

#[test]
fn c101_a_provisional_answer_to_a_restart_leaves_the_running_path_alone() {
    let (mut a, mut b) = connected();
    restart(&mut a);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let mut provisional = b.jsep.create_answer().unwrap();
    provisional.kind = SdpType::Pranswer;
    b.set_local(provisional.clone()).unwrap();
    let effects = b.effects();
    assert!(begun(&effects).is_some());
    assert_eq!(roles(&effects), None);
    a.effects();
    provisional.sdp = provisional
        .sdp
        .replacen("a=rtcp-mux", &format!("a={ONE}\r\na=rtcp-mux"), 1);
    a.set_remote(provisional.clone()).unwrap();
    let effects = a.effects();
    assert_eq!(roles(&effects), None);
    assert!(!effects.contains(&AddRemoteCandidate(ONE.to_owned())));
    let answer = b.answer();
    assert_eq!(fragment(&answer), fragment(&provisional));
    assert!(roles(&b.effects()).is_some());
    a.set_remote(answer).unwrap();
    assert!(roles(&a.effects()).is_some());
}

#[test]
fn c102_candidates_of_a_restart_wait_for_it_and_those_of_the_running_session_do_not() {
    let (mut a, mut b) = connected();
    let add = |end: &mut End, candidate| end.jsep.add_ice_candidate(candidate, &mut end.effects);
    restart(&mut a);
    let offer = a.offer();
    let new = fragment(&offer);
    b.set_remote(offer).unwrap();
    b.effects();
    // Of the session that runs, of the one to come by name, and of the one to come as the latest.
    add(&mut b, candidate(ONE, Some("firstfrag"))).unwrap();
    assert_eq!(b.effects(), [AddRemoteCandidate(ONE.to_owned())]);
    add(&mut b, candidate(TWO, Some(&new))).unwrap();
    let three = TWO.replace("40071", "40072");
    add(&mut b, candidate(&three, None)).unwrap();
    assert_eq!(b.effects(), []);
    let answer = b.answer();
    let effects = b.effects();
    let told: Vec<_> = effects
        .iter()
        .skip_while(|effect| !matches!(effect, JsepEffect::StartTransports { .. }))
        .filter(|effect| matches!(effect, AddRemoteCandidate(_)))
        .collect();
    assert_eq!(
        told,
        [
            &AddRemoteCandidate(TWO.to_owned()),
            &AddRemoteCandidate(three)
        ]
    );
    // Sessions that are over take none; the same address counts anew in a new one.
    let late = add(&mut b, candidate(TWO, Some("firstfrag"))).unwrap_err();
    assert!(matches!(
        late,
        CandidateError::UnknownUsernameFragment { .. }
    ));
    add(&mut b, candidate(ONE, Some(&new))).unwrap();
    assert_eq!(b.effects(), [AddRemoteCandidate(ONE.to_owned())]);

    // At the offerer they may come before the answer, with a fragment that nobody knows.
    let theirs = fragment(&answer);
    a.effects();
    add(&mut a, candidate(ONE, Some(&theirs))).unwrap();
    add(&mut a, candidate(TWO, Some("nobodys"))).unwrap();
    assert_eq!(a.effects(), []);
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    assert!(effects.contains(&AddRemoteCandidate(ONE.to_owned())));
    assert!(!effects.contains(&AddRemoteCandidate(TWO.to_owned())));
}

#[test]
fn c010_each_description_has_the_candidates_of_its_own_session() {
    let (mut a, mut b) = connected();
    let gathered = |end: &mut End, text: &str, fragment: &str| {
        let given = (text.to_owned(), fragment.to_owned());
        end.jsep.add_local_candidate(given.0, given.1)
    };
    gathered(&mut a, ONE, "firstfrag").unwrap();
    assert!(a.jsep.local_gathering_complete());
    restart(&mut a);
    let offer = a.offer();
    let new = fragment(&offer);
    let told = gathered(&mut a, TWO, &new).unwrap();
    assert_eq!(told.username_fragment, Some(new));
    let pending = a.jsep.pending_local_description().unwrap().sdp;
    assert!(pending.contains(TWO) && !pending.contains(ONE));
    assert!(!pending.contains("a=end-of-candidates"));
    let current = a.jsep.current_local_description().unwrap().sdp;
    assert!(current.contains(ONE) && !current.contains(TWO));
    assert!(current.contains("a=end-of-candidates"));

    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    assert_eq!(gathered(&mut a, ONE, "firstfrag"), None, "it is over");
    assert!(a.jsep.local_gathering_complete());
    assert!(!a.jsep.local_gathering_complete(), "told once");
    let current = a.jsep.current_local_description().unwrap().sdp;
    assert!(current.contains(TWO) && current.contains("a=end-of-candidates"));
}

#[test]
fn c028_a_restart_may_lead_to_another_peer_with_another_certificate() {
    let (mut a, _) = connected();
    let mut third = End::new("third");
    restart(&mut a);
    let offer = a.offer();
    third.set_remote(offer).unwrap();
    let answer = third.answer();
    a.effects();
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    let fingerprints = effects.iter().find_map(|effect| {
        let JsepEffect::StartTransports { fingerprints, .. } = effect else {
            return None;
        };
        Some(fingerprints.clone())
    });
    assert_eq!(fingerprints.unwrap()[0].digest[..5], *b"third");

    // Without a restart the certificate stays.
    let (mut a, mut b) = connected();
    let offer = b.offer();
    let other = certificate(&third);
    let own = certificate(&b);
    let offer = SessionDescription::offer(offer.sdp.replace(&own, &other));
    let refused = a.set_remote(offer).unwrap_err();
    assert!(matches!(refused, NegotiationError::NotSupported { .. }));
}

/// A candidate that came after the last m-line was given up was refused as nobody's.
#[test]
fn c102_candidates_of_the_running_session_belong_to_it_also_while_no_m_line_is_in_use() {
    let (mut a, mut b) = connected();
    a.stop(0);
    a.stop(1);
    negotiate(&mut a, &mut b);
    let late = candidate(ONE, Some("firstfrag"));
    b.jsep.add_ice_candidate(late, &mut b.effects).unwrap();
}

/// A restart asked for before the first exchange was agreed on never counted as done, and was offered for
/// ever.
#[test]
fn c101_a_restart_asked_for_before_the_first_answer_is_done_with_it() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.offer();
    restart(&mut a);
    let offer = a.offer();
    assert_ne!(fragment(&offer), "firstfrag");
    assert!(begun(&a.effects()).is_some());
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    assert!(roles(&effects).is_some());
    assert!(!effects.contains(&NegotiationNeeded));
    negotiate(&mut a, &mut b);
    assert_eq!(begun(&a.effects()), None);
}
