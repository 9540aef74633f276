//! The two fields of an X.509 certificate that we need ourselves (RFC 5280 §4.1).

use std::time::{Duration, SystemTime};

/// What a certificate says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CertificateFields<'a> {
    /// None when the date is none that we can represent.
    pub(super) not_after: Option<SystemTime>,
    /// The bits of `subjectPublicKey`.
    pub(super) public_key: &'a [u8],
}

impl<'a> CertificateFields<'a> {
    /// Reads them from DER; none when it is no certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der);
        let mut certificate = Der(outer.expect(SEQUENCE)?);
        let mut tbs = Der(certificate.expect(SEQUENCE)?);
        let (tag, _version_or_serial) = tbs.next()?;
        if tag == EXPLICIT_VERSION {
            tbs.expect(INTEGER)?;
        }
        let _signature_algorithm = tbs.expect(SEQUENCE)?;
        let _issuer = tbs.expect(SEQUENCE)?;
        let mut validity = Der(tbs.expect(SEQUENCE)?);
        let _not_before = validity.next()?;
        let (time_tag, time) = validity.next()?;
        let _subject = tbs.expect(SEQUENCE)?;
        let mut key_info = Der(tbs.expect(SEQUENCE)?);
        let _key_algorithm = key_info.expect(SEQUENCE)?;
        // The first byte of a BIT STRING counts its unused bits.
        let (_unused_bits, public_key) = key_info.expect(BIT_STRING)?.split_first()?;
        Some(Self {
            not_after: read_time(time_tag, time),
            public_key,
        })
    }
}

impl CertificateFields<'_> {
    /// An RSA key is a sequence of two numbers (RFC 8017 A.1.1); a point on a curve begins with 2, 3 or 4, and an Ed25519 key
    /// has 32 bytes.
    pub(super) fn has_rsa_key(&self) -> bool {
        self.public_key.len() > 32 && self.public_key[0] == SEQUENCE
    }
}

/// What is left to read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Tag and contents of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                let length = bytes.iter().fold(0, |sum, &b| (sum << 8) | usize::from(b));
                (length, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (actual, contents) = self.next()?;
        (actual == tag).then_some(contents)
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5).
fn read_time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: i64 = text[..2].parse().ok()?;
            (year + if year >= 50 { 1900 } else { 2000 }, &text[2..])
        }
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let field = |index: usize| rest[2 * index..2 * index + 2].parse::<i64>().ok();
    let (month, day) = (field(0)?, field(1)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds =
        days_since_1970(year, month, day) * 86_400 + field(2)? * 3600 + field(3)? * 60 + field(4)?;
    let since = Duration::from_secs(u64::try_from(seconds).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// In the Gregorian calendar, counted in years that begin on 1 March so that the leap day is the
/// last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = (month + 9) % 12;
    let leap_days =
        shifted_year.div_euclid(4) - shifted_year.div_euclid(100) + shifted_year.div_euclid(400);
    // Months from March on have 31, 30, 31, 30, 31 days, over and over: 153 in five.
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    shifted_year * 365 + leap_days + day_of_year - DAYS_FROM_YEAR_0_TO_1970
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_FROM_YEAR_0_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tag: u8, text: &[u8]) -> Option<u64> {
        let time = read_time(tag, text)?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
    }

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(seconds(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, b"000229120000Z"), Some(951_825_600));
        assert_eq!(
            seconds(GENERALIZED_TIME, b"20380119031408Z"),
            Some(1 << 31),
            "one second after the end of 32 bits"
        );
        assert_eq!(
            seconds(GENERALIZED_TIME, b"40960101000000Z"),
            Some(67_090_118_400)
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        assert_eq!(seconds(UTC_TIME, b"20380119031408Z"), None);
        assert_eq!(seconds(GENERALIZED_TIME, b"20381319031408Z"), None);
        assert_eq!(seconds(GENERALIZED_TIME, b"2038011903140xZ"), None);
        assert_eq!(seconds(GENERALIZED_TIME, b"19600101000000Z"), None);
        assert_eq!(seconds(INTEGER, b"20380119031408Z"), None);
    }

    #[test]
    fn a_certificate_cut_anywhere_is_none() {
        let der = super::super::Certificate::generate()
            .unwrap()
            .der()
            .to_vec();
        assert!(CertificateFields::read(&der).is_some());
        for length in 0..der.len() {
            assert_eq!(CertificateFields::read(&der[..length]), None, "{length}");
        }
    }
}
