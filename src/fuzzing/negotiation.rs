//! Two sides that negotiate: in any order, crossing each other, taking back, and misunderstanding each other.

use std::collections::VecDeque;

use super::input::Input;
use super::sdp::machine;
use crate::jsep::{
    Description, Jsep, JsepEffect, NegotiationError, RtpTransceiverDirection, SdpType,
    SessionDescription,
};
use crate::peer_connection::SignalingState;
use crate::track::{MediaKind, MediaStreamTrack};

/// Moves of two sides: what an application may do, descriptions that arrive, or are lost, repeated, or changed on the way.
///
/// What is refused changes nothing. However it went, both sides come back to a stable state, and the next exchange that
/// nobody disturbs is agreed upon.
pub(super) fn negotiation(data: &[u8]) {
    let mut input = Input::new(data);
    let mut sides = [Side::new(), Side::new()];
    let mut disturbed = false;
    while input.has_move(MOST_MOVES) {
        let step = input.byte();
        let which = usize::from(step >> 7);
        match step % 16 {
            0..=7 => sides[which].change(step % 16, &mut input),
            8 | 9 => sides[which].offer(),
            10 | 11 => deliver(&mut sides, which),
            12 => drop(sides[which].said.pop_front()),
            13 => {
                let latest = sides[which].said.back().cloned();
                sides[which].said.extend(latest);
            }
            _ => {
                disturbed = true;
                sides[which].disturb(&mut input);
            }
        }
        sides[which].said.truncate(MOST_SAID);
    }
    settle(&mut sides, disturbed);
}

struct Side {
    jsep: Jsep,
    /// On its way to the other side.
    said: VecDeque<SessionDescription>,
}

impl Side {
    fn new() -> Self {
        Self {
            jsep: machine(),
            said: VecDeque::new(),
        }
    }

    fn change(&mut self, step: u8, input: &mut Input<'_>) {
        let mut effects = Vec::new();
        let kind = [MediaKind::Audio, MediaKind::Video][usize::from(input.byte() & 1)];
        let transceivers = self.jsep.transceivers();
        let index = usize::from(input.byte()) % transceivers.len().max(1);
        let id = transceivers.get(index).map(|it| it.id());
        let track = MediaStreamTrack::new(kind, []);
        let before = self.state();
        let direction = direction(input);
        let refused = match (step, id) {
            (0, _) if transceivers.len() < MOST_TRANSCEIVERS => {
                self.jsep.add_track(&track, &mut effects).is_err()
            }
            (1, _) if transceivers.len() < MOST_TRANSCEIVERS => {
                let init = direction.into();
                let jsep = &mut self.jsep;
                jsep.add_transceiver(kind.into(), init, &mut effects)
                    .is_err()
            }
            (2, Some(id)) => self
                .jsep
                .set_direction(id, direction, &mut effects)
                .is_err(),
            (3, Some(id)) => self.jsep.stop_transceiver(id, &mut effects).is_err(),
            (4, _) => {
                self.jsep.restart_ice(&mut effects);
                false
            }
            (5, _) => self.roll_back(false).is_err(),
            (6, _) => self.roll_back(true).is_err(),
            (7, Some(id)) => self.jsep.add_track_to(id, &track, &mut effects).is_err(),
            _ => return,
        };
        assert!(!refused || self.state() == before, "refused, and yet done");
    }

    fn roll_back(&mut self, theirs: bool) -> Result<Vec<JsepEffect>, NegotiationError> {
        let mut effects = Vec::new();
        let rollback = SessionDescription {
            kind: SdpType::Rollback,
            sdp: String::new(),
        };
        if theirs {
            self.jsep.set_remote_description(rollback, &mut effects)?;
        } else {
            self.jsep
                .set_local_description(Some(rollback), &mut effects)?;
        }
        Ok(effects)
    }

    fn offer(&mut self) {
        if let Ok(offer) = self.jsep.create_offer() {
            let mut effects = Vec::new();
            let applied = self
                .jsep
                .set_local_description(Some(offer.clone()), &mut effects);
            assert_eq!(applied, Ok(()), "our own offer");
            self.said.push_back(offer);
        }
    }

    /// Takes in a description, and answers an offer that it takes.
    fn receive(&mut self, description: SessionDescription) -> Result<(), NegotiationError> {
        let (kind, before) = (description.kind, self.state());
        let mut effects = Vec::new();
        let applied = self.jsep.set_remote_description(description, &mut effects);
        if let Err(error) = applied {
            assert!(effects.is_empty());
            assert_eq!(self.state(), before, "refused, and yet done: {error}");
            return Err(error);
        }
        if kind == SdpType::Offer {
            let answer = self.jsep.create_answer().expect("an offer can be answered");
            let applied = self
                .jsep
                .set_local_description(Some(answer.clone()), &mut effects);
            assert_eq!(applied, Ok(()), "our own answer");
            self.said.push_back(answer);
        }
        Ok(())
    }

    /// Leaves out a line of what was said last, puts it elsewhere, or makes an answer of an offer.
    fn disturb(&mut self, input: &mut Input<'_>) {
        let (how, from, to) = (input.byte(), input.byte(), input.byte());
        let Some(latest) = self.said.back_mut() else {
            return;
        };
        let mut lines: Vec<_> = latest.sdp.split_inclusive('\n').collect();
        let from = usize::from(from) % lines.len().max(1);
        let to = usize::from(to) % lines.len().max(1);
        if lines.is_empty() {
            return;
        }
        match how % 4 {
            0 => drop(lines.remove(from)),
            1 => lines.insert(to, lines[from]),
            2 => lines.swap(from, to),
            _ => {
                latest.kind = match latest.kind {
                    SdpType::Offer => SdpType::Answer,
                    SdpType::Answer => SdpType::Pranswer,
                    SdpType::Pranswer | SdpType::Rollback => SdpType::Offer,
                };
            }
        }
        latest.sdp = lines.concat();
    }

    /// All that a refusal must leave as it is.
    fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let jsep = &self.jsep;
        (
            jsep.signaling_state(),
            jsep.transceivers(),
            jsep.media_plan(),
            [
                jsep.current_local_description(),
                jsep.pending_local_description(),
                jsep.current_remote_description(),
                jsep.pending_remote_description(),
            ],
        )
    }
}

/// The oldest of what this side has said reaches the other one.
fn deliver(sides: &mut [Side; 2], which: usize) {
    if let Some(said) = sides[which].said.pop_front() {
        // Whether it fits is the other side's affair.
        let _refused = sides[1 - which].receive(said);
    }
}

/// Whatever is under way is taken back, and one more exchange follows.
fn settle(sides: &mut [Side; 2], disturbed: bool) {
    for side in &mut *sides {
        side.said.clear();
        for theirs in [false, true] {
            // There may be nothing to take back.
            let _nothing = side.roll_back(theirs);
        }
        assert_eq!(side.jsep.signaling_state(), SignalingState::Stable);
    }
    sides[0].offer();
    let offer = sides[0].said.pop_front().expect("a stable side can offer");
    let heard = sides[1].receive(offer);
    let Some(answer) = sides[1].said.pop_front() else {
        // An answer that one side has lost leaves them with different ideas of what was agreed.
        assert!(heard.is_err());
        return;
    };
    let taken = sides[0].receive(answer);
    if disturbed || taken.is_err() {
        return;
    }
    let lines = sides.each_ref().map(|side| {
        let agreed = side.jsep.current_local_description();
        let agreed = agreed.expect("it was applied").sdp;
        let described = Description::parse(&agreed).expect("our own description");
        described.sections.len()
    });
    assert_eq!(lines[0], lines[1]);
}

fn direction(input: &mut Input<'_>) -> RtpTransceiverDirection {
    use RtpTransceiverDirection::{Inactive, RecvOnly, SendOnly, SendRecv};
    [SendRecv, SendOnly, RecvOnly, Inactive][usize::from(input.byte() % 4)]
}

/// More only take longer.
const MOST_TRANSCEIVERS: usize = 12;
const MOST_SAID: usize = 8;
const MOST_MOVES: usize = 60;
