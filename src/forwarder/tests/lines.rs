//! Which transceiver carries what.

use super::super::reconcile::{Attachments, Line, Order, Plan, Step, Wanted};
use crate::jsep::{SenderId, TransceiverId};
use crate::track::MediaKind::{Audio, Video};
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// One that receives, and has never sent.
fn line(kind: MediaKind) -> Line {
    Line {
        transceiver: TransceiverId::next(),
        sender: SenderId::next(),
        kind,
        mid: None,
        track: None,
        is_to_send: false,
        sends: false,
        remote_receives: true,
    }
}

/// One that carries this track; agreed on, or not yet.
fn carrying(track: &MediaStreamTrack, sends: bool) -> Line {
    Line {
        track: Some(track.id()),
        is_to_send: true,
        sends,
        ..line(track.kind())
    }
}

/// One whose track was removed, which the remote side is yet to hear of.
fn emptying(kind: MediaKind) -> Line {
    Line {
        sends: true,
        ..line(kind)
    }
}

fn order(wanted: &[&MediaStreamTrack], released: &[TrackId]) -> Order {
    let wanted = wanted.iter().map(|track| Wanted {
        track: (*track).clone(),
        feed: None,
    });
    Order {
        number: 0,
        wanted: wanted.collect(),
        released: released.to_vec(),
    }
}

fn steps(steps: Vec<Step>) -> Plan {
    Plan {
        steps,
        rejected: Vec::new(),
    }
}

fn video() -> MediaStreamTrack {
    MediaStreamTrack::new(Video, [])
}

/// A page that shares its screen with a transceiver which only sends never saw who came meanwhile: their pictures were put there.
#[test]
fn nothing_is_put_where_the_remote_side_only_sends() {
    let camera = video();
    let screen = Line {
        remote_receives: false,
        ..line(Video)
    };
    let free = line(Video);
    let mut attachments = Attachments::default();
    let plan = attachments.plan(vec![screen.clone()], &order(&[&camera], &[]));
    assert_eq!(plan, steps(vec![Step::Add(camera.clone())]));
    let there = Step::AddTo(free.transceiver, camera.clone());
    let plan = attachments.plan(vec![screen, free], &order(&[&camera], &[]));
    assert_eq!(plan, steps(vec![there]));
}

#[test]
fn what_is_there_already_wants_nothing() {
    let (one, other) = (video(), video());
    let lines = vec![carrying(&one, true), carrying(&other, false), line(Audio)];
    let plan = Attachments::default().plan(lines, &order(&[&other, &one], &[video().id()]));
    assert_eq!(plan, Plan::default());
}

#[test]
fn free_lines_of_the_kind_are_used_before_new_ones() {
    let tracks = [video(), video(), video()];
    let [first, second, third] = &tracks;
    let busy = Line {
        is_to_send: true,
        ..line(Video)
    };
    let lines = vec![line(Audio), line(Video), busy, line(Video)];
    let free = [lines[1].transceiver, lines[3].transceiver];
    let plan = Attachments::default().plan(lines, &order(&[first, second, third], &[]));
    let expected = vec![
        Step::AddTo(free[0], first.clone()),
        Step::AddTo(free[1], second.clone()),
        Step::Add(third.clone()),
    ];
    assert_eq!(plan, steps(expected));
}

#[test]
fn a_track_waits_for_a_line_that_is_about_to_be_free() {
    let tracks = [video(), video()];
    let [first, second] = &tracks;
    let wanted = order(&[first, second], &[]);
    let mut attachments = Attachments::default();
    let plan = attachments.plan(vec![emptying(Video), emptying(Audio)], &wanted);
    assert_eq!(plan, steps(vec![Step::Add(second.clone())]));

    // What is taken off now is about to be free, unless the remote side has never heard of it.
    for (agreed, expected) in [(true, 1), (false, 2)] {
        let old = video();
        let lines = vec![carrying(&old, agreed)];
        let [sender, transceiver] = [
            Step::Remove(lines[0].sender),
            Step::AddTo(lines[0].transceiver, first.clone()),
        ];
        let plan = Attachments::default().plan(lines, &order(&[first], &[old.id()]));
        let both = [sender, transceiver];
        assert_eq!(plan, steps(both[..expected].to_vec()));
    }
}

#[test]
fn a_track_whose_line_the_remote_side_rejects_is_not_tried_again() {
    let track = video();
    let wanted = order(&[&track], &[]);
    let mut attachments = Attachments::default();
    let plan = attachments.plan(vec![], &wanted);
    assert_eq!(plan, steps(vec![Step::Add(track.clone())]));
    attachments.attached(track.id());
    attachments.plan(vec![carrying(&track, false)], &wanted);
    let rejected = Plan {
        steps: Vec::new(),
        rejected: vec![track.id()],
    };
    assert_eq!(attachments.plan(vec![], &wanted), rejected);
    // Nothing of it is kept once it is no longer wanted.
    attachments.plan(vec![], &order(&[], &[]));
    assert_eq!(attachments.plan(vec![], &wanted).rejected, []);
}

/// As when a page stops the transceiver of its own camera, which carried something the other way too.
#[test]
fn a_track_that_loses_its_line_later_gets_another_once() {
    let track = video();
    let wanted = order(&[&track], &[]);
    let mut attachments = Attachments::default();
    attachments.plan(vec![carrying(&track, true)], &wanted);
    let plan = attachments.plan(vec![], &wanted);
    assert_eq!(plan, steps(vec![Step::Add(track.clone())]));
    attachments.attached(track.id());
    let plan = attachments.plan(vec![], &wanted);
    assert_eq!(plan.rejected, [track.id()]);
}
