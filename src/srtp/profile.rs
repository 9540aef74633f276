//! The protection profiles, their sizes, and their counterparts in webrtc-srtp.

use webrtc_srtp::protection_profile::ProtectionProfile;

/// How media is protected (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SrtpProfile {
    /// AEAD_AES_128_GCM.
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM.
    AeadAes256Gcm,
    /// AES128_CM_HMAC_SHA1_80.
    Aes128CmHmacSha1_80,
}

impl SrtpProfile {
    /// Bytes of the master key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt (RFC 7714 §12: 12 for GCM; RFC 3711 §8.2: 14 for CM).
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// Bytes by which an RTP packet grows when it is protected: the tag.
    pub const fn rtp_overhead(self) -> usize {
        self.tag_len()
    }

    /// Bytes by which an RTCP packet grows when it is protected: the tag and the word with the
    /// encryption flag and the SRTCP index.
    pub const fn rtcp_overhead(self) -> usize {
        self.tag_len() + 4
    }

    const fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmHmacSha1_80 => 10,
        }
    }

    /// The name of this profile in webrtc-srtp.
    pub(crate) const fn to_webrtc(self) -> ProtectionProfile {
        match self {
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            Self::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_the_same_lengths_in_webrtc_srtp() {
        for profile in [
            SrtpProfile::AeadAes128Gcm,
            SrtpProfile::AeadAes256Gcm,
            SrtpProfile::Aes128CmHmacSha1_80,
        ] {
            let theirs = profile.to_webrtc();
            assert_eq!(theirs.key_len(), profile.key_len());
            assert_eq!(theirs.salt_len(), profile.salt_len());
        }
    }
}
