//! The same with a stack that is not ours on the other side, as far as its interface goes: it has no rollback, so
//! exchanges follow one another.

use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::Index;
use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction, MediaKind as Str0mKind, Mid as Str0mMid};

use super::super::RtpTransceiverDirection::{self, Inactive, RecvOnly, SendOnly, SendRecv};
use super::super::SessionDescription;
use super::End;
use crate::peer_connection::SignalingState;
use crate::track::{MediaKind, MediaStreamTrack};

#[derive(Clone, Debug)]
enum Step {
    AddTrack(MediaKind),
    AddTransceiver(MediaKind, RtpTransceiverDirection),
    SetDirection(Index, RtpTransceiverDirection),
    RemoveTrack(Index),
    Stop(Index),
    RestartIce,
    /// Ours offers all of the above that were not negotiated yet.
    Offer,
    TheyAdd(MediaKind, RtpTransceiverDirection),
    TheySetDirection(Index, RtpTransceiverDirection),
    TheyRestartIce,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn c101_ours_and_str0m_agree_after_each_exchange(
        steps in prop::collection::vec(step(), 1..20)
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        pair.offer();
        pair.check();
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop::sample::select(&[MediaKind::Audio, MediaKind::Video][..]);
    let direction = || prop::sample::select(&[SendRecv, SendOnly, RecvOnly, Inactive][..]);
    let index = any::<Index>;
    prop_oneof![
        2 => kind().prop_map(Step::AddTrack),
        1 => (kind(), direction()).prop_map(|(kind, way)| Step::AddTransceiver(kind, way)),
        2 => (index(), direction()).prop_map(|(index, way)| Step::SetDirection(index, way)),
        1 => index().prop_map(Step::RemoveTrack),
        1 => index().prop_map(Step::Stop),
        1 => Just(Step::RestartIce),
        3 => Just(Step::Offer),
        2 => (kind(), direction()).prop_map(|(kind, way)| Step::TheyAdd(kind, way)),
        2 => (index(), direction()).prop_map(|(index, way)| Step::TheySetDirection(index, way)),
        1 => Just(Step::TheyRestartIce),
    ]
}

struct Pair {
    ours: End,
    theirs: Rtc,
}

impl Pair {
    /// One m-line is there from the beginning and stays: str0m takes no description without one in use.
    fn new() -> Self {
        let mut pair = Self {
            ours: End::new("first"),
            theirs: Rtc::new(Instant::now()),
        };
        pair.ours.add_track(MediaKind::Audio);
        pair.offer();
        pair
    }

    /// What does not fit is refused, and changes nothing.
    fn step(&mut self, step: Step) {
        let End { jsep, effects } = &mut self.ours;
        let transceivers = jsep.transceivers();
        let chosen = |index: Index| {
            let all = transceivers.as_slice();
            (!all.is_empty()).then(|| index.get(all).clone())
        };
        let refused =
            match step {
                Step::AddTrack(kind) => {
                    let track = MediaStreamTrack::new(kind, []);
                    jsep.add_track(&track, effects).err()
                }
                Step::AddTransceiver(kind, direction) => {
                    let added = jsep.add_transceiver(kind.into(), direction.into(), effects);
                    added.err()
                }
                Step::SetDirection(index, direction) => chosen(index)
                    .and_then(|one| jsep.set_direction(one.id(), direction, effects).err()),
                Step::RemoveTrack(index) => chosen(index)
                    .and_then(|one| jsep.remove_track(one.sender().id(), effects).err()),
                Step::Stop(index) => {
                    let later = chosen(index).filter(|one| one.id() != transceivers[0].id());
                    later.and_then(|one| jsep.stop_transceiver(one.id(), effects).err())
                }
                Step::RestartIce => {
                    jsep.restart_ice(effects);
                    None
                }
                Step::Offer => {
                    self.offer();
                    None
                }
                Step::TheyAdd(kind, direction) => {
                    let kind = match kind {
                        MediaKind::Audio => Str0mKind::Audio,
                        MediaKind::Video => Str0mKind::Video,
                    };
                    self.they_offer(|api| {
                        api.add_media(kind, of_str0m(direction), None, None, None);
                    });
                    None
                }
                Step::TheySetDirection(index, direction) => {
                    if let Some(mid) = self.live_mids().get(index.index(64)) {
                        let mid = *mid;
                        self.they_offer(|api| api.set_direction(mid, of_str0m(direction)));
                    }
                    None
                }
                Step::TheyRestartIce => {
                    if !self.live_mids().is_empty() {
                        self.they_offer(|api| drop(api.ice_restart(true)));
                    }
                    None
                }
            };
        let _does_not_fit = refused;
    }

    fn offer(&mut self) {
        let offer = self.ours.offer();
        let offer = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
        let answer = self.theirs.sdp_api().accept_offer(offer).unwrap();
        let answer = SessionDescription::answer(answer.to_sdp_string());
        self.ours.set_remote(answer).unwrap();
        self.check();
    }

    fn they_offer(&mut self, change: impl FnOnce(&mut str0m::change::SdpApi<'_>)) {
        let mut api = self.theirs.sdp_api();
        change(&mut api);
        let Some((offer, pending)) = api.apply() else {
            return;
        };
        self.ours.offer_from(&offer.to_sdp_string()).unwrap();
        let answer = self.ours.answer();
        let answer = SdpAnswer::from_sdp_string(&answer.sdp).unwrap();
        self.theirs
            .sdp_api()
            .accept_answer(pending, answer)
            .unwrap();
        self.check();
    }

    fn live_mids(&self) -> Vec<Str0mMid> {
        let transceivers = self.ours.jsep.transceivers();
        let live = transceivers.iter().filter(|one| !one.is_stopping());
        live.filter_map(|one| Some(one.mid()?.as_str().into()))
            .collect()
    }

    fn check(&self) {
        assert_eq!(self.ours.jsep.signaling_state(), SignalingState::Stable);
        for transceiver in self.ours.jsep.transceivers() {
            let (Some(mid), Some(direction)) = (transceiver.mid(), transceiver.current_direction())
            else {
                continue;
            };
            let media = self.theirs.media(mid.as_str().into());
            let media = media.expect("an m-line of theirs");
            assert_eq!(media.direction(), of_str0m(direction.reversed()), "{mid}");
        }
    }
}

fn of_str0m(direction: RtpTransceiverDirection) -> Direction {
    match direction {
        SendRecv => Direction::SendRecv,
        SendOnly => Direction::SendOnly,
        RecvOnly => Direction::RecvOnly,
        Inactive | RtpTransceiverDirection::Stopped => Direction::Inactive,
    }
}
