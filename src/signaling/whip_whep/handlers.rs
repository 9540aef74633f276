//! What is done with a request.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    CONTENT_TYPE, ETAG, IF_MATCH, LINK, LOCATION, ORIGIN,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::WhipWhep;
use super::problem::Problem;
use super::request::read_text;
use crate::signaling::broadcaster::{IfMatch, Patched, Role, SessionId, StreamName};
use crate::signaling::sdpfrag::SdpFragment;

/// `/whip`, `/whep`, and each with a name.
pub(super) async fn endpoint(
    role: Role,
    State(server): State<Arc<WhipWhep>>,
    request: Request,
) -> Response {
    let name = if request.uri().path() == root(role) {
        Ok(StreamName::default())
    } else {
        last_segment(&request).parse::<StreamName>()
    };
    match (request.method(), name) {
        (_, Err(error)) => Problem::not_found(&error.to_string()).into_response(),
        (&Method::POST, Ok(name)) => {
            let opened = open(role, &server, name, request).await;
            opened.unwrap_or_else(IntoResponse::into_response)
        }
        (&Method::OPTIONS, Ok(_)) => {
            let mut response = options(ENDPOINT_METHODS, ACCEPT_POST, SDP);
            if !is_preflight(request.headers()) {
                // A preflight is made anew for each page, and has no token (RFC 9725 §4.6).
                let allowed = server.access.check(role, request.headers()).is_ok();
                add_links(&mut response, if allowed { &server.links } else { &[] });
            }
            response
        }
        // There is nothing to see (RFC 9725 §4.1), but for who looks whether WHEP is spoken here (WHEP §4.2).
        (&Method::GET | &Method::HEAD, Ok(_)) => match role {
            Role::Publisher => StatusCode::NO_CONTENT.into_response(),
            Role::Viewer => (StatusCode::OK, [(CONTENT_TYPE, SDP)]).into_response(),
        },
        (_, Ok(_)) => Problem::method_not_allowed(ENDPOINT_METHODS).into_response(),
    }
}

/// What `Location` names.
pub(super) async fn session(
    role: Role,
    State(server): State<Arc<WhipWhep>>,
    request: Request,
) -> Response {
    if request.method() == Method::OPTIONS {
        return options(SESSION_METHODS, ACCEPT_PATCH, FRAGMENT);
    }
    let id = last_segment(&request).parse().ok();
    let done = on_session(role, &server, id, request).await;
    done.unwrap_or_else(IntoResponse::into_response)
}

/// Who has no token hears nothing of which sessions there are.
async fn on_session(
    role: Role,
    server: &WhipWhep,
    id: Option<SessionId>,
    request: Request,
) -> Result<Response, Problem> {
    server.access.check(role, request.headers())?;
    let unknown = || Problem::not_found("there is no such session");
    let id = id.ok_or_else(unknown)?;
    match *request.method() {
        Method::PATCH => patch(role, server, id, request).await,
        Method::DELETE => match server.broadcaster.close(role, id).await {
            Ok(true) => Ok(StatusCode::OK.into_response()),
            Ok(false) | Err(_) => Err(unknown()),
        },
        Method::GET | Method::HEAD => match server.broadcaster.knows(role, id).await {
            Ok(true) => Ok(StatusCode::NO_CONTENT.into_response()),
            Ok(false) | Err(_) => Err(unknown()),
        },
        _ => Err(Problem::method_not_allowed(SESSION_METHODS)),
    }
}

async fn open(
    role: Role,
    server: &WhipWhep,
    stream: StreamName,
    request: Request,
) -> Result<Response, Problem> {
    server.access.check(role, request.headers())?;
    let sessions = sessions(role, &request);
    let offer = read(server, request, SDP, ACCEPT_POST).await?;
    let opened = server.broadcaster.open(role, stream, offer).await?;
    let fields = [
        (CONTENT_TYPE, SDP.to_owned()),
        (ETAG, opened.etag.to_string()),
        (LOCATION, format!("{sessions}/{}", opened.session)),
    ];
    let mut response = (StatusCode::CREATED, fields, opened.answer).into_response();
    add_links(&mut response, &server.links);
    Ok(response)
}

async fn patch(
    role: Role,
    server: &WhipWhep,
    id: SessionId,
    request: Request,
) -> Result<Response, Problem> {
    let fields = request.headers().get_all(IF_MATCH).iter();
    // What is no text matches nothing.
    let if_match = IfMatch::read(fields.map(|field| field.to_str().unwrap_or_default()));
    let fragment = read(server, request, FRAGMENT, ACCEPT_PATCH).await?;
    let fragment: SdpFragment = fragment
        .parse()
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("{error}")))?;
    let patched = server
        .broadcaster
        .patch(role, id, if_match, fragment)
        .await?;
    Ok(match patched {
        Patched::Trickled => StatusCode::NO_CONTENT.into_response(),
        Patched::Restarted { fragment, etag } => {
            let fields = [
                (CONTENT_TYPE, FRAGMENT.to_owned()),
                (ETAG, etag.to_string()),
            ];
            (StatusCode::OK, fields, fragment.to_string()).into_response()
        }
    })
}

async fn read(
    server: &WhipWhep,
    request: Request,
    media_type: &'static str,
    accept: HeaderName,
) -> Result<String, Problem> {
    let (head, body) = request.into_parts();
    let (limit, deadline) = (server.body_limit, server.body_deadline);
    read_text(&head.headers, body, media_type, accept, limit, deadline).await
}

/// Where sessions are, as the client sees it: the path that it asked for up to `/whip` or `/whep`.
fn sessions(role: Role, request: &Request) -> String {
    let here = request.uri().path();
    let original = request.extensions().get::<OriginalUri>();
    let original = original.map_or(here, |OriginalUri(uri)| uri.path());
    let above = original.strip_suffix(here).unwrap_or_default();
    format!("{above}{}/sessions", root(role))
}

/// The first part of the path, by which a request says what it wants.
pub(super) const fn root(role: Role) -> &'static str {
    match role {
        Role::Publisher => "/whip",
        Role::Viewer => "/whep",
    }
}

/// The part of the path that names a stream or a session. No name needs escaping, so that an escaped one is none.
fn last_segment(request: &Request) -> &str {
    let path = request.uri().path();
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

fn options(methods: &'static str, accept: HeaderName, media_type: &'static str) -> Response {
    let fields = [
        (ALLOW, methods),
        (accept, media_type),
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, If-Match",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::OK, fields).into_response()
}

fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn add_links(response: &mut Response, links: &[HeaderValue]) {
    for link in links {
        response.headers_mut().append(LINK, link.clone());
    }
}

/// Pages of any origin may ask (RFC 9725 §4.2): whoever may do what is a matter of tokens, never of cookies.
pub(super) async fn open_to_other_origins(mut response: Response) -> Response {
    let fields = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            ACCESS_CONTROL_EXPOSE_HEADERS,
            "Accept-Patch, Accept-Post, Allow, ETag, Link, Location, Retry-After, WWW-Authenticate",
        ),
    ];
    for (name, value) in fields {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

const SDP: &str = "application/sdp";

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

const ENDPOINT_METHODS: &str = "GET, HEAD, OPTIONS, POST";

const SESSION_METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";

/// W3C Linked Data Platform §7.1.
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// RFC 5789 §3.1.
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
