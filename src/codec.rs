//! Codecs as they are negotiated.

use std::fmt;

use crate::track::MediaKind;

/// A codec and its parameters (W3C `RTCRtpCodec`), without payload type: that belongs to a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RtpCodec {
    /// Sound or pictures.
    pub kind: MediaKind,
    /// Encoding name as in `a=rtpmap`, for example `VP8` or `opus`; compared without case.
    pub name: String,
    /// Units of the RTP timestamp in a second.
    pub clock_rate_hz: u32,
    /// Channels of sound; `None` for pictures.
    pub channels: Option<u8>,
    /// Format parameters as in `a=fmtp`, empty when there are none.
    pub fmtp: String,
    /// RTCP feedback it wants.
    pub feedback: Vec<RtcpFeedback>,
}

/// One kind of RTCP feedback (`a=rtcp-fb`, RFC 4585 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RtcpFeedback {
    /// `nack`: generic retransmission requests (RFC 4585).
    Nack,
    /// `nack pli`: picture loss indication (RFC 4585).
    Pli,
    /// `ccm fir`: full intra request (RFC 5104).
    Fir,
    /// `transport-cc`: transport-wide congestion control feedback.
    TransportCc,
    /// `goog-remb`: receiver estimated maximum bitrate.
    Remb,
}

impl fmt::Display for RtcpFeedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nack => "nack",
            Self::Pli => "nack pli",
            Self::Fir => "ccm fir",
            Self::TransportCc => "transport-cc",
            Self::Remb => "goog-remb",
        })
    }
}
