//! Statistics in W3C's shape (webrtc-stats): what `getStats()` of a browser tells, of our side.
//!
//! [`PeerConnection::get_stats`](crate::PeerConnection::get_stats) gives a [`StatsReport`]: a set of objects, each with an id, a
//! moment and a type, that name each other by their ids. Its JSON is what `Object.fromEntries(report)` gives in a page, so
//! tools that read a browser's statistics read ours.
//!
//! | object | one for each | of note |
//! | --- | --- | --- |
//! | [`InboundRtpStats`] | SSRC of media that has been heard | `trackIdentifier` as the remote side names it; with `rid` where it is one of several encodings |
//! | [`OutboundRtpStats`] | SSRC that is sent, or may be again | |
//! | [`RemoteInboundRtpStats`] | of those, what the remote side reports on | loss and round-trip time |
//! | [`RemoteOutboundRtpStats`] | of those heard, what the remote side reports on | |
//! | [`CodecStats`] | codec in use, each way | |
//! | [`MediaSourceStats`] | track that the application sends by hand | none for what a route feeds: its source is with another peer |
//! | [`TransportStats`] | the one transport, from the first description on | state, ciphers, bytes |
//! | [`CandidatePairStats`] | pair on which something has passed | checks, consent, round-trip time |
//! | [`IceCandidateStats`] | candidate, `local-candidate` or `remote-candidate` | |
//! | [`CertificateStats`] | certificate, ours and the remote side's | |
//! | [`PeerConnectionStats`] | peer | |
//! | [`MediaPathStats`] | peer; ours, not W3C's | every drop by its cause |
//! | [`LaneStats`] | queue of the media path; ours | how full it is, and was |
//! | [`GuardStats`] | peer, from the first description on; ours | what the guards of ICE and DTLS have refused |
//! | [`RetransmissionCacheStats`] | SSRC that may be asked for packets again; ours | what is kept, and how often it was of use |
//!
//! What only an encoder, a decoder or a jitter buffer can know is left out: frames, resolutions, quality, playout. So is what
//! is not measured.
//!
//! **Cost.** Nothing is done for a report while nobody asks. Who asks has the actors of the peer copy their counts, which takes each of them some
//! microseconds, and never more often than every [`MIN_INTERVAL`]: whoever asks sooner gets the same report again.

mod assemble;
mod json;
mod objects;
mod report;
mod rtp;
mod transport;

use std::time::Duration;

pub(crate) use self::assemble::{ControlSnapshot, Sources};
pub use self::objects::{
    GuardStats, LaneStats, MediaPathStats, PeerConnectionStats, RetransmissionCacheStats, Stats,
    StatsType,
};
pub use self::report::{StatsError, StatsReport};
pub use self::rtp::{
    CodecStats, InboundRtpStats, MediaSourceStats, OutboundRtpStats, RemoteInboundRtpStats,
    RemoteOutboundRtpStats,
};
pub use self::transport::{
    CandidatePairState, CandidatePairStats, CertificateStats, IceCandidateStats, IceCandidateType,
    TransportStats,
};

/// A report is at least so much younger than the one before it, however often one is asked for; browsers do the same.
pub const MIN_INTERVAL: Duration = Duration::from_millis(50);
