//! Transceivers, senders and receivers (W3C webrtc-pc §5).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::direction::RtpTransceiverDirection;
use super::parameters::{RtpEncodingParameters, RtpSendParameters};
use crate::codec::RtpCodec;
use crate::rtp::{Mid, Rid, Ssrc};
use crate::track::{MediaKind, MediaStreamTrack, StreamId};

macro_rules! process_local_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            pub(crate) fn next() -> Self {
                static NEXT: AtomicU64 = AtomicU64::new(1);
                Self(NEXT.fetch_add(1, Ordering::Relaxed))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0)
            }
        }
    };
}

process_local_id! {
    /// Names one transceiver within this process. Never used again for another one.
    TransceiverId, "transceiver"
}
process_local_id! {
    /// Names one sender within this process. Never used again for another one.
    SenderId, "sender"
}
process_local_id! {
    /// Names one receiver within this process. Never used again for another one.
    ReceiverId, "receiver"
}

/// A transceiver as it was when asked for (W3C `RTCRtpTransceiver`): one m-line's sender and
/// receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpTransceiver {
    id: TransceiverId,
    kind: MediaKind,
    mid: Option<Mid>,
    direction: RtpTransceiverDirection,
    current_direction: Option<RtpTransceiverDirection>,
    stopping: bool,
    stopped: bool,
    remote_receives: bool,
    sender: RtpSender,
    receiver: RtpReceiver,
}

impl RtpTransceiver {
    /// Its name within this process.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// Sound or pictures.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The m-line it belongs to; `None` before a description names one.
    pub fn mid(&self) -> Option<&Mid> {
        self.mid.as_ref()
    }

    /// What we want; `Stopped` from `stop()` on.
    pub fn direction(&self) -> RtpTransceiverDirection {
        if self.stopping {
            RtpTransceiverDirection::Stopped
        } else {
            self.direction
        }
    }

    /// What both sides agreed on last; `None` before that, `Stopped` after the end.
    pub fn current_direction(&self) -> Option<RtpTransceiverDirection> {
        if self.stopped {
            Some(RtpTransceiverDirection::Stopped)
        } else {
            self.current_direction
        }
    }

    /// `stop()` was called; the next negotiation tells the remote side.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// It is over; its m-line is or will be rejected.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the remote side would take what is sent here, as far as it has said.
    pub(crate) fn remote_receives(&self) -> bool {
        self.remote_receives
    }

    /// The sending half.
    pub fn sender(&self) -> &RtpSender {
        &self.sender
    }

    /// The receiving half.
    pub fn receiver(&self) -> &RtpReceiver {
        &self.receiver
    }
}

/// The sending half of a transceiver as it was when asked for (W3C `RTCRtpSender`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpSender {
    id: SenderId,
    track: Option<MediaStreamTrack>,
    ssrc: Ssrc,
    rids: Vec<Rid>,
}

impl RtpSender {
    /// Its name within this process.
    pub fn id(&self) -> SenderId {
        self.id
    }

    /// The track it sends, if it has one now.
    pub fn track(&self) -> Option<&MediaStreamTrack> {
        self.track.as_ref()
    }

    /// What its packets carry as SSRC; those of the first encoding where there are several.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The names of its encodings (simulcast); none where it has one without a name, as is the rule.
    pub fn rids(&self) -> &[Rid] {
        &self.rids
    }
}

/// The receiving half of a transceiver as it was when asked for (W3C `RTCRtpReceiver`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpReceiver {
    id: ReceiverId,
    track: MediaStreamTrack,
}

impl RtpReceiver {
    /// Its name within this process.
    pub fn id(&self) -> ReceiverId {
        self.id
    }

    /// The remote track.
    pub fn track(&self) -> &MediaStreamTrack {
        &self.track
    }
}

/// What a new transceiver is made from (W3C `addTransceiver(trackOrKind)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackOrKind {
    /// A track to send.
    Track(MediaStreamTrack),
    /// Nothing to send yet.
    Kind(MediaKind),
}

impl From<MediaStreamTrack> for TrackOrKind {
    fn from(track: MediaStreamTrack) -> Self {
        Self::Track(track)
    }
}

impl From<&MediaStreamTrack> for TrackOrKind {
    fn from(track: &MediaStreamTrack) -> Self {
        Self::Track(track.clone())
    }
}

impl From<MediaKind> for TrackOrKind {
    fn from(kind: MediaKind) -> Self {
        Self::Kind(kind)
    }
}

/// How a new transceiver begins (W3C `RTCRtpTransceiverInit`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RtpTransceiverInit {
    /// Which way media shall flow.
    pub direction: RtpTransceiverDirection,
    /// The streams that what we send belongs to, besides those of the track.
    pub streams: Vec<StreamId>,
    /// What is sent of the track (simulcast): each encoding is fed by itself, by [`send_rtp_encoding`] or [`set_route_encoding`], since
    /// nothing is encoded here. Several must all have names, of letters and digits and at most 16 of them, no two alike; a
    /// single one loses its name, and of sound only the first is taken. None: one.
    ///
    /// [`send_rtp_encoding`]: crate::PeerConnection::send_rtp_encoding
    /// [`set_route_encoding`]: crate::PeerConnection::set_route_encoding
    pub send_encodings: Vec<RtpEncodingParameters>,
}

impl From<RtpTransceiverDirection> for RtpTransceiverInit {
    fn from(direction: RtpTransceiverDirection) -> Self {
        Self {
            direction,
            ..Self::default()
        }
    }
}

/// A transceiver with all that negotiation knows of it.
#[derive(Clone, Debug)]
pub(super) struct Transceiver {
    pub(super) id: TransceiverId,
    pub(super) kind: MediaKind,
    /// The m-line it belongs to.
    pub(super) mid: Option<Mid>,
    pub(super) direction: RtpTransceiverDirection,
    pub(super) current_direction: Option<RtpTransceiverDirection>,
    /// The direction that the last remote description gave it, seen from our side: tells whether
    /// the owner has heard of the track (W3C `[[FiredDirection]]`).
    pub(super) fired_direction: RtpTransceiverDirection,
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    /// What the remote side has said of this, in its offers and in answers to what we offered to send: it may not want to
    /// receive where it sends.
    pub(super) remote_receives: bool,
    /// By whom it was made: an m-line that a remote offer adds takes only one that `add_track`
    /// made (RFC 9429 §5.10), and a rollback removes only one that the offer made.
    pub(super) origin: Origin,
    /// Empty: all of the configuration.
    pub(super) preferences: Vec<RtpCodec>,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    AddTrack,
    AddTransceiver,
    RemoteOffer,
}

#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) id: SenderId,
    pub(super) track: Option<MediaStreamTrack>,
    pub(super) streams: Vec<StreamId>,
    /// The second half of `a=msid`: keeps its value when the track is replaced, as W3C wants.
    pub(super) msid_track: String,
    /// One at least; all of several have names.
    pub(super) encodings: Vec<Encoding>,
    /// A negotiation has let it send with the SSRCs of its encodings.
    pub(super) ssrcs_are_used: bool,
    /// What the application may come back with (W3C `[[LastReturnedParameters]]`).
    pub(super) parameters_read: Option<RtpSendParameters>,
    /// A negotiation has let it send: `add_track` uses such a one no more (W3C §5.1).
    pub(super) has_sent: bool,
}

/// One encoding of what a sender sends.
#[derive(Clone, Debug)]
pub(super) struct Encoding {
    pub(super) rid: Option<Rid>,
    pub(super) ssrc: Ssrc,
    pub(super) rtx_ssrc: Ssrc,
    /// Whether what it is given is sent on.
    pub(super) active: bool,
    /// The only codec that is sent; `None`: all that were negotiated.
    pub(super) codec: Option<RtpCodec>,
}

#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) id: ReceiverId,
    pub(super) track: MediaStreamTrack,
}

impl Transceiver {
    pub(super) fn new(kind: MediaKind, origin: Origin, ssrcs: (Ssrc, Ssrc)) -> Self {
        // Only its label is used: whatever is sent without a track needs a name too.
        let placeholder = MediaStreamTrack::new(kind, []);
        Self {
            id: TransceiverId::next(),
            kind,
            mid: None,
            direction: RtpTransceiverDirection::RecvOnly,
            current_direction: None,
            fired_direction: RtpTransceiverDirection::Inactive,
            stopping: false,
            stopped: false,
            remote_receives: true,
            origin,
            preferences: Vec::new(),
            sender: Sender {
                id: SenderId::next(),
                track: None,
                streams: Vec::new(),
                msid_track: placeholder.label().to_owned(),
                encodings: vec![Encoding::new(ssrcs)],
                ssrcs_are_used: false,
                parameters_read: None,
                has_sent: false,
            },
            receiver: Receiver {
                id: ReceiverId::next(),
                track: MediaStreamTrack::new(kind, []),
            },
        }
    }

    /// What the application sees.
    pub(super) fn snapshot(&self) -> RtpTransceiver {
        RtpTransceiver {
            id: self.id,
            kind: self.kind,
            mid: self.mid.clone(),
            direction: self.direction,
            current_direction: self.current_direction,
            stopping: self.stopping,
            stopped: self.stopped,
            remote_receives: self.remote_receives,
            sender: self.sender.snapshot(),
            receiver: self.receiver.snapshot(),
        }
    }

    /// Gives the sender a track and, where a first one comes, its names.
    pub(super) fn attach(&mut self, track: &MediaStreamTrack) {
        if self.sender.track.is_none() && !self.sender.has_sent && self.mid.is_none() {
            track.label().clone_into(&mut self.sender.msid_track);
        }
        self.sender.track = Some(track.clone());
    }

    /// Takes over what both sides agreed on.
    pub(super) fn settle(&mut self, direction: RtpTransceiverDirection) {
        self.current_direction = Some(direction);
        self.sender.has_sent |= direction.sends();
        self.sender.ssrcs_are_used |= direction.sends();
    }

    /// It has sent, and may not any more.
    pub(super) fn is_paused(&self) -> bool {
        let sends = |direction: RtpTransceiverDirection| direction.sends();
        self.sender.ssrcs_are_used && !self.current_direction.is_some_and(sends)
    }

    pub(super) fn is_free_for(&self, kind: MediaKind) -> bool {
        self.kind == kind
            && self.sender.track.is_none()
            && !self.sender.has_sent
            && !self.stopping
            && !self.stopped
    }
}

impl Encoding {
    pub(super) fn new((ssrc, rtx_ssrc): (Ssrc, Ssrc)) -> Self {
        Self {
            rid: None,
            ssrc,
            rtx_ssrc,
            active: true,
            codec: None,
        }
    }
}

impl Sender {
    pub(super) fn snapshot(&self) -> RtpSender {
        RtpSender {
            id: self.id,
            track: self.track.clone(),
            ssrc: self.first().ssrc,
            rids: self.rids(),
        }
    }

    /// The encoding that is sent where the remote side takes one only.
    pub(super) fn first(&self) -> &Encoding {
        self.encodings.first().expect("a sender has an encoding")
    }

    /// The encoding of this name.
    pub(super) fn encoding(&self, rid: Option<&Rid>) -> Option<&Encoding> {
        let mut encodings = self.encodings.iter();
        encodings.find(|encoding| encoding.rid.as_ref() == rid)
    }

    /// The names of all encodings.
    pub(super) fn rids(&self) -> Vec<Rid> {
        let rids = self.encodings.iter().map(|encoding| encoding.rid.clone());
        rids.flatten().collect()
    }

    /// An answer takes these encodings of ours and no others; none of them by name, so that the first is left
    /// (W3C §4.4.1.5).
    pub(super) fn keep_encodings(&mut self, taken: &[Rid]) {
        let is_taken = |it: &Encoding| it.rid.as_ref().is_some_and(|rid| taken.contains(rid));
        if self.encodings.iter().any(is_taken) {
            self.encodings.retain(is_taken);
        } else {
            self.encodings.truncate(1);
        }
    }
}

impl Receiver {
    pub(super) fn snapshot(&self) -> RtpReceiver {
        RtpReceiver {
            id: self.id,
            track: self.track.clone(),
        }
    }
}
