//! Header extensions by URI (RFC 8285), and the values of those that this crate reads.

use std::fmt;
use std::str;

/// A header extension that this crate knows by name (W3C `RTCRtpHeaderExtensionParameters.uri`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderExtension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRid,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`.
    TransportWideCc,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`: which layers a frame is of, and
    /// what it refers to (AV1 RTP, appendix A). Read by those who leave out layers, and handed on with frame numbers that go on across sources. Of
    /// frames that are left out no other one speaks. Chromium decodes only one spatial layer of AV1 without it.
    DependencyDescriptor,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`: how long the receiver is to wait before it shows a picture
    /// ([`PlayoutDelay`](super::PlayoutDelay)). What a source says is handed on. Where packets come late because repairs get lost as well, and the
    /// source says nothing, the sending half asks the receiver to wait for them.
    PlayoutDelay,
    /// Any other, by its URI.
    Other(String),
}

impl HeaderExtension {
    /// The URI as it stands in `a=extmap`.
    pub fn uri(&self) -> &str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::TransportWideCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::Other(uri) => uri,
        }
    }

    /// The extension of this URI.
    pub fn from_uri(uri: &str) -> Self {
        [
            Self::Mid,
            Self::Rid,
            Self::RepairedRid,
            Self::TransportWideCc,
            Self::AudioLevel,
            Self::DependencyDescriptor,
            Self::PlayoutDelay,
        ]
        .into_iter()
        .find(|known| known.uri() == uri)
        .unwrap_or_else(|| Self::Other(uri.to_owned()))
    }

    /// Whether a forwarder may hand the value on as it is. The others speak of one transport or
    /// one negotiation, and every sender writes its own.
    pub(super) fn is_forwarded(&self) -> bool {
        match self {
            Self::Mid | Self::Rid | Self::RepairedRid | Self::TransportWideCc => false,
            Self::DependencyDescriptor | Self::AudioLevel | Self::PlayoutDelay | Self::Other(_) => {
                true
            }
        }
    }
}

impl fmt::Display for HeaderExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

/// Which extension stands behind which identifier in one direction of one m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionMap {
    /// `(identifier 1..=255, extension)`, no identifier and no extension twice.
    pub(crate) entries: Vec<(u8, HeaderExtension)>,
    /// Packets with one-byte and with two-byte elements may alternate (`a=extmap-allow-mixed`,
    /// RFC 8285 §6).
    pub(crate) mixed: bool,
}

impl ExtensionMap {
    /// The identifier of an extension, if negotiated.
    pub(crate) fn id(&self, extension: &HeaderExtension) -> Option<u8> {
        self.entries
            .iter()
            .find(|(_, known)| known == extension)
            .map(|(id, _)| *id)
    }

    /// Two-byte elements may be written: mixing was negotiated, or an identifier needs them.
    pub(super) fn allows_two_byte(&self) -> bool {
        self.mixed || self.entries.iter().any(|(id, _)| *id > 14)
    }
}

/// How loud the sound of a packet is (RFC 6464 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender believes that there is speech.
    pub voice: bool,
    /// Decibels below overload, 0 (loudest) to 127 (silence).
    pub level: u8,
}

impl AudioLevel {
    /// Reads the extension's value; `None` when it is empty.
    pub fn parse(value: &[u8]) -> Option<Self> {
        value.first().map(|byte| Self {
            voice: byte & 0x80 != 0,
            level: byte & 0x7f,
        })
    }

    /// The extension's value; levels above 127 count as 127.
    pub fn to_byte(self) -> u8 {
        u8::from(self.voice) << 7 | self.level.min(127)
    }
}

/// The text of a MID or RID element. `None` for what no description can contain: anything but
/// visible ASCII, or nothing at all (RFC 9143 §14.2, RFC 8852 §3).
pub(crate) fn read_token(value: &[u8]) -> Option<&str> {
    // Some senders fill up with zeros (RFC 7941 §4.1.1 has the length without them).
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_uri_leads_back_to_its_extension() {
        for extension in [
            HeaderExtension::Mid,
            HeaderExtension::Rid,
            HeaderExtension::RepairedRid,
            HeaderExtension::TransportWideCc,
            HeaderExtension::AudioLevel,
            HeaderExtension::DependencyDescriptor,
            HeaderExtension::PlayoutDelay,
            HeaderExtension::Other("urn:3gpp:video-orientation".to_owned()),
        ] {
            assert_eq!(HeaderExtension::from_uri(extension.uri()), extension);
        }
    }

    #[test]
    fn an_extension_is_found_under_its_identifier() {
        let map = ExtensionMap {
            entries: vec![(4, HeaderExtension::Mid)],
            mixed: false,
        };
        assert_eq!(map.id(&HeaderExtension::Mid), Some(4));
        assert_eq!(map.id(&HeaderExtension::Rid), None);
    }

    #[test]
    fn an_audio_level_survives_a_round_trip() {
        let level = AudioLevel {
            voice: true,
            level: 42,
        };
        assert_eq!(AudioLevel::parse(&[level.to_byte()]), Some(level));
        assert_eq!(AudioLevel::parse(&[]), None);
    }

    #[test]
    fn a_token_of_unseemly_bytes_is_no_token() {
        assert_eq!(read_token(b"0"), Some("0"));
        assert_eq!(read_token(b"hi\0\0"), Some("hi"));
        assert_eq!(read_token(b""), None);
        assert_eq!(read_token(b"\0"), None);
        assert_eq!(read_token(b"a b"), None);
        assert_eq!(read_token(&[0xff]), None);
    }
}
