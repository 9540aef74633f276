//! From what a subscriber should have and what it has to what is to be done, transceiver by transceiver.

use std::collections::HashMap;

use super::error::SubscribeError;
use crate::call::CallError;
use crate::jsep::{RtpTransceiver, RtpTransceiverDirection, SenderId, TransceiverId};
use crate::peer_connection::PeerId;
use crate::rtp::{LayerLimit, Mid, Rid};
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// What a subscriber should have. It says all, so that the newest is all that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Names it, so that an answer that comes after a restart is known for what it is.
    pub(crate) number: u64,
    /// What it is to be sent, oldest first.
    pub(crate) wanted: Vec<Wanted>,
    /// What it is no longer to be sent.
    pub(crate) released: Vec<TrackId>,
}

/// One track that a subscriber is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) track: MediaStreamTrack,
    /// Where it comes from, if from anywhere.
    pub(crate) feed: Option<Feed>,
}

/// Where a route begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) publisher: PeerId,
    pub(crate) track: TrackId,
    pub(crate) rid: Option<Rid>,
    /// How many layers of it are sent on.
    pub(crate) limit: LayerLimit,
}

/// What has come of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) order: u64,
    /// What there is now; or the peer did not answer, and the order is to be given again.
    pub(crate) outcome: Result<Inventory, CallError>,
}

/// What a peer has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// No exchange of descriptions was under way.
    pub(crate) is_stable: bool,
    /// The tracks that its remote side sends, as far as both sides have agreed.
    pub(crate) receiving: Vec<MediaStreamTrack>,
    /// What it was to have and has.
    pub(crate) attached: Vec<Attached>,
    /// What it was no longer to have and has not.
    pub(crate) released: Vec<TrackId>,
    /// What it was to have and cannot have.
    pub(crate) refused: Vec<(TrackId, SubscribeError)>,
}

/// A track on a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) track: TrackId,
    /// The m-line, once there is one.
    pub(crate) mid: Option<Mid>,
}

/// A transceiver, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) transceiver: TransceiverId,
    pub(super) sender: SenderId,
    pub(super) kind: MediaKind,
    pub(super) mid: Option<Mid>,
    /// What its sender sends.
    pub(super) track: Option<TrackId>,
    /// It is to send from the next negotiation on.
    pub(super) is_to_send: bool,
    /// The remote side knows it as one that sends.
    pub(super) sends: bool,
    /// The remote side would take what is sent there.
    pub(super) remote_receives: bool,
}

/// One operation of the subscriber's peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Stop sending what this sender sends.
    Remove(SenderId),
    /// Send the track on a transceiver that is free.
    AddTo(TransceiverId, MediaStreamTrack),
    /// Send the track on a new transceiver.
    Add(MediaStreamTrack),
}

/// What to do, and what cannot be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) rejected: Vec<TrackId>,
}

/// What became of the tracks that were attached. Its loss costs no more than that a remote side which rejects an
/// m-line is asked once more.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    /// Whether the remote side has ever agreed to get it.
    agreed: HashMap<TrackId, bool>,
}

impl Feed {
    /// It differs from the other in nothing but how many layers are sent.
    pub(super) fn has_route_of(&self, other: &Self) -> bool {
        let Self {
            publisher,
            track,
            rid,
            limit: _,
        } = self;
        (publisher, track, rid) == (&other.publisher, &other.track, &other.rid)
    }
}

impl Line {
    /// What there is of use: one that is stopped has no track any more, and gets none.
    pub(super) fn of_use(transceivers: &[RtpTransceiver]) -> Vec<Self> {
        let of_use = transceivers.iter();
        let of_use = of_use.filter(|one| !one.is_stopping() && !one.is_stopped());
        of_use.map(Self::of).collect()
    }

    fn of(transceiver: &RtpTransceiver) -> Self {
        let current = transceiver.current_direction();
        Self {
            transceiver: transceiver.id(),
            sender: transceiver.sender().id(),
            kind: transceiver.kind(),
            mid: transceiver.mid().cloned(),
            track: transceiver.sender().track().map(MediaStreamTrack::id),
            is_to_send: transceiver.direction().sends(),
            sends: current.is_some_and(RtpTransceiverDirection::sends),
            remote_receives: transceiver.remote_receives(),
        }
    }

    /// Another track may be put here, and the remote side hears of a new one. Where it knows the line as one that
    /// sends, another track would be to it the one before under another name.
    fn is_free_for(&self, kind: MediaKind) -> bool {
        self.is_of_use_for(kind) && !self.sends
    }

    /// It is free after the next negotiation.
    fn is_emptying(&self, kind: MediaKind) -> bool {
        self.is_of_use_for(kind) && self.sends
    }

    /// Nothing is sent or to be sent here, and the remote side would take it: a line on which it only sends is no use.
    fn is_of_use_for(&self, kind: MediaKind) -> bool {
        self.kind == kind && self.track.is_none() && !self.is_to_send && self.remote_receives
    }
}

impl Attachments {
    /// What is to be done so that the lines carry what is wanted and nothing that is released. As many lines as ever
    /// carried something at a time are enough: a track waits rather for one that is about to be free than to
    /// take a new one.
    pub(super) fn plan(&mut self, lines: Vec<Line>, order: &Order) -> Plan {
        self.keep(order);
        self.note(&lines);
        let mut lines = lines;
        let mut plan = Plan::default();
        for line in &mut lines {
            if line.track.is_some_and(|it| order.released.contains(&it)) {
                plan.steps.push(Step::Remove(line.sender));
                line.track = None;
                line.is_to_send = false;
            }
        }
        let mut waiting = HashMap::new();
        for Wanted { track, .. } in &order.wanted {
            if lines.iter().any(|line| line.track == Some(track.id())) {
                continue;
            }
            if self.agreed.get(&track.id()) == Some(&false) {
                plan.rejected.push(track.id());
                continue;
            }
            let waiting = waiting.entry(track.kind()).or_default();
            plan.steps.extend(place(track, &mut lines, waiting));
        }
        plan
    }

    /// A track was put on a sender: perhaps not for the first time, but the remote side has yet to agree to this one.
    pub(super) fn attached(&mut self, track: TrackId) {
        self.agreed.insert(track, false);
    }

    /// What the order does not speak of is forgotten.
    fn keep(&mut self, order: &Order) {
        let wanted = |id: TrackId| order.wanted.iter().any(|it| it.track.id() == id);
        self.agreed.retain(|track, _| wanted(*track));
    }

    /// A track whose line is lost after the remote side had agreed to it, as when it stops a transceiver of its own
    /// that shares the line, may be attached again.
    fn note(&mut self, lines: &[Line]) {
        for line in lines {
            let Some(track) = line.track else { continue };
            if let Some(agreed) = self.agreed.get_mut(&track) {
                *agreed |= line.sends;
            } else {
                self.agreed.insert(track, line.sends);
            }
        }
    }
}

/// Where a track goes, if not on a line that is about to be free.
fn place(track: &MediaStreamTrack, lines: &mut [Line], waiting: &mut usize) -> Option<Step> {
    let kind = track.kind();
    if let Some(line) = lines.iter_mut().find(|line| line.is_free_for(kind)) {
        line.track = Some(track.id());
        return Some(Step::AddTo(line.transceiver, track.clone()));
    }
    let emptying = lines.iter().filter(|line| line.is_emptying(kind)).count();
    if *waiting < emptying {
        *waiting += 1;
        return None;
    }
    Some(Step::Add(track.clone()))
}
