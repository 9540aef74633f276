//! One request and its answer: every status, every header.

use axum::Router;
use ractor_webrtc::IceServer;
use ractor_webrtc::signaling::broadcaster::BroadcasterLimits;

use crate::client::{FRAGMENT, Request, SDP, Server, patch, post};
use crate::common::owner::{Ours, loopback};

const CHROMIUM: &str = include_str!("../data/sdp/chromium-sendonly-av.sdp");
const WATCHING: &str = include_str!("../data/sdp/chromium-recvonly-av.sdp");

fn limits() -> BroadcasterLimits {
    BroadcasterLimits::default()
}

#[tokio::test]
async fn c9725_an_offer_is_answered_with_all_that_a_client_needs() {
    let server = Server::start_with(limits(), |whip_whep| {
        let stun = IceServer::new(["stun:stun.example.net"]).unwrap();
        let urls = ["turn:turn.example.net?transport=udp"];
        let turn = IceServer::with_credentials(urls, "user", "myPassword").unwrap();
        whip_whep.ice_servers([stun, turn])
    })
    .await;
    let roles = [
        ("whip", CHROMIUM, "a=recvonly", "a=sendonly"),
        ("whep", WATCHING, "a=sendonly", "a=recvonly"),
    ];
    for (root, offer, wanted, unwanted) in roles {
        let path = format!("/{root}");
        let reply = server.ask(&post(&path, offer)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.field("content-type"), SDP);
        let etag = reply.field("etag");
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10);
        let id = reply
            .field("location")
            .strip_prefix(&*format!("/{root}/sessions/"));
        assert_eq!(id.unwrap().len(), 32);
        assert_eq!(
            reply.fields("link"),
            [
                "<stun:stun.example.net:3478>; rel=\"ice-server\"",
                "<turn:turn.example.net:3478?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
                 credential=\"myPassword\"; credential-type=\"password\"",
            ]
        );
        assert_eq!(reply.body.matches(wanted).count(), 2, "{}", reply.body);
        assert!(!reply.body.contains(unwanted) && !reply.body.contains("a=sendrecv"));
        assert!(reply.body.contains("a=candidate:"), "{}", reply.body);
        assert!(reply.body.contains("a=end-of-candidates"), "{}", reply.body);
        assert!(!reply.body.contains("a=ice-lite"));
    }
}

#[tokio::test]
async fn who_offers_both_directions_gets_one() {
    let server = Server::start().await;
    for (path, wanted) in [("/whip", "a=recvonly"), ("/whep", "a=sendonly")] {
        let client = server.join(path).await;
        assert!(client.offer.contains("a=sendrecv"));
        assert_eq!(client.answer.matches(wanted).count(), 2);
        assert!(!client.answer.contains("a=sendrecv"));
    }
}

#[tokio::test]
async fn a_nested_router_says_where_its_sessions_are() {
    let server = Server::start_below(limits(), |whip_whep| {
        Router::new().nest("/live", whip_whep.router())
    })
    .await;
    let client = server.join("/live/whip/stage").await;
    assert!(
        client.location.starts_with("/live/whip/sessions/"),
        "{}",
        client.location
    );
    let ended = server.ask(&Request::new("DELETE", &client.location)).await;
    assert_eq!(ended.status, 200);
}

#[tokio::test]
async fn streams_are_told_apart_by_name_and_the_nameless_one_has_a_name() {
    let server = Server::start().await;
    let clients = [
        server.join("/whip").await,
        server.join("/whip/stage").await,
        server.join("/whep/default").await,
        // No name is special.
        server.join("/whep/sessions").await,
        server.join("/whip/whip").await,
    ];
    let streams = server.snapshot().await.streams;
    let counts: Vec<_> = streams
        .iter()
        .map(|stream| (stream.name.as_str(), stream.publishers, stream.viewers))
        .collect();
    let expected = [
        ("default", 1, 1),
        ("sessions", 0, 1),
        ("stage", 1, 0),
        ("whip", 1, 0),
    ];
    assert_eq!(counts, expected);
    for client in clients {
        let ended = server.ask(&Request::new("DELETE", &client.location)).await;
        assert_eq!(ended.status, 200);
    }
    server.is_empty().await;
}

#[tokio::test]
async fn without_the_token_nothing_is_done_and_nothing_is_told() {
    let server = Server::start_with(limits(), |whip_whep| {
        whip_whep.publish_token("sesame").watch_token("open")
    })
    .await;
    let session = "/whip/sessions/00000000000000000000000000000000";
    let requests = [
        post("/whip", CHROMIUM),
        post("/whep/stage", WATCHING),
        patch(session, "a=ice-lite"),
        Request::new("DELETE", session),
        Request::new("GET", session),
        Request::new("PUT", session),
    ];
    for request in requests {
        let reply = server.ask(&request).await;
        assert_eq!(reply.status, 401, "{request:?}");
        assert_eq!(reply.field("www-authenticate"), "Bearer");
        assert!(reply.detail().contains("Authorization: Bearer"));
        for wrong in ["Bearer wrong", "Bearer sesam", "bearer sesame2"] {
            let reply = server
                .ask(&request.clone().with("authorization", wrong))
                .await;
            assert_eq!(reply.status, 401, "{request:?}");
            let challenge = reply.field("www-authenticate");
            assert_eq!(challenge, "Bearer error=\"invalid_token\"");
        }
    }
    // Each token opens its own door.
    let crossed = post("/whip", CHROMIUM).with("authorization", "Bearer open");
    assert_eq!(server.ask(&crossed).await.status, 401);
    let right = post("/whip", CHROMIUM).with("authorization", "bearer sesame");
    let opened = server.ask(&right).await;
    assert_eq!(opened.status, 201);
    let delete = Request::new("DELETE", opened.field("location"));
    assert_eq!(server.ask(&delete).await.status, 401);
    let delete = delete.with("authorization", "Bearer sesame");
    assert_eq!(server.ask(&delete).await.status, 200);
    let right = post("/whep", WATCHING).with("authorization", "Bearer open");
    assert_eq!(server.ask(&right).await.status, 201);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    let viewer = server.join("/whep").await;
    let of_another_kind = viewer.location.replace("/whep/", "/whip/");
    let never = "/whep/sessions/00000000000000000000000000000000";
    for path in [
        &*of_another_kind,
        never,
        "/whep/sessions/x",
        "/whip/sessions/..",
    ] {
        for request in [
            Request::new("DELETE", path),
            Request::new("GET", path),
            patch(path, "a=ice-lite").with("if-match", "*"),
        ] {
            let reply = server.ask(&request).await;
            assert_eq!(reply.status, 404, "{request:?}");
            assert!(reply.detail().contains("no such session"));
        }
    }
    let long = format!("/whip/{}", "x".repeat(65));
    for path in ["/whip/a%2Fb", "/whip/%00", "/whip/a b", "/whip/..", &long] {
        if path.contains(' ') {
            continue;
        }
        let reply = server.ask(&post(path, CHROMIUM)).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.detail().contains("1 to 64"), "{path}");
    }
    assert_eq!(server.ask(&post("/whip/a/b", CHROMIUM)).await.status, 404);
    assert_eq!(server.snapshot().await.streams.len(), 1);
}

#[tokio::test]
async fn another_media_type_is_refused_with_the_right_one() {
    let server = Server::start().await;
    let client = server.join("/whip").await;
    for wrong in ["text/plain", "application/json", "application/sdp2", ""] {
        let request = Request::new("POST", "/whip").body(wrong, CHROMIUM);
        let reply = server.ask(&request).await;
        assert_eq!(reply.status, 415, "{wrong}");
        assert_eq!(reply.field("accept-post"), SDP);
        assert!(reply.detail().contains(SDP));
        let request = Request::new("PATCH", &client.location).body(wrong, "a=ice-lite");
        let reply = server.ask(&request.with("if-match", "*")).await;
        assert_eq!(reply.status, 415, "{wrong}");
        assert_eq!(reply.field("accept-patch"), FRAGMENT);
    }
    let packed = post("/whip", CHROMIUM).with("content-encoding", "gzip");
    assert_eq!(server.ask(&packed).await.status, 415);
    let said_twice = Request::new("POST", "/whip").body("Application/SDP; charset=utf-8", CHROMIUM);
    assert_eq!(server.ask(&said_twice).await.status, 201);
}

#[tokio::test]
async fn an_offer_that_cannot_be_answered_is_refused_with_the_reason() {
    let server = Server::start().await;
    let no_codec = CHROMIUM.replace("opus/48000/2", "lpc/8000");
    let no_codec = no_codec
        .replace("PCMU/8000", "lpc/8000")
        .replace("PCMA/8000", "lpc/8000");
    let no_mids: String = CHROMIUM
        .lines()
        .filter(|line| !line.starts_with("a=mid:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let refused = [
        ("/whip", "hello", 400, "not a session description"),
        ("/whip", "v=0\r\n", 400, "not a session description"),
        (
            "/whip",
            "{\"type\":\"offer\"}",
            400,
            "not a session description",
        ),
        ("/whip", WATCHING, 400, "is recvonly, where sendonly is due"),
        ("/whep", CHROMIUM, 400, "is sendonly, where recvonly is due"),
        (
            "/whip",
            &CHROMIUM.replace("m=video", "m=audio"),
            400,
            "more than one m-line",
        ),
        ("/whip", &no_mids, 400, "mid"),
        (
            "/whip",
            &CHROMIUM.replace("a=fingerprint", "a=x"),
            400,
            "no fingerprint",
        ),
        (
            "/whip",
            &CHROMIUM.replace("a=ice-pwd", "a=x"),
            400,
            "ice-pwd",
        ),
        ("/whip", &no_codec, 406, "no codec of the m-line for audio"),
        (
            "/whep",
            &no_codec.replace("a=sendonly", "a=recvonly"),
            406,
            "no codec",
        ),
    ];
    for (path, offer, status, reason) in refused {
        let reply = server.ask(&post(path, offer)).await;
        assert_eq!(reply.status, status, "{reason}: {reply:?}");
        assert!(reply.detail().contains(reason), "{reply:?}");
        assert!(reply.fields("location").is_empty());
    }
    server.is_empty().await;
}

#[tokio::test]
async fn a_body_that_is_no_text_is_no_offer() {
    let server = Server::start().await;
    let empty = Request::new("POST", "/whip").with("content-type", SDP);
    assert_eq!(server.ask(&empty).await.status, 400);
    let binary = Request::new("POST", "/whip").body(SDP, b"v=0\r\n\xff\xfe".as_slice());
    let reply = server.ask(&binary).await;
    assert_eq!(reply.status, 400);
    assert!(reply.detail().contains("UTF-8"));
    server.is_empty().await;
}

#[tokio::test]
async fn an_offered_data_channel_is_left_out_and_the_rest_is_answered() {
    let server = Server::start().await;
    let offer = include_str!("../data/sdp/chromium-recvonly-av-datachannel-mdns.sdp");
    let reply = server.ask(&post("/whep", offer)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(reply.body.contains("m=application 0 "), "{}", reply.body);
    assert_eq!(reply.body.matches("a=sendonly").count(), 2);
}

#[tokio::test]
async fn other_methods_are_refused_with_those_there_are() {
    let server = Server::start().await;
    let client = server.join("/whip").await;
    let endpoint = "GET, HEAD, OPTIONS, POST";
    let session = "DELETE, GET, HEAD, OPTIONS, PATCH";
    let refused = [
        ("PUT", "/whip", endpoint),
        ("DELETE", "/whip/stage", endpoint),
        ("PATCH", "/whep", endpoint),
        ("BREW", "/whep", endpoint),
        ("POST", &*client.location, session),
        ("PUT", &*client.location, session),
    ];
    for (method, path, allowed) in refused {
        let reply = server.ask(&Request::new(method, path)).await;
        assert_eq!(reply.status, 405, "{method} {path}");
        assert_eq!(reply.field("allow"), allowed);
        assert!(reply.detail().contains(allowed));
    }
}

#[tokio::test]
async fn c9725_there_is_nothing_to_get_and_whep_can_be_found() {
    let server = Server::start().await;
    let client = server.join("/whip").await;
    for method in ["GET", "HEAD"] {
        for (path, status) in [("/whip", 204), ("/whip/a", 204), (&*client.location, 204)] {
            let reply = server.ask(&Request::new(method, path)).await;
            assert_eq!(
                (reply.status, &*reply.body),
                (status, ""),
                "{method} {path}"
            );
        }
        let reply = server.ask(&Request::new(method, "/whep/a")).await;
        assert_eq!((reply.status, &*reply.body), (200, ""), "{method}");
        assert_eq!(reply.field("content-type"), SDP);
    }
}

/// A server that tells publishers of a relay.
async fn with_relay() -> Server {
    Server::start_with(limits(), |whip_whep| {
        let turn = IceServer::with_credentials(["turn:turn.example.net"], "user", "secret");
        whip_whep
            .ice_servers([turn.unwrap()])
            .publish_token("sesame")
    })
    .await
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let server = with_relay().await;
    let preflight = Request::new("OPTIONS", "/whip")
        .with("origin", "https://page.example")
        .with("access-control-request-method", "POST")
        .with(
            "access-control-request-headers",
            "authorization,content-type",
        );
    let reply = server.ask(&preflight).await;
    assert_eq!((reply.status, &*reply.body), (200, ""));
    assert_eq!(reply.field("accept-post"), SDP);
    assert_eq!(reply.field("access-control-allow-origin"), "*");
    assert_eq!(
        reply.field("access-control-allow-methods"),
        "GET, HEAD, OPTIONS, POST"
    );
    let headers = reply.field("access-control-allow-headers");
    assert_eq!(headers, "Authorization, Content-Type, If-Match");
    assert!(
        reply
            .field("access-control-max-age")
            .parse::<u32>()
            .unwrap()
            > 0
    );
    assert!(
        reply.fields("link").is_empty(),
        "a preflight gets no credentials"
    );
}

#[tokio::test]
async fn who_may_publish_is_told_the_servers_before_it_does() {
    let server = with_relay().await;
    let plain = Request::new("OPTIONS", "/whip");
    let reply = server.ask(&plain).await;
    assert!(reply.fields("link").is_empty(), "credentials want a token");
    let reply = server
        .ask(&plain.with("authorization", "Bearer sesame"))
        .await;
    assert!(
        reply
            .field("link")
            .starts_with("<turn:turn.example.net:3478>; rel=\"ice-server\"")
    );
}

#[tokio::test]
async fn a_preflight_says_nothing_of_which_sessions_there_are() {
    let server = with_relay().await;
    let session = Request::new("OPTIONS", "/whep/sessions/00000000000000000000000000000000");
    let reply = server.ask(&session).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.field("accept-patch"), FRAGMENT);
    let methods = reply.field("access-control-allow-methods");
    assert_eq!(methods, "DELETE, GET, HEAD, OPTIONS, PATCH");
}

#[tokio::test]
async fn what_is_refused_can_be_read_by_pages_too() {
    let server = with_relay().await;
    for request in [post("/whip", "x"), Request::new("PUT", "/whip")] {
        let reply = server.ask(&request).await;
        assert!(reply.status >= 400);
        assert_eq!(reply.field("access-control-allow-origin"), "*");
        let exposed = reply.field("access-control-expose-headers");
        for name in ["ETag", "Link", "Location", "Retry-After"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[tokio::test]
async fn a_full_house_says_when_to_come_again() {
    let server = Server::start_with(limits().publishers(1).viewers(1), |it| it).await;
    let publisher = server.join("/whip").await;
    let viewer = server.join("/whep").await;
    for (path, whom) in [("/whip/other", "publishers"), ("/whep", "viewers")] {
        let mut peer = Ours::spawn(loopback()).await;
        let reply = server.ask(&post(path, &peer.offer().await)).await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.field("retry-after").parse::<u32>().unwrap() > 0);
        assert!(reply.detail().contains(whom));
    }
    for client in [&publisher, &viewer] {
        server.ask(&Request::new("DELETE", &client.location)).await;
    }
    server.is_empty().await;
    server.join("/whip/other").await;
    server.join("/whep/other").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_its_length_is_said() {
    let server = Server::start_with(limits(), |it| it.body_limit(20_000)).await;
    let long = "x".repeat(20_001);
    let reply = server.ask(&post("/whip", &long)).await;
    assert_eq!(reply.status, 413);
    assert!(reply.detail().contains("20000"));
    let chunked = format!(
        "POST /whip HTTP/1.1\r\nhost: test\r\ncontent-type: {SDP}\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    assert_eq!(server.send(chunked.as_bytes()).await.status, 413);
    let fits = "x".repeat(20_000);
    assert_eq!(server.ask(&post("/whip", &fits)).await.status, 400);
}
