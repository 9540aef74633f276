//! ICE servers as `Link` header fields (RFC 9725 §4.6, RFC 8288).

use axum::http::HeaderValue;

use crate::ice::IceServer;

/// One field for each URL. A server whose credentials no header field can hold is left out: its owner reads that in the log.
pub(super) fn of(server: &IceServer) -> Vec<HeaderValue> {
    let parameter = |name, value: Option<&str>| {
        value.map_or_else(String::new, |value| format!("; {name}={}", quoted(value)))
    };
    let mut parameters = parameter("username", server.username());
    parameters += &parameter("credential", server.credential());
    if server.credential().is_some() {
        parameters += "; credential-type=\"password\"";
    }
    let links = server.urls().iter().filter_map(|url| {
        let text = format!("<{url}>; rel=\"ice-server\"{parameters}");
        let value = HeaderValue::from_bytes(text.as_bytes());
        if value.is_err() {
            tracing::warn!(%url, "the credentials of an ICE server have control characters");
        }
        value.ok()
    });
    links.collect()
}

/// RFC 9110 §5.6.4.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(server: &IceServer) -> Vec<String> {
        let links = of(server).into_iter();
        links
            .map(|link| String::from_utf8(link.as_bytes().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_server_is_written_as_the_rfc_shows() {
        let server = IceServer::new(["stun:stun.example.net"]).unwrap();
        assert_eq!(
            links(&server),
            ["<stun:stun.example.net:3478>; rel=\"ice-server\""]
        );
        let urls = [
            "turn:turn.example.net:3478?transport=udp",
            "turns:turn.example.net:5349",
        ];
        let server = IceServer::with_credentials(urls, "user", "my\"Pass\\word").unwrap();
        let expected = "; rel=\"ice-server\"; username=\"user\"; \
            credential=\"my\\\"Pass\\\\word\"; credential-type=\"password\"";
        let expected = urls.map(|url| format!("<{url}>{expected}"));
        assert_eq!(links(&server), expected);
    }

    #[test]
    fn credentials_cannot_add_header_fields() {
        let smuggled = "x\r\nSet-Cookie: a=b";
        let server = IceServer::with_credentials(["turn:t.example"], "user", smuggled).unwrap();
        assert!(links(&server).is_empty());
    }
}
