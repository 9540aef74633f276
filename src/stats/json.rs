//! Values in the units of W3C's dictionaries.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::dtls::DtlsRole;
use crate::ice::IceRole;
use crate::rtp::Rid;
use crate::track::MediaKind;

/// `DOMHighResTimeStamp`: milliseconds since 1970. A clock before 1970 counts as 1970.
pub(super) fn milliseconds<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
    let micros = since_1970.unwrap_or_default().as_micros();
    to.serialize_f64(micros as f64 / 1000.0)
}

/// The same, where there is one; `None` is left out before this is asked.
pub(super) fn maybe_milliseconds<S: Serializer>(
    time: &Option<SystemTime>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => milliseconds(time, to),
        None => to.serialize_none(),
    }
}

/// Seconds.
pub(super) fn seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64())
}

/// The same, where there is one; `None` is left out before this is asked.
pub(super) fn maybe_seconds<S: Serializer>(
    duration: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|it| it.as_secs_f64()).serialize(to)
}

/// `audio` or `video`.
pub(super) fn kind<S: Serializer>(kind: &MediaKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.as_str())
}

/// `RTCIceRole`.
pub(super) fn ice_role<S: Serializer>(role: &Option<IceRole>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match role {
        Some(IceRole::Controlling) => "controlling",
        Some(IceRole::Controlled) => "controlled",
        None => "unknown",
    })
}

/// `RTCDtlsRole`.
pub(super) fn dtls_role<S: Serializer>(role: &Option<DtlsRole>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match role {
        Some(DtlsRole::Client) => "client",
        Some(DtlsRole::Server) => "server",
        None => "unknown",
    })
}

/// The text of an identifier, where there is one.
pub(super) fn rid<S: Serializer>(rid: &Option<Rid>, to: S) -> Result<S::Ok, S::Error> {
    rid.as_ref().map(Rid::as_str).serialize(to)
}

/// Base64 with padding (RFC 4648 §4).
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, at| {
            word << 8 | u32::from(chunk.get(at).copied().unwrap_or_default())
        });
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = (word >> (18 - 6 * digit)) & 0x3f;
                text.push(char::from(BASE64[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10.
    #[test]
    fn base64_has_the_test_vectors_of_its_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }
}
