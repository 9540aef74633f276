//! Descriptions and candidates that are made to cost: each is refused or read in little time and memory, and changes nothing
//! that was there.

use std::time::{Duration, Instant};

use super::*;
use crate::ice::IceCandidate;
use crate::perfect_negotiation::SignalingMessage;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

/// An unoptimized build on a busy machine takes some milliseconds for the worst of them; what grows with the square of the
/// length takes minutes.
const PATIENCE: Duration = Duration::from_secs(2);

fn media(lines: &str) -> String {
    format!(
        "{HEAD}a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=sendrecv\r\n{lines}",
        ["01"; 32].join(":")
    )
}

/// As many lines as a description may have bytes.
fn full(line: impl Fn(usize) -> String) -> String {
    let mut text = media("");
    for number in 0.. {
        let line = line(number);
        if text.len() + line.len() > PeerLimits::default().description_bytes {
            return text;
        }
        text.push_str(&line);
    }
    text
}

fn bombs() -> Vec<(&'static str, String)> {
    let long = "9".repeat(100_000);
    let mids = "a=mid:0\r\n".repeat(20_000);
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    vec![
        (
            "a megabyte in one line",
            media(&format!("a=x:{}\r\n", "y".repeat(1 << 20))),
        ),
        (
            "the longest line",
            media(&format!("a=x:{}\r\n", "y".repeat(250_000))),
        ),
        ("a million attributes", media(&"a=x\r\n".repeat(1_000_000))),
        ("nothing but line ends", "\n".repeat(1 << 20)),
        (
            "as many line ends as fit",
            format!("{}{}", media(""), "\n".repeat(200_000)),
        ),
        (
            "huge numbers in o=",
            format!("v=0\r\no=- {long} {long} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"),
        ),
        (
            "huge numbers in t=",
            format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt={long} {long}\r\n"),
        ),
        (
            "a huge port",
            format!("{HEAD}m=audio {long} UDP/TLS/RTP/SAVPF 111\r\n"),
        ),
        (
            "a huge payload type",
            media(&format!("a=rtpmap:{long} opus/48000/2\r\n")),
        ),
        (
            "a huge clock rate",
            media(&format!("a=rtpmap:111 opus/{long}/{long}\r\n")),
        ),
        ("a huge ssrc", media(&format!("a=ssrc:{long} cname:x\r\n"))),
        ("one mid twenty thousand times", media(&mids)),
        ("one mid in all m-lines", {
            let line = |_| "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n".to_owned();
            media(&lines(255, line))
        }),
        (
            "a million formats",
            format!(
                "{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF{}\r\n",
                " 1".repeat(1_000_000)
            ),
        ),
        (
            "a bundle of everything",
            full(|number| format!("a=group:BUNDLE {}\r\n", "0 ".repeat(number % 500))),
        ),
        (
            "formats over and over",
            full(|number| format!("a=rtpmap:{} VP8/90000\r\n", number % 128)),
        ),
        (
            "parameters over and over",
            full(|number| format!("a=fmtp:{} {}\r\n", number % 128, "a=b;".repeat(20))),
        ),
        (
            "feedback over and over",
            full(|number| format!("a=rtcp-fb:{} nack\r\n", number % 128)),
        ),
        (
            "ever new sources",
            full(|number| format!("a=ssrc:{number} cname:x\r\n")),
        ),
        (
            "ever new groups",
            full(|number| format!("a=ssrc-group:FID {number} {}\r\n", number + 1)),
        ),
        (
            "ever new encodings",
            full(|number| format!("a=rid:r{number} send\r\n")),
        ),
        (
            "simulcast of everything",
            full(|number| format!("a=simulcast:send {}\r\n", "a;".repeat(number % 500))),
        ),
        (
            "ever new extensions",
            full(|number| format!("a=extmap:{} urn:{number}\r\n", number % 255 + 1)),
        ),
        (
            "ever new streams",
            full(|number| format!("a=msid:s{number} t{number}\r\n")),
        ),
        (
            "ever new candidates",
            full(|number| {
                format!(
                    "a=candidate:1 1 udp 1 192.0.2.1 {} typ host\r\n",
                    number % 65_536
                )
            }),
        ),
        (
            "ever new fingerprints",
            full(|number| {
                format!(
                    "a=fingerprint:sha-256 {}\r\n",
                    vec![format!("{:02x}", number % 256); 32].join(":")
                )
            }),
        ),
        (
            "one long candidate",
            media(&format!("a=candidate:{}\r\n", "1 ".repeat(100_000))),
        ),
    ]
}

#[test]
fn descriptions_that_are_made_to_cost_cost_little() {
    for (name, text) in bombs() {
        let mut end = End::new("bombed");
        let begin = Instant::now();
        let applied = end.offer_from(&text);
        if applied.is_ok() {
            end.jsep.create_answer().unwrap();
        }
        let took = begin.elapsed();
        assert!(took < PATIENCE, "{name}: {took:?}");
        let limits = PeerLimits::default();
        assert!(
            end.jsep.transceivers().len() <= limits.transceivers,
            "{name}"
        );
        if applied.is_err() {
            assert!(end.effects().is_empty(), "{name}");
            assert_eq!(end.jsep.signaling_state(), SignalingState::Stable, "{name}");
        }
        eprintln!("{name}: {took:?}, {applied:?}");
    }
}

// serde_json stops at a depth of 128; what a message has no place for is passed over without being kept.
#[test]
fn json_that_is_made_to_cost_costs_little() {
    let deep = "[".repeat(60_000);
    let deep_objects = r#"{"a":"#.repeat(12_000);
    let wide = format!(
        r#"{{"type":"offer","sdp":"",{}"x":0}}"#,
        r#""y":[1,2,3],"#.repeat(4_000)
    );
    let nested = format!(
        r#"{{"candidate":{}{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    let number = format!(
        r#"{{"candidate":"","sdpMLineIndex":{}}}"#,
        "9".repeat(60_000)
    );
    let float = r#"{"candidate":"","sdpMLineIndex":1e999999999}"#.to_owned();
    let escapes = format!(r#"{{"type":"offer","sdp":"{}"}}"#, r"\u0000".repeat(10_000));
    let duplicates = format!(r#"{{{}"type":"offer"}}"#, r#""sdp":"","#.repeat(7_000));
    let surrogate = r#"{"type":"offer","sdp":"\ud800"}"#.to_owned();
    for text in [
        deep,
        deep_objects,
        wide,
        nested,
        number,
        float,
        escapes,
        duplicates,
        surrogate,
    ] {
        let begin = Instant::now();
        let description = serde_json::from_str::<SessionDescription>(&text);
        let candidate = serde_json::from_str::<IceCandidate>(&text);
        let message = serde_json::from_str::<SignalingMessage>(&text);
        if let Ok(description) = description {
            let refused = End::new("bombed").offer_from(&description.sdp);
            assert!(refused.is_err(), "{:.60}", text);
        }
        drop((candidate, message));
        let took = begin.elapsed();
        assert!(took < PATIENCE, "{:.60}: {took:?}", text);
    }
}
