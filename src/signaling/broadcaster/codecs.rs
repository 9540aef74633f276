//! What encoders send.

use crate::codec::RtpCodec;
use crate::configuration::{CodecConfiguration, MediaConfiguration};
use crate::rtp::PayloadType;
use crate::track::MediaKind;

/// What to negotiate with encoders and with who watches them: the default, which is for browsers, and H.264 in the profiles
/// that encoders use as well: baseline, main and high. A viewer that does not know the publisher's profile is not sent it, and told as
/// [`BroadcasterEvent::CannotDecode`](super::BroadcasterEvent::CannotDecode).
///
/// The [default](super::Broadcaster::builder) of a Broadcaster.
pub fn encoder_media() -> MediaConfiguration {
    let default = MediaConfiguration::default();
    let profiles = PROFILES.map(|(profile_level_id, payload_type, rtx)| {
        let mut codec = RtpCodec::h264(1);
        codec.fmtp = format!(
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile_level_id}"
        );
        CodecConfiguration::new(codec, number(payload_type)).with_rtx(number(rtx))
    });
    let video = default.codecs(MediaKind::Video).cloned().chain(profiles);
    MediaConfiguration::builder()
        .codecs(MediaKind::Video, video.collect::<Vec<_>>())
        .build()
        .expect("the numbers are not those of the default")
}

fn number(payload_type: u8) -> PayloadType {
    PayloadType::new(payload_type).expect("these have seven bits")
}

/// `profile-level-id` (RFC 6184 §8.1), of level 3.1 as the other ones; the numbers of its packets and retransmissions.
const PROFILES: [(&str, u8, u8); 3] = [
    ("42001f", 102, 103),
    ("4d001f", 104, 105),
    ("64001f", 106, 107),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_of_h264_that_encoders_use_is_known() {
        let media = encoder_media();
        for profile in ["42e01f", "42c01e", "420028", "42001f", "4d0028", "640032"] {
            let mut codec = RtpCodec::h264(1);
            codec.fmtp = format!("packetization-mode=1;profile-level-id={profile}");
            let mut known = media.codecs(MediaKind::Video);
            assert!(known.any(|one| one.codec.matches(&codec)), "{profile}");
        }
        let default = MediaConfiguration::default();
        assert!(
            default
                .codecs(MediaKind::Video)
                .eq(media.codecs(MediaKind::Video).take(5))
        );
    }
}
