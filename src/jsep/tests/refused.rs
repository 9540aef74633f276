//! A description that is refused leaves everything as it was.

use super::super::{MediaPlan, RtpTransceiver, SdpType, SessionDescription};
use super::{End, negotiate};
use crate::peer_connection::SignalingState;
use crate::track::MediaKind::{Audio, Video};

/// All that an application, the media path and the other side could ever see of an end.
#[derive(Debug, PartialEq)]
struct Seen {
    state: SignalingState,
    transceivers: Vec<RtpTransceiver>,
    plan: MediaPlan,
    descriptions: [Option<SessionDescription>; 4],
    /// What it would say next: mids, numbers of codecs and extensions, credentials.
    offer: Option<String>,
    answer: Option<String>,
}

fn seen(end: &mut End) -> Seen {
    let jsep = &mut end.jsep;
    let text = |made: Result<SessionDescription, _>| made.ok().map(|made| made.sdp);
    Seen {
        state: jsep.signaling_state(),
        transceivers: jsep.transceivers(),
        plan: jsep.media_plan(),
        descriptions: [
            jsep.current_local_description(),
            jsep.pending_local_description(),
            jsep.current_remote_description(),
            jsep.pending_remote_description(),
        ],
        offer: text(jsep.create_offer()),
        answer: text(jsep.create_answer()),
    }
}

/// An end in some state, and a description that it would take.
type Scene = fn() -> (End, SessionDescription);

fn first_offer() -> (End, SessionDescription) {
    let (mut us, mut them) = two();
    them.add_track(Audio);
    them.add_track(Video);
    us.add_track(Video);
    let offer = them.offer();
    (us, offer)
}

fn later_offer() -> (End, SessionDescription) {
    let (us, mut them) = connected();
    them.add_track(Video);
    let offer = them.offer();
    (us, offer)
}

fn offer_that_restarts() -> (End, SessionDescription) {
    let (us, mut them) = connected();
    them.jsep.restart_ice(&mut Vec::new());
    let offer = them.offer();
    (us, offer)
}

fn offer_that_meets_ours() -> (End, SessionDescription) {
    let (mut us, offer) = offer_that_restarts();
    us.add_track(Audio);
    us.jsep.restart_ice(&mut Vec::new());
    us.offer();
    (us, offer)
}

fn offer_in_place_of_another() -> (End, SessionDescription) {
    let (mut us, mut them) = connected();
    them.add_track(Video);
    us.set_remote(them.offer()).unwrap();
    them.add_track(Audio);
    let offer = them.offer();
    (us, offer)
}

fn answer() -> (End, SessionDescription) {
    let (mut us, mut them) = connected();
    us.add_track(Video);
    them.set_remote(us.offer()).unwrap();
    let answer = them.answer();
    (us, answer)
}

fn provisional_answer() -> (End, SessionDescription) {
    let (us, mut answer) = answer();
    answer.kind = SdpType::Pranswer;
    (us, answer)
}

fn answer_to_a_restart() -> (End, SessionDescription) {
    let (mut us, mut them) = connected();
    us.jsep.restart_ice(&mut Vec::new());
    them.set_remote(us.offer()).unwrap();
    let answer = them.answer();
    (us, answer)
}

fn two() -> (End, End) {
    (End::new("first"), End::new("second"))
}

fn connected() -> (End, End) {
    let (mut us, mut them) = two();
    us.add_track(Audio);
    them.add_track(Video);
    negotiate(&mut them, &mut us);
    negotiate(&mut us, &mut them);
    (us, them)
}

const SCENES: [Scene; 8] = [
    first_offer,
    later_offer,
    offer_that_restarts,
    offer_that_meets_ours,
    offer_in_place_of_another,
    answer,
    provisional_answer,
    answer_to_a_restart,
];

/// Each line left out, said twice, cut short or with another value, and the text cut there. Those of codecs and
/// extensions are never a reason to refuse.
fn spoiled(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let with = |index: usize, instead: &[&str]| {
        let mut changed = lines.clone();
        changed.splice(index..=index, instead.iter().copied());
        changed.join("\r\n") + "\r\n"
    };
    let mut all = Vec::new();
    let never = ["a=rtpmap", "a=fmtp", "a=rtcp-fb", "a=extmap:", "a=ssrc"];
    for (index, line) in lines.iter().enumerate() {
        if never.iter().any(|name| line.starts_with(name)) {
            continue;
        }
        all.push(with(index, &[]));
        all.push(with(index, &[line, line]));
        all.push(with(index, &[&line[..line.len() / 2]]));
        all.push(lines[..index].join("\r\n") + "\r\n");
        let changed = line.replace("1", "2").replace("actpass", "holdconn");
        let changed = changed.replace("sha-256", "sha-1").replace(" 9 ", " 0 ");
        all.push(with(index, &[&changed]));
    }
    all
}

#[test]
fn c015_a_description_that_is_refused_changes_nothing_in_whatever_state() {
    for (number, scene) in SCENES.into_iter().enumerate() {
        let (mut us, given) = scene();
        us.effects();
        let mut before = seen(&mut us);
        let mut refused = 0;
        for sdp in spoiled(&given.sdp) {
            let kind = given.kind;
            if let Err(error) = us.set_remote(SessionDescription { kind, sdp }) {
                refused += 1;
                assert!(us.effects().is_empty(), "{number}: {error}");
                assert_eq!(seen(&mut us), before, "{number}: {error}");
            } else {
                // It was not spoiled after all.
                (us, _) = scene();
                us.effects();
                before = seen(&mut us);
            }
        }
        assert!(refused >= 50, "{number}: only {refused} were refused");
        // And what comes after is taken as if nothing had been.
        let (mut us, given) = scene();
        let cut = SessionDescription {
            kind: given.kind,
            sdp: "v=0".to_owned(),
        };
        us.set_remote(cut).unwrap_err();
        us.set_remote(given).unwrap();
    }
}
