//! Why an operation of the negotiation was refused.

use std::fmt;

use super::direction::RtpTransceiverDirection;
use super::transceiver::{SenderId, TransceiverId};
use crate::call::CallError;
use crate::peer_connection::SignalingState;
use crate::rtp::Mid;
use crate::track::{MediaKind, TrackId};

/// Names one m-line of a description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaLine {
    /// Its place, from 0.
    pub index: usize,
    /// Its `a=mid`, if it has one.
    pub mid: Option<Mid>,
}

impl fmt::Display for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mid {
            Some(mid) => write!(f, "m-line {} (mid {mid})", self.index),
            None => write!(f, "m-line {}", self.index),
        }
    }
}

/// Why a description was not made or not applied. Nothing has changed then.
///
/// `InvalidState`, `InvalidModification` and `NothingToRollBack` are the caller's doing. All
/// others say what is wrong with the remote description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The peer connection has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The operation does not fit the signalling state (W3C `InvalidStateError`).
    #[error("{operation} is not possible in signalling state {state}")]
    InvalidState {
        /// What was asked.
        operation: &'static str,
        /// The state it was asked in.
        state: SignalingState,
    },
    /// The local description is not the one made last (W3C `InvalidModificationError`).
    #[error("the local description is not the one that was created last")]
    InvalidModification,
    /// The description is longer than is accepted.
    #[error("the description has {bytes} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The description has more of something than is accepted.
    #[error("the description has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The text is not a session description (RFC 8866).
    #[error("not a session description: {reason}")]
    Malformed {
        /// What was found wrong.
        reason: String,
    },
    /// An attribute that matters cannot be read.
    #[error("{line} has an unreadable attribute a={attribute}")]
    MalformedAttribute {
        /// Where.
        line: MediaLine,
        /// Its name.
        attribute: &'static str,
    },
    /// An m-line that is not rejected has no `a=mid` (RFC 9429 §5.2.1).
    #[error("{line} has no mid")]
    MissingMid {
        /// Which.
        line: MediaLine,
    },
    /// Two m-lines have the same `a=mid` (RFC 5888 §4).
    #[error("{line} has a mid that an earlier one has")]
    DuplicateMid {
        /// The later one.
        line: MediaLine,
    },
    /// Several m-lines, and no BUNDLE group (RFC 9143); one transport is all there is here.
    #[error("the description has several m-lines and no BUNDLE group")]
    MissingBundle,
    /// An m-line stands outside the BUNDLE group.
    #[error("{line} is not in the BUNDLE group")]
    IncompleteBundle {
        /// Which.
        line: MediaLine,
    },
    /// More than one BUNDLE group.
    #[error("the description has several BUNDLE groups")]
    SeveralBundles,
    /// Neither the m-line nor the session has `a=ice-ufrag` and `a=ice-pwd`.
    #[error("{line} has no ICE credentials")]
    MissingIceCredentials {
        /// Which.
        line: MediaLine,
    },
    /// `a=ice-pwd` without `a=ice-ufrag`.
    #[error("{line} has an ice-pwd and no ice-ufrag")]
    MissingIceUfrag {
        /// Which.
        line: MediaLine,
    },
    /// `a=ice-ufrag` without `a=ice-pwd`.
    #[error("{line} has an ice-ufrag and no ice-pwd")]
    MissingIcePwd {
        /// Which.
        line: MediaLine,
    },
    /// Credentials of a wrong length or with wrong characters (RFC 8839 §5.4).
    #[error("{line} has ICE credentials that are too short, too long or not ice-chars")]
    InvalidIceCredentials {
        /// Which.
        line: MediaLine,
    },
    /// Bundled m-lines with different ICE credentials.
    #[error("{line} has other ICE credentials than the m-lines it is bundled with")]
    ConflictingIceCredentials {
        /// The first that differs.
        line: MediaLine,
    },
    /// Neither the m-line nor the session has `a=fingerprint`.
    #[error("{line} has no fingerprint")]
    MissingFingerprint {
        /// Which.
        line: MediaLine,
    },
    /// Only fingerprints of hash functions that are not trusted (RFC 8122 §5).
    #[error("{line} has no fingerprint by a trusted hash function, only {algorithm}")]
    UnsupportedFingerprint {
        /// Which.
        line: MediaLine,
        /// The hash function it names.
        algorithm: String,
    },
    /// Bundled m-lines with different fingerprints.
    #[error("{line} has other fingerprints than the m-lines it is bundled with")]
    ConflictingFingerprints {
        /// The first that differs.
        line: MediaLine,
    },
    /// `a=setup` has a value that does not fit (RFC 8842 §5).
    #[error("{line} has an a=setup that does not fit a description of this type")]
    InvalidSetup {
        /// Which.
        line: MediaLine,
    },
    /// No `a=rtcp-mux`: RTP and RTCP share one port here (RFC 5761).
    #[error("{line} does not offer rtcp-mux")]
    MissingRtcpMux {
        /// Which.
        line: MediaLine,
    },
    /// Fewer m-lines than before, or an answer with another number than its offer.
    #[error("the description has {found} m-lines where {expected} are due")]
    WrongNumberOfMediaLines {
        /// As many there must be (at least, in an offer).
        expected: usize,
        /// As many there are.
        found: usize,
    },
    /// An m-line in use has another media kind or mid than before (RFC 9429 §5.5).
    #[error("{line} is not the one that stood there before")]
    MediaLineChanged {
        /// Which.
        line: MediaLine,
    },
    /// The answer accepts an m-line that the offer rejects.
    #[error("{line} is accepted by the answer but was not offered")]
    NotOffered {
        /// Which.
        line: MediaLine,
    },
    /// Our offer restarts ICE, and the answer goes on with the old credentials (RFC 8839 §4.2).
    #[error("{line} answers an ICE restart without new ICE credentials")]
    IceRestartIgnored {
        /// The m-line whose transport all share.
        line: MediaLine,
    },
    /// The answer has new ICE credentials, and our offer did not restart ICE (RFC 8839 §4.2).
    #[error("{line} restarts ICE in an answer, which was not offered")]
    UnexpectedIceRestart {
        /// The m-line whose transport all share.
        line: MediaLine,
    },
    /// Correct, but beyond what is implemented.
    #[error("{feature} is not supported")]
    NotSupported {
        /// What.
        feature: &'static str,
    },
}

/// Why a remote candidate was refused. The session goes on without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// The peer connection has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The connection is closed (W3C `InvalidStateError`).
    #[error("the connection is closed")]
    Closed,
    /// Neither `sdpMid` nor `sdpMLineIndex` (W3C `TypeError`).
    #[error("the candidate names no m-line")]
    MissingMediaLine,
    /// No m-line of the remote description has this mid (W3C `OperationError`).
    #[error("the remote description has no m-line with mid {mid}")]
    UnknownMid {
        /// The candidate's `sdpMid`.
        mid: String,
    },
    /// The remote description has fewer m-lines (W3C `OperationError`).
    #[error("the remote description has no m-line {index}")]
    UnknownMediaLineIndex {
        /// The candidate's `sdpMLineIndex`.
        index: u16,
    },
    /// The candidate belongs to another ICE session (W3C `OperationError`).
    #[error("the remote description has no ice-ufrag {username_fragment}")]
    UnknownUsernameFragment {
        /// The candidate's `usernameFragment`.
        username_fragment: String,
    },
    /// The text is not a candidate (RFC 8839 §5.1).
    #[error("the candidate's {part} is missing or unreadable")]
    Malformed {
        /// The first part that is wrong.
        part: &'static str,
    },
    /// More candidates than one session takes.
    #[error("more than {limit} remote candidates")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// Why parameters of a sender were not given or not taken: the caller's doing. Nothing has changed
/// then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// The peer connection has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The connection is closed (W3C `InvalidStateError`).
    #[error("the connection is closed")]
    Closed,
    /// No sender of this connection (W3C `InvalidAccessError`).
    #[error("{id} is not a sender of this connection")]
    UnknownSender {
        /// What was given.
        id: SenderId,
    },
    /// The transceiver has been stopped (W3C `InvalidStateError`).
    #[error("{id} has been stopped")]
    Stopped {
        /// Which.
        id: TransceiverId,
    },
    /// The parameters have not been read since they were set, or negotiated, last (W3C
    /// `InvalidStateError`).
    #[error("the parameters have not been read since they changed last")]
    NotRead,
    /// What only a negotiation can change is not as it was read (W3C `InvalidModificationError`).
    #[error("{parameter} is not as it was read, and cannot be changed")]
    InvalidModification {
        /// What.
        parameter: &'static str,
    },
    /// The parameter is for an encoder, and there is none here (W3C `OperationError`).
    #[error("{parameter} is not supported, since nothing is encoded here")]
    NotSupported {
        /// What.
        parameter: &'static str,
    },
    /// The sender has not negotiated this codec (W3C `InvalidModificationError`).
    #[error("codec {name} is not negotiated for this sender")]
    CodecNotNegotiated {
        /// Its name.
        name: String,
    },
    /// The transceiver is not to send at all.
    #[error("a transceiver of direction {direction} sends no codec")]
    DoesNotSend {
        /// Its direction.
        direction: RtpTransceiverDirection,
    },
}

/// Why an operation on transceivers, senders or tracks was refused: the caller's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransceiverError {
    /// The peer connection has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The connection is closed (W3C `InvalidStateError`).
    #[error("the connection is closed")]
    Closed,
    /// No transceiver of this connection.
    #[error("{id} is not a transceiver of this connection")]
    UnknownTransceiver {
        /// What was given.
        id: TransceiverId,
    },
    /// No sender of this connection (W3C `InvalidAccessError`).
    #[error("{id} is not a sender of this connection")]
    UnknownSender {
        /// What was given.
        id: SenderId,
    },
    /// The transceiver has been stopped (W3C `InvalidStateError`).
    #[error("{id} has been stopped")]
    Stopped {
        /// Which.
        id: TransceiverId,
    },
    /// A sender has this track already (W3C `InvalidAccessError`).
    #[error("{track} is already being sent")]
    TrackAlreadyAdded {
        /// Which.
        track: TrackId,
    },
    /// A sender of one kind cannot send a track of the other (W3C `TypeError`).
    #[error("a sender of {expected} cannot send {found}")]
    KindMismatch {
        /// The sender's.
        expected: MediaKind,
        /// The track's.
        found: MediaKind,
    },
    /// `stopped` is not a direction to be set (W3C `TypeError`); there is `stop` for it.
    #[error("{direction} is not a direction that can be set")]
    InvalidDirection {
        /// What was given.
        direction: RtpTransceiverDirection,
    },
    /// A transceiver keeps no more codecs than it has in its preferences, and one at least must
    /// be of the configuration (W3C `InvalidModificationError`).
    #[error("none of the preferred codecs is configured")]
    NoPreferredCodec,
    /// The encodings that a new transceiver was to send cannot be sent (W3C `TypeError`, `OperationError` for what only an
    /// encoder could do).
    #[error("encodings cannot be sent: {problem}")]
    InvalidEncodings {
        /// What is wrong.
        problem: &'static str,
    },
    /// More transceivers than a connection takes.
    #[error("more than {limit} transceivers")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}
