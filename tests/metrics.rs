//! The figures of all peers: their names, what they count, and that none is lost.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use metrics::{LocalRecorderGuard, set_default_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use ractor_webrtc::Event;
use ractor_webrtc::metrics::describe;
use ractor_webrtc::peer_connection::PeerConnectionState;

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::{connect_ours, with_other_fingerprint};
use self::common::{PATIENCE, eventually};

#[tokio::test]
async fn every_documented_name_appears_and_no_other() {
    let recorder = recorder();
    let (figures, _guard) = Figures::listen(&recorder);
    let (mut alice, mut bob) = call().await;
    exchange(&mut alice, &mut bob).await;
    hang_up(alice, bob).await;
    let documented = documented();
    assert!(documented.len() > 20, "{documented:?}");
    assert_eq!(figures.names(), documented);
    for label in figures.labels() {
        let (name, value) = label.split_once('=').unwrap();
        assert!(
            ["state", "reason", "direction", "lane", "quantile"].contains(&name),
            "{label}"
        );
        assert!(
            name == "quantile" || TABLE.contains(&format!("`{value}`")) || is_counter(value),
            "{label}"
        );
    }
}

#[tokio::test]
async fn described_figures_are_there_before_anything_has_happened() {
    let recorder = recorder();
    let (figures, _guard) = Figures::listen(&recorder);
    let before = figures.series();
    assert!(before.values().all(|value| *value == 0.0), "{before:?}");
    let (mut alice, mut bob) = call().await;
    exchange(&mut alice, &mut bob).await;
    hang_up(alice, bob).await;
    let keys = |series: BTreeMap<String, f64>| -> BTreeSet<String> {
        let own = |key: &String| !key.contains("connect_seconds");
        series.into_keys().filter(own).collect()
    };
    assert_eq!(keys(figures.series()), keys(before));
}

#[tokio::test]
async fn what_peers_have_counted_is_all_there_when_they_have_ended() {
    let recorder = recorder();
    let (figures, _guard) = Figures::listen(&recorder);
    let mut alice = Ours::spawn(loopback()).await;
    let mut bob = Ours::spawn(loopback()).await;
    let track = alice.audio.id();
    let too_early = rtp_packet(111, 1, 0, true, vec![1]);
    alice.peer.send_rtp(track, too_early).unwrap();
    eventually(PATIENCE, "a packet that has nowhere to go", async || {
        let counted = alice.peer.media_stats().await.unwrap();
        (counted.not_connected == 1).then_some(())
    })
    .await;
    connect_ours(&mut alice, &mut bob, None).await;
    exchange(&mut alice, &mut bob).await;
    let alices = alice.peer.media_stats().await.unwrap();
    let bobs = bob.peer.media_stats().await.unwrap();
    hang_up(alice, bob).await;
    let value = |name: &str| figures.value(name);
    let received = value("ractor_webrtc_rtp_packets_received_total");
    assert_eq!(received, alices.rtp_received + bobs.rtp_received);
    let bytes = value("ractor_webrtc_rtp_bytes_received_total");
    assert_eq!(bytes, alices.rtp_bytes_received + bobs.rtp_bytes_received);
    assert_eq!(
        value("ractor_webrtc_packets_delivered_total"),
        u64::from(COUNT)
    );
    let dropped = "ractor_webrtc_packets_dropped_total{reason=\"not_connected\"}";
    assert_eq!(value(dropped), 1);
    // Reports and the goodbye came on top.
    assert!(value("ractor_webrtc_datagrams_sent_total") >= alices.sent + bobs.sent);
}

#[tokio::test]
async fn peers_are_counted_by_state_and_their_ends_by_reason() {
    let recorder = recorder();
    let (figures, _guard) = Figures::listen(&recorder);
    let in_state =
        |state: &str| figures.value(&format!("ractor_webrtc_peers{{state=\"{state}\"}}"));
    let ended = |reason: &str| {
        figures.value(&format!(
            "ractor_webrtc_peers_closed_total{{reason=\"{reason}\"}}"
        ))
    };
    let (alice, mut bob) = call().await;
    let idle = Ours::spawn(loopback()).await;
    assert_eq!((in_state("new"), in_state("connected")), (1, 2));
    assert_eq!(figures.value("ractor_webrtc_connect_seconds_count"), 2);
    assert_eq!(figures.value("ractor_webrtc_peers_started_total"), 3);
    drop(idle);
    eventually(PATIENCE, "the end of a peer without owner", async || {
        (ended("owner_gone") == 1).then_some(())
    })
    .await;
    alice.peer.close().await;
    // A killed actor runs no hook of its own.
    let supervised = bob.owner().get_cell().get_children();
    supervised[0].kill();
    bob.expect_closed().await;
    assert_eq!((ended("requested"), ended("crashed")), (1, 1));
    eventually(PATIENCE, "nobody is left", async || {
        let states = [
            "new",
            "connecting",
            "connected",
            "disconnected",
            "failed",
            "closed",
        ];
        states
            .iter()
            .all(|state| in_state(state) == 0)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_failed_handshake_is_counted_by_its_reason() {
    let recorder = recorder();
    let (figures, _guard) = Figures::listen(&recorder);
    let mut alice = Ours::spawn(loopback()).await;
    let mut bob = Ours::spawn(loopback()).await;
    let offer = alice.offer().await;
    let answer = bob.answer(&offer).await;
    alice.accept_answer(&with_other_fingerprint(&answer)).await;
    alice.expect_state(PeerConnectionState::Failed).await;
    let name = "ractor_webrtc_dtls_failures_total{reason=\"fingerprint\"}";
    assert_eq!(figures.value(name), 1);
}

#[test]
fn the_deploy_guide_names_only_figures_that_there_are() {
    let known = documented();
    let guide = include_str!("../guides/deploying/bare.md");
    let mut named = 0;
    for word in guide.split(|it: char| !it.is_ascii_alphanumeric() && it != '_') {
        // Not the crate itself, nor its log.
        if let Some(rest) = word.strip_prefix("ractor_webrtc_") {
            let base = word.trim_end_matches("_bucket").trim_end_matches("_count");
            assert!(known.contains(base), "{rest}");
            named += 1;
        }
    }
    assert!(named > 3);
}

async fn call() -> (Ours, Ours) {
    let mut alice = Ours::spawn(loopback()).await;
    let mut bob = Ours::spawn(loopback()).await;
    connect_ours(&mut alice, &mut bob, None).await;
    (alice, bob)
}

/// Sound from one to the other.
async fn exchange(alice: &mut Ours, bob: &mut Ours) {
    let track = alice.audio.id();
    for number in 0..COUNT {
        let packet = rtp_packet(
            111,
            1000 + number,
            u32::from(number) * 960,
            false,
            vec![1; 50],
        );
        alice.peer.send_rtp(track, packet).unwrap();
    }
    let mut missing = usize::from(COUNT);
    while missing > 0 {
        missing -= bob
            .expect("media", |event| {
                let Event::Rtp { packets, .. } = event else {
                    return None;
                };
                Some(packets.len())
            })
            .await;
    }
}

/// Everything is counted when this returns.
async fn hang_up(alice: Ours, bob: Ours) {
    alice.peer.close().await;
    bob.peer.close().await;
}

fn recorder() -> PrometheusRecorder {
    let buckets = PrometheusBuilder::new().set_buckets(&[0.1, 1.0, 10.0]);
    buckets.unwrap().build_recorder()
}

/// What a scraper would get.
struct Figures(PrometheusHandle);

impl Figures {
    /// A test has its thread for itself, with all its actors.
    fn listen(recorder: &PrometheusRecorder) -> (Self, LocalRecorderGuard<'_>) {
        let guard = set_default_local_recorder(recorder);
        describe();
        (Self(recorder.handle()), guard)
    }

    /// Each series with its value.
    fn series(&self) -> BTreeMap<String, f64> {
        let text = self.0.render();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }

    fn value(&self, series: &str) -> u64 {
        let all = self.series();
        let value = all
            .get(series)
            .unwrap_or_else(|| panic!("no {series} in {all:#?}"));
        *value as u64
    }

    fn names(&self) -> BTreeSet<String> {
        let all = self.series();
        let names = all.keys().map(|series| series.split('{').next().unwrap());
        let parts = ["_bucket", "_sum", "_count"];
        let base = |name: &str| {
            let part = parts.iter().find_map(|part| name.strip_suffix(part));
            part.unwrap_or(name).to_owned()
        };
        names.map(base).collect()
    }

    /// `name=value` of all.
    fn labels(&self) -> BTreeSet<String> {
        let all = self.series();
        let of = |series: &String| -> Vec<String> {
            let Some((_, labels)) = series.trim_end_matches('}').split_once('{') else {
                return Vec::new();
            };
            labels
                .split(',')
                .map(|label| label.replace('"', ""))
                .filter(|it| !it.starts_with("le="))
                .collect()
        };
        all.keys().flat_map(of).collect()
    }
}

/// The names in the table of the module.
fn documented() -> BTreeSet<String> {
    let rows = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

/// Whether a counter of `MediaStats` is called so.
fn is_counter(value: &str) -> bool {
    COUNTERS.contains(&format!("pub {value}: u64"))
}

const TABLE: &str = include_str!("../src/metrics/mod.rs");
const COUNTERS: &str = include_str!("../src/rtp_transport/stats.rs");

/// Packets of a call.
const COUNT: u16 = 200;
