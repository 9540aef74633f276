//! Keying material, as it comes out of the DTLS handshake.

use std::fmt;

use webrtc_srtp::config::SessionKeys;

use super::error::{KeyPart, SrtpError};
use super::profile::SrtpProfile;

/// Master keys and salts of both directions, as DTLS exports them (RFC 5764 §4.2).
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// The negotiated profile.
    pub profile: SrtpProfile,
    /// What we protect with.
    pub local: SrtpMasterKey,
    /// What the remote side protects with.
    pub remote: SrtpMasterKey,
}

/// Master key and master salt of one direction. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpMasterKey {
    /// 16 or 32 bytes.
    pub key: Vec<u8>,
    /// 12 bytes for GCM, 14 for CM.
    pub salt: Vec<u8>,
}

impl SrtpKeys {
    /// What `webrtc_srtp::config::Config::extract_session_keys_from_dtls` has put into its `keys`,
    /// with the lengths checked.
    pub(crate) fn from_session_keys(
        profile: SrtpProfile,
        keys: SessionKeys,
    ) -> Result<Self, SrtpError> {
        let keys = Self {
            profile,
            local: SrtpMasterKey {
                key: keys.local_master_key,
                salt: keys.local_master_salt,
            },
            remote: SrtpMasterKey {
                key: keys.remote_master_key,
                salt: keys.remote_master_salt,
            },
        };
        keys.local.check(profile)?;
        keys.remote.check(profile)?;
        Ok(keys)
    }
}

impl SrtpMasterKey {
    /// Whether both parts have the lengths of the profile.
    pub(super) fn check(&self, profile: SrtpProfile) -> Result<(), SrtpError> {
        let length = |part, expected, actual| {
            if expected == actual {
                Ok(())
            } else {
                Err(SrtpError::KeyLength {
                    part,
                    expected,
                    actual,
                })
            }
        };
        length(KeyPart::Key, profile.key_len(), self.key.len())?;
        length(KeyPart::Salt, profile.salt_len(), self.salt.len())
    }
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKeys")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SrtpMasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpMasterKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session_keys(key: usize, salt: usize) -> SessionKeys {
        SessionKeys {
            local_master_key: vec![1; key],
            local_master_salt: vec![2; salt],
            remote_master_key: vec![3; key],
            remote_master_salt: vec![4; salt],
        }
    }

    #[test]
    fn exported_keys_keep_their_sides() {
        let keys = SrtpKeys::from_session_keys(SrtpProfile::AeadAes256Gcm, session_keys(32, 12));
        let keys = keys.expect("the lengths are right");
        assert_eq!((keys.local.key[0], keys.local.salt[0]), (1, 2));
        assert_eq!((keys.remote.key[0], keys.remote.salt[0]), (3, 4));
    }

    #[test]
    fn exported_keys_of_another_length_are_refused() {
        let keys = SrtpKeys::from_session_keys(SrtpProfile::AeadAes128Gcm, session_keys(16, 14));
        assert_eq!(
            keys,
            Err(SrtpError::KeyLength {
                part: KeyPart::Salt,
                expected: 12,
                actual: 14
            })
        );
    }

    #[test]
    fn debug_output_shows_no_key() {
        let key = SrtpMasterKey {
            key: vec![0xab; 16],
            salt: vec![0xcd; 12],
        };
        let keys = SrtpKeys {
            profile: SrtpProfile::AeadAes128Gcm,
            local: key.clone(),
            remote: key.clone(),
        };
        for shown in [format!("{key:?}"), format!("{keys:#?}")] {
            assert!(!shown.contains("171") && !shown.contains("205"), "{shown}");
        }
    }
}
