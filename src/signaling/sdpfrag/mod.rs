//! Fragments of session descriptions that carry ICE alone: the media type `application/trickle-ice-sdpfrag` (RFC 8840 §9).
//! Pure.
//!
//! ```
//! use ractor_webrtc::signaling::sdpfrag::SdpFragment;
//!
//! let fragment: SdpFragment = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
//!     m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
//!     a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n"
//!     .parse()?;
//! let credentials = fragment.credentials()?.unwrap();
//! assert_eq!(credentials.username_fragment, "EsAw");
//! assert_eq!(fragment.media[0].candidates.len(), 1);
//! # Ok::<(), ractor_webrtc::signaling::sdpfrag::SdpFragmentError>(())
//! ```

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

/// What one side says of its ICE session, besides a description.
///
/// It is read by [`str::parse`] and written by [`ToString`]. Attributes that are not known are passed over, as RFC 8840
/// §9.2 asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpFragment {
    /// `a=ice-lite`.
    pub ice_lite: bool,
    /// `a=ice-options`, each one.
    pub ice_options: Vec<String>,
    /// The mids of `a=group:BUNDLE`; empty without one.
    pub bundle: Vec<String>,
    /// Before the first m-line.
    pub ice: IceAttributes,
    /// The m-lines.
    pub media: Vec<FragmentMedia>,
}

/// One m-line of a fragment, and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentMedia {
    /// What stands behind `m=`; nobody need understand it.
    pub line: String,
    /// `a=mid`.
    pub mid: String,
    /// What is said of ICE here.
    pub ice: IceAttributes,
    /// Each `candidate:…`, as an `IceCandidate` has it.
    pub candidates: Vec<String>,
}

/// What both levels of a fragment may say.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IceAttributes {
    /// `a=ice-ufrag`.
    pub username_fragment: Option<String>,
    /// `a=ice-pwd`.
    pub password: Option<String>,
    /// `a=end-of-candidates`.
    pub end_of_candidates: bool,
}

/// Both halves of what an ICE session is known by (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// The public half.
    pub username_fragment: String,
    /// The secret half.
    pub password: String,
}

/// Why a text is no fragment: the doing of who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpFragmentError {
    /// Longer than is accepted.
    #[error("the fragment has {bytes} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More of something than is accepted.
    #[error("the fragment has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A line that no description could have.
    #[error("line {number} is not of the form x=…, or has control characters")]
    MalformedLine {
        /// Which, from 1.
        number: usize,
    },
    /// A candidate before the first m-line, where RFC 8840 §9.2 has none.
    #[error("line {number} has a candidate that belongs to no m-line")]
    StrayCandidate {
        /// Which, from 1.
        number: usize,
    },
    /// An m-line without `a=mid`, so that nobody knows which it is.
    #[error("m-line {index} has no mid")]
    MissingMid {
        /// Its place, from 0.
        index: usize,
    },
    /// One of `a=ice-ufrag` and `a=ice-pwd` without the other.
    #[error("an ice-ufrag without an ice-pwd, or the other way round")]
    IncompleteCredentials,
    /// Credentials of a wrong length or with wrong characters (RFC 8839 §5.4).
    #[error("ICE credentials that are too short, too long or not ice-chars")]
    InvalidCredentials,
    /// Several, though all m-lines share one transport.
    #[error("m-lines with different ICE credentials")]
    ConflictingCredentials,
}

impl SdpFragment {
    /// The ICE session that the fragment speaks of; `None` where it does not say. All m-lines share one transport, so that
    /// one pair is all there can be.
    ///
    /// # Errors
    ///
    /// `IncompleteCredentials`, `ConflictingCredentials`.
    pub fn credentials(&self) -> Result<Option<IceCredentials>, SdpFragmentError> {
        let mut found = self.ice.credentials()?;
        for media in &self.media {
            let Some(here) = media.ice.credentials()? else {
                continue;
            };
            if found.as_ref().is_some_and(|before| *before != here) {
                return Err(SdpFragmentError::ConflictingCredentials);
            }
            found = Some(here);
        }
        Ok(found)
    }

    /// Whether no more candidates will come.
    pub fn is_last(&self) -> bool {
        self.ice.end_of_candidates || self.media.iter().any(|media| media.ice.end_of_candidates)
    }
}

impl IceAttributes {
    fn credentials(&self) -> Result<Option<IceCredentials>, SdpFragmentError> {
        match (&self.username_fragment, &self.password) {
            (None, None) => Ok(None),
            (Some(username_fragment), Some(password)) => Ok(Some(IceCredentials {
                username_fragment: username_fragment.clone(),
                password: password.clone(),
            })),
            _ => Err(SdpFragmentError::IncompleteCredentials),
        }
    }
}

/// The password stays out of logs.
impl fmt::Debug for IceAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceAttributes")
            .field("username_fragment", &self.username_fragment)
            .field("end_of_candidates", &self.end_of_candidates)
            .finish_non_exhaustive()
    }
}

/// The password stays out of logs.
impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials")
            .field("username_fragment", &self.username_fragment)
            .finish_non_exhaustive()
    }
}
