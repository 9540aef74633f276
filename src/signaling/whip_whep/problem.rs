//! What is wrong with a request, as its sender is told (RFC 9457).

use std::error::Error;
use std::iter;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::access::Refusal;
use crate::call::CallError;
use crate::jsep::{CandidateError, NegotiationError};
use crate::signaling::broadcaster::{OfferError, OpenError, PatchError};

/// A refused request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
        }
    }

    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            field: Some((name, value)),
            ..self
        }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let detail = format!("this resource takes {allowed}");
        Self::new(status, detail).with(ALLOW, HeaderValue::from_static(allowed))
    }

    fn of(status: StatusCode, error: &(dyn Error + 'static)) -> Self {
        Self::new(status, with_causes(error))
    }

    /// The server cannot, for now.
    fn unavailable(error: &(dyn Error + 'static)) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::of(status, error).with(RETRY_AFTER, RETRY_SECONDS)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        tracing::debug!(status = %self.status, detail = self.detail, "a request is refused");
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let content_type = (CONTENT_TYPE, "application/problem+json");
        let mut response = (self.status, [content_type], body.to_string()).into_response();
        response.headers_mut().extend(self.field);
        response
    }
}

/// RFC 6750 §3.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (detail, challenge) = match refusal {
            Refusal::Missing => ("a token is needed: Authorization: Bearer …", "Bearer"),
            Refusal::Wrong => (
                "the token is not the right one",
                "Bearer error=\"invalid_token\"",
            ),
        };
        let challenge = HeaderValue::from_static(challenge);
        Self::new(StatusCode::UNAUTHORIZED, detail).with(WWW_AUTHENTICATE, challenge)
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match &error {
            OpenError::Offer(OfferError::NoCommonCodec { .. }) => {
                Self::of(StatusCode::NOT_ACCEPTABLE, &error)
            }
            OpenError::Offer(_) => Self::of(StatusCode::BAD_REQUEST, &error),
            OpenError::Negotiation(refused) => match status(refused) {
                Some(status) => Self::of(status, &error),
                None => Self::unavailable(&error),
            },
            OpenError::Full { .. } | OpenError::Call(_) => Self::unavailable(&error),
            OpenError::Connection(_) | OpenError::Forwarder { .. } => {
                tracing::error!(error = with_causes(&error), "a session could not begin");
                Self::unavailable(&error)
            }
        }
    }
}

impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        match &error {
            PatchError::PreconditionRequired => Self::of(StatusCode::PRECONDITION_REQUIRED, &error),
            PatchError::PreconditionFailed => Self::of(StatusCode::PRECONDITION_FAILED, &error),
            PatchError::RestartUnderWay => {
                Self::of(StatusCode::CONFLICT, &error).with(RETRY_AFTER, RETRY_SECONDS)
            }
            PatchError::Fragment(_) => Self::of(StatusCode::BAD_REQUEST, &error),
            PatchError::Restart(NegotiationError::Call(CallError::Timeout))
            | PatchError::Candidate(CandidateError::Call(CallError::Timeout))
            | PatchError::Call(CallError::Timeout) => Self::unavailable(&error),
            // It ended while it was asked.
            PatchError::Call(CallError::Stopped)
            | PatchError::Candidate(CandidateError::Closed | CandidateError::Call(_))
            | PatchError::UnknownSession => Self::not_found("there is no such session"),
            PatchError::Candidate(_) => Self::of(StatusCode::BAD_REQUEST, &error),
            PatchError::Restart(refused) => match status(refused) {
                Some(status) => Self::of(status, &error),
                None => Self::not_found("there is no such session"),
            },
        }
    }
}

/// That of a refused description; `None` where it was not its fault.
#[allow(clippy::wildcard_enum_match_arm)] // All others say what is wrong with the description.
fn status(refused: &NegotiationError) -> Option<StatusCode> {
    match refused {
        NegotiationError::Call(_)
        | NegotiationError::InvalidState { .. }
        | NegotiationError::InvalidModification => None,
        NegotiationError::NotSupported { .. } => Some(StatusCode::NOT_ACCEPTABLE),
        _ => Some(StatusCode::BAD_REQUEST),
    }
}

/// An error and all its causes in one line.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Sessions that never connect have made room by then, if few at a time.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");
