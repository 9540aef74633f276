//! SRTP and SRTCP in place (RFC 3711, RFC 7714).

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
