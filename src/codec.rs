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

impl RtpCodec {
    /// Opus, 48 kHz, two channels, with in-band forward error correction (RFC 7587).
    pub fn opus() -> Self {
        Self {
            kind: MediaKind::Audio,
            name: "opus".to_owned(),
            clock_rate_hz: 48_000,
            channels: Some(2),
            fmtp: "minptime=10;useinbandfec=1".to_owned(),
            feedback: Vec::new(),
        }
    }

    /// VP8 (RFC 7741).
    pub fn vp8() -> Self {
        Self::video("VP8", String::new())
    }

    /// VP9 of this profile (RFC 9628).
    pub fn vp9(profile: u8) -> Self {
        Self::video("VP9", format!("profile-id={profile}"))
    }

    /// H.264, constrained baseline, level 3.1, of this packetization mode (RFC 6184 §6.2).
    pub fn h264(packetization_mode: u8) -> Self {
        Self::video(
            "H264",
            format!(
                "level-asymmetry-allowed=1;packetization-mode={packetization_mode};\
                 profile-level-id=42e01f"
            ),
        )
    }

    /// AV1, main profile, level 3.1 (AV1 RTP §7.2).
    pub fn av1() -> Self {
        Self::video("AV1", "level-idx=5;profile=0;tier=0".to_owned())
    }

    fn video(name: &str, fmtp: String) -> Self {
        Self {
            kind: MediaKind::Video,
            name: name.to_owned(),
            clock_rate_hz: 90_000,
            channels: None,
            fmtp,
            feedback: vec![
                RtcpFeedback::Nack,
                RtcpFeedback::Pli,
                RtcpFeedback::Fir,
                RtcpFeedback::Remb,
            ],
        }
    }

    /// The value of one format parameter, for example `packetization-mode`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether both sides mean a format that either can decode: what one encodes by the one
    /// description, the other decodes by the other. Names and clocks must be equal; of the
    /// parameters only those count that change the format (RFC 6184 §8.2.2, RFC 9628 §7.2, AV1
    /// RTP §7.2.3); levels may differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.name.eq_ignore_ascii_case(&other.name)
            && self.clock_rate_hz == other.clock_rate_hz
            && self.channels.unwrap_or(1) == other.channels.unwrap_or(1)
            && self.same_format(other)
    }

    fn same_format(&self, other: &Self) -> bool {
        let same_number = |name, default| self.number(name, default) == other.number(name, default);
        match self.name.to_ascii_uppercase().as_str() {
            "H264" => {
                same_number("packetization-mode", 0) && self.h264_profile() == other.h264_profile()
            }
            "VP9" => same_number("profile-id", 0),
            "AV1" => same_number("profile", 0),
            _ => true,
        }
    }

    /// What an answer says of this codec of ours when `remote` was offered for it: our own
    /// parameters, but no higher H.264 level than offered where levels may not differ
    /// (RFC 6184 §8.2.2).
    pub(crate) fn answer_parameters(&self, remote: &Self) -> String {
        let (Some(ours), Some(theirs)) = (
            self.parameter("profile-level-id"),
            remote.parameter("profile-level-id"),
        ) else {
            return self.fmtp.clone();
        };
        let asymmetric = [self, remote]
            .iter()
            .all(|codec| codec.number("level-asymmetry-allowed", 0) == 1);
        if asymmetric || h264_level(ours) <= h264_level(theirs) {
            return self.fmtp.clone();
        }
        let parameters = self.parameters().map(|(key, value)| {
            if key.eq_ignore_ascii_case("profile-level-id") {
                format!("{key}={theirs}")
            } else {
                format!("{key}={value}")
            }
        });
        parameters.collect::<Vec<_>>().join(";")
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fmtp.split(';').filter_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            Some((key.trim(), value.trim()))
        })
    }

    fn number(&self, name: &str, default: u32) -> u32 {
        match self.parameter(name) {
            Some(text) => text.parse().unwrap_or(default),
            None => default,
        }
    }

    /// Browsers read a missing `profile-level-id` as constrained baseline, where RFC 6184 §8.1 says
    /// baseline; so do we, since constrained baseline is what every such sender means.
    fn h264_profile(&self) -> H264Profile {
        match self.parameter("profile-level-id") {
            Some(text) => H264Profile::from_profile_level_id(text),
            None => H264Profile::ConstrainedBaseline,
        }
    }
}

/// The profiles of RFC 6184, table 5, as far as several numbers mean the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    Extended,
    /// `profile_idc` and `profile-iop` as they stand.
    Other(u8, u8),
    /// Not six hexadecimal digits.
    Unreadable,
}

impl H264Profile {
    fn from_profile_level_id(text: &str) -> Self {
        let Some([profile_idc, profile_iop, _]) = profile_level_id(text) else {
            return Self::Unreadable;
        };
        match profile_idc {
            0x42 if profile_iop & 0x4f == 0x40 => Self::ConstrainedBaseline,
            0x4d if profile_iop & 0x8f == 0x80 => Self::ConstrainedBaseline,
            0x58 if profile_iop & 0xcf == 0xc0 => Self::ConstrainedBaseline,
            0x42 if profile_iop & 0x4f == 0x00 => Self::Baseline,
            0x58 if profile_iop & 0xcf == 0x80 => Self::Baseline,
            0x4d if profile_iop & 0xaf == 0x00 => Self::Main,
            0x58 if profile_iop & 0xcf == 0x00 => Self::Extended,
            _ => Self::Other(profile_idc, profile_iop),
        }
    }
}

fn profile_level_id(text: &str) -> Option<[u8; 3]> {
    if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(text, 16).ok()?;
    let [_, profile_idc, profile_iop, level_idc] = number.to_be_bytes();
    Some([profile_idc, profile_iop, level_idc])
}

fn h264_level(text: &str) -> u8 {
    profile_level_id(text).map_or(0, |[_, _, level_idc]| level_idc)
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

impl RtcpFeedback {
    /// The kind that stands behind the words of an `a=rtcp-fb`, if it is one of ours.
    pub(crate) fn from_words(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        match (words.next()?, words.next()) {
            ("nack", None) => Some(Self::Nack),
            ("nack", Some("pli")) => Some(Self::Pli),
            ("ccm", Some("fir")) => Some(Self::Fir),
            ("transport-cc", None) => Some(Self::TransportCc),
            ("goog-remb", None) => Some(Self::Remb),
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(fmtp: &str) -> RtpCodec {
        RtpCodec {
            fmtp: fmtp.to_owned(),
            ..RtpCodec::h264(1)
        }
    }

    #[test]
    fn c112_h264_matches_by_profile_and_packetization_mode() {
        let ours = RtpCodec::h264(1);
        // Three ways to say constrained baseline, and levels that differ.
        for same in [
            "packetization-mode=1;profile-level-id=42e01f",
            "profile-level-id=42C02A; packetization-mode=1",
            "packetization-mode=1;profile-level-id=4d801f",
            "packetization-mode=1;profile-level-id=58c00d",
            "packetization-mode=1",
        ] {
            assert!(ours.matches(&h264(same)), "{same}");
        }
        for other in [
            "packetization-mode=0;profile-level-id=42e01f",
            "profile-level-id=42e01f",
            "packetization-mode=1;profile-level-id=42001f",
            "packetization-mode=1;profile-level-id=4d001f",
            "packetization-mode=1;profile-level-id=640c1f",
            "packetization-mode=1;profile-level-id=42e0",
            "packetization-mode=1;profile-level-id=+2e01f",
        ] {
            assert!(!ours.matches(&h264(other)), "{other}");
        }
    }

    #[test]
    fn c112_vp9_and_av1_match_by_profile_and_not_by_level() {
        assert!(RtpCodec::vp9(0).matches(&RtpCodec::video("vp9", String::new())));
        assert!(!RtpCodec::vp9(0).matches(&RtpCodec::vp9(2)));
        let high = |fmtp: &str| RtpCodec::video("AV1", fmtp.to_owned());
        assert!(RtpCodec::av1().matches(&high("level-idx=12;tier=1")));
        assert!(!RtpCodec::av1().matches(&high("profile=1")));
    }

    #[test]
    fn names_are_compared_without_case_and_clocks_and_channels_must_be_equal() {
        let gstreamer = RtpCodec {
            name: "OPUS".to_owned(),
            fmtp: String::new(),
            ..RtpCodec::opus()
        };
        assert!(RtpCodec::opus().matches(&gstreamer));
        let mono = RtpCodec {
            channels: None,
            ..RtpCodec::opus()
        };
        assert!(!RtpCodec::opus().matches(&mono));
    }

    #[test]
    fn an_answer_lowers_the_h264_level_only_where_levels_must_be_equal() {
        let ours = RtpCodec::h264(1);
        let strict = h264("packetization-mode=1;profile-level-id=42e00d");
        let free = h264("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e00d");
        assert_eq!(
            ours.answer_parameters(&strict),
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e00d"
        );
        assert_eq!(ours.answer_parameters(&free), ours.fmtp);
    }

    #[test]
    fn feedback_is_read_as_it_is_written() {
        for feedback in [
            RtcpFeedback::Nack,
            RtcpFeedback::Pli,
            RtcpFeedback::Fir,
            RtcpFeedback::TransportCc,
            RtcpFeedback::Remb,
        ] {
            let text = feedback.to_string();
            assert_eq!(RtcpFeedback::from_words(&text), Some(feedback));
        }
        assert_eq!(RtcpFeedback::from_words("nack sli"), None);
    }
}
