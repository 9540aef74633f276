//! Our statistics beside those that Chromium gives of the same call, at rest.
#![allow(clippy::unwrap_used)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ractor_webrtc::peer_connection::RouteSource;
use ractor_webrtc::{MediaKind, PeerConnectionBuilder, SrtpProfile};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use self::browser::{Browser, Page, serve};
use self::common::eventually;
use self::common::owner::{Ours, loopback};

/// As much as two cores encode and decode beside each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn our_statistics_say_of_a_call_what_the_browsers_say() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut calls = 0;
    let (ours, theirs) = loop {
        let (page, ours) = call(&browser, loopback(), None).await;
        times_agree(&page, &ours).await;
        let (ours, theirs) = at_rest(&page, &ours).await;
        calls += 1;
        if calls == 4 || is_whole(&ours, &theirs) {
            break (ours, theirs);
        }
        page.close().await;
    };
    streams_agree(&ours, &theirs);
    transports_agree(&ours, &theirs);
    reports_agree(&ours, &theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_way_takes_as_long_by_our_statistics_as_by_the_browsers() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let delay = Duration::from_millis(40);
    let (page, ours) = call(&browser, loopback(), Some(delay)).await;
    for round_trip in times_agree(&page, &ours).await {
        assert!(round_trip >= 0.08, "{round_trip} s");
    }
    jitters_agree(&page, &ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_profile_of_srtp_has_the_name_that_the_browser_gives_it() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    for profile in [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmHmacSha1_80,
    ] {
        let (page, ours) = call(&browser, loopback().srtp_profiles([profile]), None).await;
        let report = ours.peer.get_stats(None).await.unwrap();
        let name = report.transport().unwrap().srtp_cipher;
        page.wait_until("pc.connectionState === 'connected'", PATIENCE)
            .await;
        let theirs: Report = page.eval("statistics()").await;
        assert_eq!(name, only(&theirs, "transport")["srtpCipher"].as_str());
    }
}

/// Objects by their ids.
type Report = BTreeMap<String, Value>;

/// Whether all that was sent was received. On a busy machine the browser may send before we have its keys, or a socket overflow.
fn is_whole(ours: &Report, theirs: &Report) -> bool {
    let drops = &ours["XM"];
    let dropped = ["receivedWithoutKeys", "inboundOverflow", "unrouted"];
    let lost = |report: &Report| {
        let streams = report.values().filter(|it| it["type"] == "inbound-rtp");
        streams.map(|it| number(it, "packetsLost")).sum::<f64>()
    };
    let whole = dropped.iter().all(|drop| drops[drop] == 0);
    whole && lost(ours) == 0.0 && lost(theirs) == 0.0
}

/// What one side sends, the other receives.
fn streams_agree(ours: &Report, theirs: &Report) {
    for (senders, receivers) in [(ours, theirs), (theirs, ours)] {
        for kind in ["audio", "video"] {
            let sent = stream(senders, "outbound-rtp", kind);
            let got = stream(receivers, "inbound-rtp", kind);
            for (sent_as, got_as) in [
                ("ssrc", "ssrc"),
                ("mid", "mid"),
                ("packetsSent", "packetsReceived"),
                ("bytesSent", "bytesReceived"),
                ("headerBytesSent", "headerBytesReceived"),
            ] {
                assert_eq!(sent[sent_as], got[got_as], "{sent_as}\n{sent:#}\n{got:#}");
            }
            // Browsers leave out what is not asked for of sound.
            for asked in ["nackCount", "pliCount", "firCount"] {
                let same = sent[asked] == got[asked] || kind == "audio";
                assert!(same, "{asked}\n{sent:#}\n{got:#}");
            }
            assert!(sent["packetsSent"].as_u64().unwrap() > 50, "{sent:#}");
            assert_eq!(got["packetsLost"], 0, "{got:#}");
            let (one, other) = (
                &senders[id(sent, "codecId")],
                &receivers[id(got, "codecId")],
            );
            for member in ["mimeType", "payloadType", "clockRate", "channels"] {
                assert_eq!(one[member], other[member], "{one:#}\n{other:#}");
            }
        }
    }
}

fn transports_agree(ours: &Report, theirs: &Report) {
    let transport = |report: &Report| only(report, "transport").clone();
    let (our, their) = (transport(ours), transport(theirs));
    for member in ["dtlsCipher", "srtpCipher", "tlsVersion", "dtlsState"] {
        assert_eq!(our[member], their[member], "{member}");
        assert!(our[member].is_string(), "{member}");
    }
    // A browser that controls the session goes over to a better pair when it finds one.
    assert!(number(&our, "selectedCandidatePairChanges") >= 1.0);
    for (member, roles) in [
        ("iceRole", ["controlled", "controlling"]),
        ("dtlsRole", ["client", "server"]),
    ] {
        let mut both = [&our[member], &their[member]];
        both.sort_by_key(|it| it.to_string());
        assert_eq!(both, roles, "{member}");
    }
    for (here, there) in [
        ("localCertificateId", "remoteCertificateId"),
        ("remoteCertificateId", "localCertificateId"),
    ] {
        let (one, other) = (&ours[id(&our, here)], &theirs[id(&their, there)]);
        for member in ["fingerprint", "fingerprintAlgorithm", "base64Certificate"] {
            assert_eq!(one[member], other[member], "{member}");
        }
    }
    let our_pair = &ours[id(&our, "selectedCandidatePairId")];
    let their_pair = &theirs[id(&their, "selectedCandidatePairId")];
    for (here, there) in [
        ("localCandidateId", "remoteCandidateId"),
        ("remoteCandidateId", "localCandidateId"),
    ] {
        let (one, other) = (&ours[id(our_pair, here)], &theirs[id(their_pair, there)]);
        for member in ["candidateType", "port", "protocol", "address"] {
            // The browser hides what it was not told.
            let hidden = member == "address" && other[member] == "";
            let same = one[member] == other[member];
            assert!(same || hidden, "{member}\n{one:#}\n{other:#}");
        }
    }
    for member in ["state", "nominated"] {
        assert_eq!(our_pair[member], their_pair[member], "{member}");
    }
    // The browser's checks are no part of it, nor are ours.
    for (here, there) in [
        ("packetsSent", "packetsReceived"),
        ("bytesSent", "bytesReceived"),
        ("packetsReceived", "packetsSent"),
        ("bytesReceived", "bytesSent"),
    ] {
        assert_eq!(our[here], their[there], "{here}\n{our:#}\n{their:#}");
    }
}

/// What each side hears of the other by RTCP.
fn reports_agree(ours: &Report, theirs: &Report) {
    for kind in ["audio", "video"] {
        for report in [ours, theirs] {
            let remote = stream(report, "remote-inbound-rtp", kind);
            assert_eq!(remote["packetsLost"], 0, "{remote:#}");
            assert_eq!(number(remote, "fractionLost"), 0.0, "{remote:#}");
            assert!(number(remote, "roundTripTimeMeasurements") >= 1.0);
        }
        for (sender, receiver) in [(ours, theirs), (theirs, ours)] {
            let sent = stream(sender, "outbound-rtp", kind);
            let told = stream(receiver, "remote-outbound-rtp", kind);
            assert_eq!(told["ssrc"], sent["ssrc"]);
            assert!(number(told, "reportsSent") >= 1.0);
            // The last report is from before the last packets.
            let behind = number(sent, "packetsSent") - number(told, "packetsSent");
            assert!((0.0..300.0).contains(&behind), "{told:#}\n{sent:#}");
            assert!(number(told, "bytesSent") <= number(sent, "bytesSent"));
            let heard = stream(sender, "remote-inbound-rtp", kind);
            let got = stream(receiver, "inbound-rtp", kind);
            for member in ["ssrc", "packetsLost"] {
                assert_eq!(heard[member], got[member], "{heard:#}\n{got:#}");
            }
        }
    }
}

/// The times to the other side and back that a side has measured last: by checks, and by reports on either stream.
fn round_trips(report: &Report) -> Option<[f64; 3]> {
    let pair = &report[only(report, "transport")["selectedCandidatePairId"].as_str()?];
    let reported = |kind| {
        let remote = |it: &&Value| it["type"] == "remote-inbound-rtp" && it["kind"] == kind;
        report.values().find(remote)?["roundTripTime"].as_f64()
    };
    let checked = pair["currentRoundTripTime"].as_f64()?;
    Some([checked, reported("audio")?, reported("video")?])
}

/// How unevenly the packets of sound and of pictures came to `receiver`, by itself and by what the other side has last heard of it.
fn jitters(receiver: &Report, sender: &Report) -> [(f64, f64); 2] {
    ["audio", "video"].map(|kind| {
        let measured = stream(receiver, "inbound-rtp", kind);
        let heard = stream(sender, "remote-inbound-rtp", kind);
        (number(measured, "jitter"), number(heard, "jitter"))
    })
}

/// Waits until each side has heard of the other what that measures, within a tenth or half a millisecond: a report is up to
/// a second old.
async fn jitters_agree(page: &Page, ours: &Ours) {
    let mut seen = Vec::new();
    let agreed = tokio::time::timeout(TIMES_PATIENCE, async {
        loop {
            let (ours, theirs) = statistics(page, ours).await;
            let all = [jitters(&ours, &theirs), jitters(&theirs, &ours)].concat();
            let near = |(one, other): &(f64, f64)| {
                *one > 0.0 && (one - other).abs() < (one.max(*other) / 10.0).max(0.0005)
            };
            if all.iter().all(near) {
                return;
            }
            seen.push(all);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let agreed = agreed.await;
    agreed.unwrap_or_else(|_| panic!("{seen:?}"));
}

/// Waits until both sides have measured the same, within a tenth or two milliseconds. On a busy machine the latest check of one may have
/// waited for its turn.
async fn times_agree(page: &Page, ours: &Ours) -> [f64; 3] {
    let mut seen = Vec::new();
    let agreed = tokio::time::timeout(TIMES_PATIENCE, async {
        loop {
            let (ours, theirs) = statistics(page, ours).await;
            if let (Some(ours), Some(theirs)) = (round_trips(&ours), round_trips(&theirs)) {
                seen.push((ours, theirs));
                let mut both = ours.into_iter().zip(theirs);
                if both.all(|(one, other)| alike(one, other)) {
                    return ours;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    agreed.await.unwrap_or_else(|_| panic!("{seen:?}"))
}

fn alike(one: f64, other: f64) -> bool {
    (one - other).abs() < (one.max(other) / 10.0).max(0.002)
}

fn number(object: &Value, member: &str) -> f64 {
    let number = object[member].as_f64();
    number.unwrap_or_else(|| panic!("no {member} in {object:#}"))
}

fn id<'a>(object: &'a Value, member: &str) -> &'a str {
    let id = object[member].as_str();
    id.unwrap_or_else(|| panic!("no {member} in {object:#}"))
}

fn stream<'a>(report: &'a Report, what: &str, kind: &str) -> &'a Value {
    let found = report
        .values()
        .find(|it| it["type"] == what && it["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {what} of {kind} in {report:#?}"))
}

fn only<'a>(report: &'a Report, what: &str) -> &'a Value {
    let found: Vec<_> = report.values().filter(|it| it["type"] == what).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0]
}

/// A page that sends sound and pictures, and gets them back by route; on a way of that length, if any.
async fn call(
    browser: &Browser,
    builder: PeerConnectionBuilder,
    delay: Option<Duration>,
) -> (Page, Ours) {
    let page = browser.open(&serve(PAGE).await).await;
    let mut offer: String = page.eval("offer()").await;
    if delay.is_some() {
        // Its own addresses would lead past the detour.
        let kept = |line: &&str| !line.starts_with("a=candidate:");
        offer = offer
            .lines()
            .filter(kept)
            .map(|line| format!("{line}\r\n"))
            .collect();
    }
    let mut ours = Ours::spawn(builder).await;
    let mut answer = ours.answer(&offer).await;
    if let Some(delay) = delay {
        answer = detour(&answer, delay).await;
    }
    let () = page.eval(&format!("accept({})", json!(answer))).await;
    ours.expect_connected().await;
    for kind in KINDS {
        let source = RouteSource::new(&ours.peer, ours.remote_track(kind).id());
        let track = ours.local_track(kind).id();
        ours.peer.set_route(track, source).await.unwrap();
    }
    (page, ours)
}

/// Both sides' statistics in a moment in which nothing is on its way, media no more and reports just now.
async fn at_rest(page: &Page, ours: &Ours) -> (Report, Report) {
    page.wait_until("measured(4)", Duration::from_secs(20))
        .await;
    for kind in KINDS {
        let track = ours.local_track(kind).id();
        ours.peer.set_route(track, None).await.unwrap();
    }
    let () = page.eval("rest()").await;
    let mut before = (Report::new(), Report::new());
    eventually(PATIENCE, "rest", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = statistics(page, ours).await;
        let counts = |reports: &(Report, Report)| {
            let all = reports.0.values().chain(reports.1.values());
            let transports = all.filter(|it| it["type"] == "transport");
            let count = |it: &Value| [it["packetsSent"].as_u64(), it["packetsReceived"].as_u64()];
            transports.map(count).collect::<Vec<_>>()
        };
        let rests = counts(&now) == counts(&before);
        before = now.clone();
        rests.then_some(now)
    })
    .await
}

async fn statistics(page: &Page, ours: &Ours) -> (Report, Report) {
    let report = ours.peer.get_stats(None).await.unwrap();
    let ours = serde_json::from_value(json!(&*report)).unwrap();
    (ours, page.eval("statistics()").await)
}

/// A way to a peer on loopback that takes some time each way; what the page is told of the peer is the way's own address.
async fn detour(answer: &str, delay: Duration) -> String {
    let bind = async || Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let (to_page, to_peer) = (bind().await, bind().await);
    let line = answer.lines().find(|it| it.starts_with("a=candidate:"));
    let port = line.unwrap().split(' ').nth(5).unwrap();
    let (sender, page) = watch::channel(([127, 0, 0, 1], 9).into());
    let peer = watch::channel(([127, 0, 0, 1], port.parse().unwrap()).into()).1;
    tokio::spawn(carry(
        Arc::clone(&to_page),
        Arc::clone(&to_peer),
        peer,
        delay,
        sender,
    ));
    let stand_in = to_page.local_addr().unwrap().port();
    let nobody = watch::channel(([127, 0, 0, 1], 9).into()).0;
    tokio::spawn(carry(to_peer, to_page, page, delay, nobody));
    answer.replace(
        &format!(" {port} typ host"),
        &format!(" {stand_in} typ host"),
    )
}

async fn carry(
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    target: watch::Receiver<SocketAddr>,
    delay: Duration,
    source: watch::Sender<SocketAddr>,
) {
    let mut buffer = [0; 2048];
    loop {
        let (length, sender) = from.recv_from(&mut buffer).await.unwrap();
        source.send_replace(sender);
        let (to, target, datagram) = (Arc::clone(&to), *target.borrow(), buffer[..length].to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            to.send_to(&datagram, target).await.unwrap();
        });
    }
}

const PAGE: &str = "<!doctype html><title>Statistics</title><video id=remote autoplay></video><script>
    const pc = new RTCPeerConnection();
    const remote = new MediaStream();
    pc.ontrack = ({ track }) => {
        remote.addTrack(track);
        document.getElementById('remote').srcObject = remote;
    };
    async function offer() {
        const video = { width: 320, height: 240 };
        const stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
        stream.getTracks().forEach(track => pc.addTrack(track, stream));
        await pc.setLocalDescription();
        while (pc.iceGatheringState !== 'complete') {
            await new Promise(next => pc.addEventListener('icegatheringstatechange', next, { once: true }));
        }
        return pc.localDescription.sdp;
    }
    const accept = sdp => pc.setRemoteDescription({ type: 'answer', sdp });
    const rest = async () => {
        for (const sender of pc.getSenders()) await sender.replaceTrack(null);
    };
    const statistics = async () => Object.fromEntries(await pc.getStats());
    const measured = async times => {
        const all = Object.values(await statistics()).filter(one => one.type === 'remote-inbound-rtp');
        return all.length === 2 && all.every(one => one.roundTripTimeMeasurements >= times);
    };
</script>";

const PATIENCE: Duration = Duration::from_secs(20);

/// Some checks for consent, of which each side asks every two seconds or so, and a busy quarter of a minute before.
const TIMES_PATIENCE: Duration = Duration::from_secs(60);

const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
