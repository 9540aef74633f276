//! How a socket is closed from our side.

use axum::extract::ws::{CloseFrame, close_code};

/// The last that a page hears: a close code (RFC 6455 §7.4) and a reason in words, `event.code` and `event.reason` in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Goodbye {
    /// The close code.
    pub code: u16,
    /// Why; the first 123 bytes of it travel.
    pub reason: String,
}

impl Goodbye {
    /// With a code of the application's own, 4000 to 4999 (RFC 6455 §7.4.2).
    pub fn with_code(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }

    /// All is done (1000).
    pub fn normal(reason: impl Into<String>) -> Self {
        Self::with_code(close_code::NORMAL, reason)
    }

    /// The page does what is not allowed (1008).
    pub fn policy(reason: impl Into<String>) -> Self {
        Self::with_code(close_code::POLICY, reason)
    }

    /// Something is wrong on our side (1011).
    pub fn error(reason: impl Into<String>) -> Self {
        Self::with_code(close_code::ERROR, reason)
    }

    /// Not now, perhaps later (1013).
    pub fn try_again(reason: impl Into<String>) -> Self {
        Self::with_code(close_code::AGAIN, reason)
    }

    pub(super) fn too_large(reason: impl Into<String>) -> Self {
        Self::with_code(close_code::SIZE, reason)
    }

    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::with_code(close_code::PROTOCOL, reason)
    }

    /// A control frame holds 125 bytes, two of them the code (RFC 6455 §5.5).
    pub(super) fn into_frame(self) -> CloseFrame {
        let Self { code, mut reason } = self;
        let mut end = reason.len().min(REASON_LIMIT);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        let reason = reason.into();
        CloseFrame { code, reason }
    }
}

const REASON_LIMIT: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let frame = Goodbye::error("ä".repeat(100)).into_frame();
        assert_eq!(frame.reason.as_str(), "ä".repeat(61));
        let frame = Goodbye::error("short").into_frame();
        assert_eq!(frame.reason.as_str(), "short");
    }
}
