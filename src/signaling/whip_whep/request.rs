//! Reading a request, with a limit and a deadline.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::problem::Problem;

/// The body as text, of this media type and no other.
pub(super) async fn read_text(
    headers: &HeaderMap,
    body: Body,
    media_type: &'static str,
    accept: HeaderName,
    limit: usize,
    deadline: Duration,
) -> Result<String, Problem> {
    check_type(headers, media_type)
        .map_err(|problem| problem.with(accept, HeaderValue::from_static(media_type)))?;
    let body = timeout(deadline, read(headers, body, limit)).await;
    let body = body.unwrap_or_else(|_late| {
        let detail = format!("the body did not come within {deadline:?}");
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
            .with(CONNECTION, HeaderValue::from_static("close")))
    })?;
    let not_text = |_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8 text");
    String::from_utf8(body).map_err(not_text)
}

/// Whatever stands behind a semicolon, as a charset, changes nothing: these types have none.
fn check_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let said = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = said.and_then(|said| said.split(|&byte| byte == b';').next());
    let fits =
        essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()));
    if !fits || headers.contains_key(CONTENT_ENCODING) {
        let detail = format!("the body has to be {wanted}, not encoded");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

/// Not more than `limit` bytes are kept, whatever the sender says or does not say of the length.
async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = format!("the body has more than {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if length
        .and_then(|text| text.parse().ok())
        .is_some_and(|length: usize| length > limit)
    {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece =
            piece.map_err(|_cut| Problem::new(StatusCode::BAD_REQUEST, "the body was cut off"))?;
        if read.len() + piece.len() > limit {
            return Err(too_large());
        }
        read.extend_from_slice(&piece);
    }
    Ok(read)
}
