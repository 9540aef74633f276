//! Whose page it is that asks for a socket (RFC 6454, RFC 6455 §10.2).

use axum::http::{HeaderMap, Uri, header};

/// Whether a browser asks for a page of another site than the one that it asks.
pub(super) fn is_foreign(uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        // No browser, then: those always say so.
        return false;
    };
    let asked = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => uri.authority().map(|authority| authority.as_str()),
    };
    let origin = origin.to_str().ok().and_then(|it| it.split_once("://"));
    match (origin, asked) {
        (Some((_scheme, site)), Some(asked)) => !site.eq_ignore_ascii_case(asked),
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_foreign_when_its_site_is_not_the_one_that_is_asked() {
        for (origin, host, foreign) in [
            (Some("http://127.0.0.1:8829"), "127.0.0.1:8829", false),
            (Some("https://Example.org"), "example.org", false),
            (Some("https://example.org"), "127.0.0.1:8829", true),
            (Some("http://127.0.0.1:8830"), "127.0.0.1:8829", true),
            // A page from a file, or in a sandbox.
            (Some("null"), "127.0.0.1:8829", true),
            (None, "127.0.0.1:8829", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let is_foreign = is_foreign(&Uri::from_static("/ws"), &headers);
            assert_eq!(is_foreign, foreign, "{origin:?} asks {host}");
        }
    }
}
