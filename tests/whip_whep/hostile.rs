//! What a stranger may send, and how much of it.

use std::time::Duration;

use ractor_webrtc::signaling::broadcaster::BroadcasterLimits;
use ractor_webrtc::signaling::guarded::GuardedListener;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::client::{Request, SDP, Server, patch, post, read};
use crate::common::PATIENCE;

const CHROMIUM: &str = include_str!("../data/sdp/chromium-sendonly-av.sdp");

#[tokio::test]
async fn nonsense_of_every_kind_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let deep = "[".repeat(60_000);
    let lines = "a=x\r\n".repeat(12_000);
    let many = format!(
        "{CHROMIUM}{}",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(1000)
    );
    let groups = CHROMIUM.replace("a=group:BUNDLE 0 1", &"a=group:BUNDLE 0 1\r\n".repeat(2000));
    let endless = format!("{CHROMIUM}a={}", "x".repeat(100_000));
    let zeros = "\0".repeat(30_000);
    let bodies = [&deep, &lines, &many, &groups, &endless, &zeros];
    for body in bodies {
        for request in [post("/whip", body), post("/whep/x", body)] {
            let reply = server.ask(&request).await;
            assert!((400..500).contains(&reply.status), "{reply:?}");
            assert!(!reply.detail().is_empty());
        }
    }
    server.is_empty().await;
    assert_eq!(
        server
            .join("/whip")
            .await
            .answer
            .matches("a=recvonly")
            .count(),
        2
    );
}

#[tokio::test]
async fn fragments_of_every_kind_end_no_session() {
    let server = Server::start().await;
    let client = server.connected("/whip").await;
    let mid = client
        .offer
        .lines()
        .find(|line| line.starts_with("a=mid:"))
        .unwrap();
    let media = format!("m=audio\r\n{mid}\r\n");
    let candidate = |index: usize| {
        format!(
            "a=candidate:{index} 1 udp {index} 192.0.2.1 {} typ host\r\n",
            1 + index % 65_535
        )
    };
    let fragments = [
        "\0".repeat(10_000),
        "a=".repeat(40_000),
        "m=audio\r\na=mid:0\r\n".repeat(2000),
        format!("{media}{}", (0..2000).map(candidate).collect::<String>()),
        format!("{media}a=candidate:{}\r\n", "9".repeat(60_000)),
        format!("{media}a=candidate:1 1 udp 4294967296 192.0.2.1 99999 typ host\r\n"),
        format!(
            "{media}a=candidate:1 1 udp 1 {}.local 9 typ host\r\n",
            "x".repeat(5000)
        ),
        format!(
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n",
            "u".repeat(257),
            "p".repeat(300)
        ),
    ];
    for fragment in &fragments {
        let reply = server
            .ask(&patch(&client.location, fragment).with("if-match", "*"))
            .await;
        assert!(
            (400..500).contains(&reply.status),
            "{}: {reply:?}",
            &fragment[..40]
        );
    }
    // Candidates up to the limit, again and again: taken or refused, and never the end.
    for round in 0..10 {
        let batch: String = (0..200)
            .map(|index| candidate(round * 200 + index))
            .collect();
        let fragment = format!("{media}{batch}");
        let reply = server
            .ask(&patch(&client.location, &fragment).with("if-match", "*"))
            .await;
        assert!(matches!(reply.status, 204 | 400), "{reply:?}");
    }
    let known = server.ask(&Request::new("GET", &client.location)).await;
    assert_eq!(known.status, 204);
}

#[tokio::test]
async fn a_path_is_a_name_or_nothing() {
    let server = Server::start().await;
    let paths = [
        "/whip/../whip",
        "/whip/%2e%2e/etc",
        "/whip/..%2f..%2fetc%2fpasswd",
        "/whip//",
        "/whip/",
        "/WHIP",
        "/whip/sessions/",
        "/whip/sessions/../x",
        "/whip/%",
        "/whip/%ff%fe",
        "/whip/a?b=c/../../d",
        "/whip;x",
    ];
    for path in paths {
        let reply = server.ask(&post(path, CHROMIUM)).await;
        if path.contains('?') {
            assert_eq!(reply.status, 201, "a query changes nothing");
        } else {
            assert!(matches!(reply.status, 400 | 404 | 405), "{path}: {reply:?}");
        }
    }
    assert_eq!(server.snapshot().await.streams.len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let deadline = Duration::from_millis(300);
    let server = Server::start_with(BroadcasterLimits::default(), |it| {
        it.body_deadline(deadline)
    })
    .await;
    let head = format!(
        "POST /whip HTTP/1.1\r\nhost: test\r\ncontent-type: {SDP}\r\ncontent-length: 5000\r\n\r\n"
    );
    // Nothing of it, and a byte now and then.
    for pace in [None, Some(Duration::from_millis(40))] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let begun = Instant::now();
        while let Some(pace) = pace
            && begun.elapsed() < Duration::from_millis(250)
        {
            stream.write_all(b"v").await.unwrap();
            sleep(pace).await;
        }
        let reply = read(&mut stream).await.unwrap();
        assert_eq!(reply.status, 408, "{reply:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    // Cut in the middle.
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"v=0\r\n").await.unwrap();
    drop(stream);
    server.is_empty().await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_answered_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silence = Duration::from_millis(400);
    let guarded = GuardedListener::new(listener)
        .silence(silence)
        .connections(2);
    let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    let task = tokio::spawn(async move { axum::serve(guarded, router).await.unwrap() });
    let connect = async || TcpStream::connect(address).await.unwrap();

    // One says nothing, one a byte of a request now and then; a third waits until one of them is gone.
    let silent = connect().await;
    let mut slow = connect().await;
    let begun = Instant::now();
    let third = async {
        let mut third = connect().await;
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        third.write_all(request).await.unwrap();
        read(&mut third).await.unwrap()
    };
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nx-long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            .iter()
            .cycle()
        {
            if slow.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let (reply, ()) = tokio::join!(third, drip);
    assert_eq!((reply.status, &*reply.body), (200, "hello"));
    assert!(begun.elapsed() >= silence, "it had to wait");
    assert!(begun.elapsed() < PATIENCE);

    // Who is answered now and then may stay.
    let mut kept = connect().await;
    for _ in 0..6 {
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        kept.write_all(request).await.unwrap();
        let mut answer = [0; 512];
        let count = tokio::io::AsyncReadExt::read(&mut kept, &mut answer)
            .await
            .unwrap();
        assert!(answer[..count].ends_with(b"hello"));
        sleep(silence / 4).await;
    }
    drop(silent);
    task.abort();
}
