//! From text to [`SdpFragment`].

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{FragmentMedia, IceAttributes, SdpFragment, SdpFragmentError as Error};

impl FromStr for SdpFragment {
    type Err = Error;

    /// Reads a text of a stranger, with line ends of one character or two.
    fn from_str(text: &str) -> Result<Self, Error> {
        check_count(text.len(), MAX_BYTES, |bytes, limit| Error::TooLong {
            bytes,
            limit,
        })?;
        let mut fragment = Self::default();
        let mut candidates = 0;
        for (number, line) in (1..).zip(text.split('\n')) {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            if line.chars().any(char::is_control) {
                return Err(Error::MalformedLine { number });
            }
            match line.as_bytes() {
                [b'm', b'=', ..] => fragment.begin_media(&line[2..])?,
                [b'a', b'=', ..] => {
                    candidates += usize::from(is_candidate(&line[2..]));
                    check_count(candidates, MAX_CANDIDATES, too_many("candidates"))?;
                    fragment.read_attribute(&line[2..], number)?;
                }
                // Other lines of a description, which some senders leave in.
                [b'a'..=b'z', b'=', ..] => {}
                _ => return Err(Error::MalformedLine { number }),
            }
        }
        let unnamed = fragment.media.iter().position(|media| media.mid.is_empty());
        unnamed.map_or(Ok(fragment), |index| Err(Error::MissingMid { index }))
    }
}

impl SdpFragment {
    fn begin_media(&mut self, line: &str) -> Result<(), Error> {
        check_count(self.media.len() + 1, MAX_MEDIA_LINES, too_many("m-lines"))?;
        self.media.push(FragmentMedia {
            line: line.to_owned(),
            ..FragmentMedia::default()
        });
        Ok(())
    }

    fn read_attribute(&mut self, attribute: &str, number: usize) -> Result<(), Error> {
        if is_candidate(attribute) {
            let media = self.media.last_mut();
            let media = media.ok_or(Error::StrayCandidate { number })?;
            media.candidates.push(attribute.to_owned());
            return Ok(());
        }
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let ice = self.media.last_mut().map(|media| &mut media.ice);
        if ice.unwrap_or(&mut self.ice).read(name, value)? {
            return Ok(());
        }
        match (self.media.last_mut(), name) {
            (Some(media), "mid") => value.clone_into(&mut media.mid),
            (_, "ice-lite") => self.ice_lite = true,
            (_, "ice-options") => self.ice_options = words(value).collect(),
            (None, "group") if value.starts_with("BUNDLE ") => {
                self.bundle = words(value).skip(1).collect();
            }
            _ => {}
        }
        Ok(())
    }
}

impl IceAttributes {
    /// Whether the attribute is one of these.
    fn read(&mut self, name: &str, value: &str) -> Result<bool, Error> {
        match name {
            "ice-ufrag" => self.username_fragment = Some(ice_chars(value, UFRAG_LENGTH)?),
            "ice-pwd" => self.password = Some(ice_chars(value, PASSWORD_LENGTH)?),
            "end-of-candidates" => self.end_of_candidates = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn is_candidate(attribute: &str) -> bool {
    attribute.starts_with("candidate:")
}

fn words(value: &str) -> impl Iterator<Item = String> {
    value.split_ascii_whitespace().map(str::to_owned)
}

fn ice_chars(value: &str, length: RangeInclusive<usize>) -> Result<String, Error> {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !length.contains(&value.len()) || !value.bytes().all(is_ice_char) {
        return Err(Error::InvalidCredentials);
    }
    Ok(value.to_owned())
}

fn check_count(
    count: usize,
    limit: usize,
    error: impl FnOnce(usize, usize) -> Error,
) -> Result<(), Error> {
    if count > limit {
        return Err(error(count, limit));
    }
    Ok(())
}

fn too_many(what: &'static str) -> impl FnOnce(usize, usize) -> Error {
    move |_, limit| Error::TooMany { what, limit }
}

/// Of `a=ice-ufrag` (RFC 8839 §5.4).
const UFRAG_LENGTH: RangeInclusive<usize> = 4..=256;

/// Of `a=ice-pwd` (RFC 8839 §5.4).
const PASSWORD_LENGTH: RangeInclusive<usize> = 22..=256;

/// As many candidates of the longest kind as are taken, and room for the rest.
const MAX_BYTES: usize = 64 * 1024;

/// As many as a session takes in all.
const MAX_CANDIDATES: usize = 256;

/// Bundled, one is due; who gathers for each names each.
const MAX_MEDIA_LINES: usize = 64;
