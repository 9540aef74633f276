//! What streams and sessions are called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::Rng;

/// The name of a stream, as it stands in a URL: 1 to 64 letters, digits, `-`, `_`, `.` or `~`, and not only dots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

/// The text is no name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream is named by 1 to 64 letters, digits, -, _, . or ~")]
pub struct InvalidStreamName;

impl StreamName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `default`: the stream of who names none.
impl Default for StreamName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, InvalidStreamName> {
        // RFC 3986 §2.3, so that no name needs escaping.
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(unreserved);
        if !fits || text.bytes().all(|byte| byte == b'.') {
            return Err(InvalidStreamName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a session is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends to the server.
    Publisher,
    /// Is sent what the publisher of its stream sends.
    Viewer,
}

/// Names one session: 128 random bits, so that nobody guesses another's (RFC 9725 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    pub(super) fn generate() -> Self {
        Self(rand::rng().random())
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    /// Reads what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(InvalidSessionId);
        }
        let number = u128::from_str_radix(text, 16);
        number.map(Self).map_err(|_| InvalidSessionId)
    }
}

/// The text names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session is named by 32 hexadecimal digits")]
pub struct InvalidSessionId;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Who knows the name may end the session: it stays out of logs.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_a_url_as_it_is() {
        for good in ["a", "stage-2", "a.b_c~d", &"x".repeat(64)] {
            assert_eq!(good.parse::<StreamName>().unwrap().as_str(), good);
        }
        let long = "x".repeat(65);
        for bad in ["", ".", "..", "...", "a/b", "a b", "é", "%61", "a\0", &long] {
            assert_eq!(bad.parse::<StreamName>(), Err(InvalidStreamName), "{bad:?}");
        }
    }

    #[test]
    fn a_session_is_found_by_what_it_was_called_and_by_nothing_else() {
        let id = SessionId::generate();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        let near = [
            text.to_uppercase() + "A",
            format!("+{}", &text[1..]),
            text[1..].to_owned(),
            format!("0{text}"),
            String::new(),
        ];
        for text in near {
            assert_eq!(text.parse::<SessionId>(), Err(InvalidSessionId), "{text}");
        }
        assert!(!format!("{id:?}").contains(&text));
    }
}
