//! Whatever two sides do, in whatever order and however their messages cross: in the end they agree.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::RtpTransceiverDirection::{self, Inactive, RecvOnly, SendOnly, SendRecv};
use super::super::{JsepEffect, MediaSection, SdpType, SessionDescription};
use super::End;
use crate::codec::RtpCodec;
use crate::peer_connection::SignalingState;
use crate::rtp::Mid;
use crate::track::{MediaKind, MediaStreamTrack};

/// What an application may do at any time, to one of its transceivers where that matters.
#[derive(Clone, Debug)]
enum Change {
    AddTrack(MediaKind),
    AddTrackTo(Index),
    AddTransceiver(MediaKind, RtpTransceiverDirection),
    SetDirection(Index, RtpTransceiverDirection),
    RemoveTrack(Index),
    ReplaceTrack(Index, bool),
    Stop(Index),
    Prefer(Index, Preference),
    RestartIce,
    /// An offer by hand, whatever is needed.
    Offer,
    /// Takes a description back, whoever made it.
    RollBack,
}

/// Which codecs; two sides with different ones may have none in common.
#[derive(Clone, Copy, Debug)]
enum Preference {
    All,
    Vp8,
    H264,
}

#[derive(Clone, Debug)]
enum Step {
    Change(usize, Change),
    /// The next message reaches this side.
    Arrive(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn c101_two_sides_agree_whatever_they_do_and_however_it_crosses(
        steps in prop::collection::vec(step(), 1..30)
    ) {
        let mut pair = Pair::new();
        for step in steps {
            match step {
                Step::Change(side, change) => pair.change(side, change),
                Step::Arrive(side) => pair.arrive(side),
            }
            pair.offer_what_is_needed();
        }
        pair.settle();
        pair.check();
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_usize, change()).prop_map(|(side, change)| Step::Change(side, change)),
        2 => (0..2_usize).prop_map(Step::Arrive),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        3 => kind().prop_map(Change::AddTrack),
        1 => index().prop_map(Change::AddTrackTo),
        2 => (kind(), direction()).prop_map(|(kind, way)| Change::AddTransceiver(kind, way)),
        2 => (index(), direction()).prop_map(|(index, way)| Change::SetDirection(index, way)),
        2 => index().prop_map(Change::RemoveTrack),
        1 => (index(), any::<bool>()).prop_map(|(index, some)| Change::ReplaceTrack(index, some)),
        3 => index().prop_map(Change::Stop),
        1 => (index(), preference()).prop_map(|(index, which)| Change::Prefer(index, which)),
        1 => Just(Change::RestartIce),
        1 => Just(Change::Offer),
        1 => Just(Change::RollBack),
    ]
}

fn kind() -> impl Strategy<Value = MediaKind> {
    prop::sample::select(&[MediaKind::Audio, MediaKind::Video][..])
}

fn direction() -> impl Strategy<Value = RtpTransceiverDirection> {
    prop::sample::select(&[SendRecv, SendOnly, RecvOnly, Inactive][..])
}

fn preference() -> impl Strategy<Value = Preference> {
    prop::sample::select(&[Preference::All, Preference::Vp8, Preference::H264][..])
}

/// Two ends and what is on its way to each; the first is the polite one.
struct Pair {
    ends: [End; 2],
    needed: [bool; 2],
    inboxes: [VecDeque<SessionDescription>; 2],
}

impl Pair {
    fn new() -> Self {
        Self {
            ends: [End::new("first"), End::new("second")],
            needed: [false; 2],
            inboxes: Default::default(),
        }
    }

    /// What does not fit is refused, and changes nothing.
    fn change(&mut self, side: usize, change: Change) {
        let End { jsep, effects } = &mut self.ends[side];
        let transceivers = jsep.transceivers();
        let chosen = |index: Index| {
            let all = transceivers.as_slice();
            (!all.is_empty()).then(|| index.get(all).clone())
        };
        let refused =
            match change {
                Change::AddTrack(kind) => {
                    let stream = MediaStreamTrack::generate_stream_id();
                    let track = MediaStreamTrack::new(kind, [stream]);
                    jsep.add_track(&track, effects).err()
                }
                Change::AddTrackTo(index) => chosen(index).and_then(|one| {
                    let stream = MediaStreamTrack::generate_stream_id();
                    let track = MediaStreamTrack::new(one.kind(), [stream]);
                    jsep.add_track_to(one.id(), &track, effects).err()
                }),
                Change::AddTransceiver(kind, direction) => {
                    let added = jsep.add_transceiver(kind.into(), direction.into(), effects);
                    added.err()
                }
                Change::SetDirection(index, direction) => chosen(index)
                    .and_then(|one| jsep.set_direction(one.id(), direction, effects).err()),
                Change::RemoveTrack(index) => chosen(index)
                    .and_then(|one| jsep.remove_track(one.sender().id(), effects).err()),
                Change::ReplaceTrack(index, some) => chosen(index).and_then(|one| {
                    let track = some.then(|| MediaStreamTrack::new(one.kind(), []));
                    let sender = one.sender().id();
                    jsep.replace_track(sender, track, effects).err()
                }),
                Change::Stop(index) => {
                    chosen(index).and_then(|one| jsep.stop_transceiver(one.id(), effects).err())
                }
                Change::Prefer(index, which) => chosen(index)
                    .and_then(|one| jsep.set_codec_preferences(one.id(), which.codecs()).err()),
                Change::RestartIce => {
                    jsep.restart_ice(effects);
                    None
                }
                Change::Offer => {
                    self.offer(side);
                    None
                }
                Change::RollBack => {
                    self.roll_back(side);
                    None
                }
            };
        let _does_not_fit = refused;
    }

    /// Nobody tells the other side of it, so only what has not been heard yet may be taken back; and by the polite side
    /// only, since the impolite one may have ignored an offer for its own.
    fn roll_back(&mut self, side: usize) {
        let other = 1 - side;
        if side == 1 {
            return;
        }
        let unheard = self.inboxes[other].back();
        let is_offer = unheard.is_some_and(|last| last.kind == SdpType::Offer);
        if is_offer && self.state(side) == SignalingState::HaveLocalOffer {
            self.inboxes[other].pop_back();
            self.ends[side].set_local(rollback()).unwrap();
        }
    }

    fn offer(&mut self, side: usize) {
        if self.state(side) == SignalingState::Stable {
            let offer = self.ends[side].offer();
            self.inboxes[1 - side].push_back(offer);
        }
    }

    /// As W3C's example of perfect negotiation does.
    fn offer_what_is_needed(&mut self) {
        for side in 0..2 {
            let news = self.ends[side].events();
            self.needed[side] |= news.contains(&JsepEffect::NegotiationNeeded);
            if self.needed[side] && self.state(side) == SignalingState::Stable {
                self.needed[side] = false;
                self.offer(side);
            }
        }
    }

    fn arrive(&mut self, side: usize) {
        let Some(description) = self.inboxes[side].pop_front() else {
            return;
        };
        let is_offer = description.kind == SdpType::Offer;
        let collides = is_offer && self.state(side) != SignalingState::Stable;
        if collides && side == 1 {
            return;
        }
        self.ends[side].set_remote(description).unwrap();
        if is_offer {
            let answer = self.ends[side].answer();
            self.inboxes[1 - side].push_back(answer);
        }
    }

    /// Until nothing is on its way and nobody needs anything.
    fn settle(&mut self) {
        for _ in 0..40 {
            self.offer_what_is_needed();
            if self.inboxes.iter().all(VecDeque::is_empty) {
                return;
            }
            self.arrive(0);
            self.arrive(1);
        }
        panic!("they never come to an end");
    }

    fn check(&self) {
        let [first, second] = &self.ends;
        assert_eq!(first.jsep.signaling_state(), SignalingState::Stable);
        assert_eq!(second.jsep.signaling_state(), SignalingState::Stable);
        let theirs = directions(second).into_iter();
        let theirs = theirs.map(|(mid, way)| (mid, way.reversed()));
        assert_eq!(directions(first), theirs.collect());
        let (ours, theirs) = (sections(first), sections(second));
        assert!(ours.keys().eq(theirs.keys()));
        for (mid, section) in &ours {
            assert_fits(section, &theirs[mid]);
            assert_fits(&theirs[mid], section);
        }
    }

    fn state(&self, side: usize) -> SignalingState {
        self.ends[side].jsep.signaling_state()
    }
}

impl Preference {
    fn codecs(self) -> Vec<RtpCodec> {
        match self {
            Self::All => Vec::new(),
            Self::Vp8 => vec![RtpCodec::vp8()],
            Self::H264 => vec![RtpCodec::h264(1), RtpCodec::h264(0)],
        }
    }
}

/// What one sends the other receives, under the same numbers.
fn assert_fits(writer: &MediaSection, reader: &MediaSection) {
    let (Some(send), Some(receive)) = (&writer.send, &reader.receive) else {
        assert!(writer.send.is_none() && reader.receive.is_none());
        return;
    };
    assert_eq!(receive.ssrcs, [send.ssrc]);
    assert_eq!(send.extensions, receive.extensions);
    let numbers = |codecs: &[super::super::NegotiatedCodec]| {
        let numbers = codecs
            .iter()
            .map(|one| (one.payload_type, one.rtx_payload_type));
        numbers.collect::<Vec<_>>()
    };
    let known = numbers(&receive.codecs);
    assert!(numbers(&send.codecs).iter().all(|one| known.contains(one)));
    assert!(!send.codecs.is_empty());
}

/// All that is there has been agreed on, since nobody needs anything any more.
fn directions(end: &End) -> BTreeMap<String, RtpTransceiverDirection> {
    let transceivers = end.jsep.transceivers();
    let agreed = transceivers.iter().map(|one| {
        let mid = one.mid().expect("an m-line");
        (
            mid.to_string(),
            one.current_direction().expect("a direction"),
        )
    });
    agreed.collect()
}

fn sections(end: &End) -> BTreeMap<String, MediaSection> {
    let sections = end.jsep.media_plan().sections.into_iter();
    let name = |mid: &Mid| mid.to_string();
    sections
        .map(|section| (name(&section.mid), section))
        .collect()
}

fn rollback() -> SessionDescription {
    SessionDescription {
        kind: SdpType::Rollback,
        sdp: String::new(),
    }
}
