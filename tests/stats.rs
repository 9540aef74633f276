//! `getStats()`: its shape, its counts beside those of another stack, and that asking for it costs nothing.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ractor_webrtc::peer_connection::Event;
use ractor_webrtc::stats::{MIN_INTERVAL, Stats, StatsError, StatsReport};
use ractor_webrtc::{CallError, MediaKind, MediaStreamTrack, PeerConnection};
use serde_json::Value;
use str0m::crypto::dtls::SrtpProfile as Str0mProfile;
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, Mid};

use self::common::eventually;
use self::common::link::{Link, Verdict, Way};
use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::{Offerer, Session, connect_ours};
use self::common::str0m_peer::{Str0mEvent, Str0mOptions, Str0mPeer};

#[tokio::test]
async fn c026_before_negotiation_there_are_the_peer_and_its_counters() {
    let ours = Ours::spawn(loopback()).await;
    let report = ours.peer.get_stats(None).await.unwrap();
    assert_eq!(types(&report)[..2], ["peer-connection", "x-media-path"]);
    assert_eq!(types(&report)[2..], ["x-lane"; 5]);
    let json = json_of(&report);
    let peer = &json["P"];
    assert_eq!(peer["type"], "peer-connection");
    assert_eq!(peer["dataChannelsOpened"], 0);
    assert_eq!(peer["dataChannelsClosed"], 0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let age = now.unwrap().as_secs_f64() * 1000.0 - peer["timestamp"].as_f64().unwrap();
    assert!((0.0..10_000.0).contains(&age), "{age} ms");
}

#[tokio::test]
async fn c026_after_a_description_there_is_a_transport_that_knows_what_it_can() {
    let mut ours = Ours::spawn(loopback()).await;
    ours.offer().await;
    let report = settled(&ours.peer).await;
    let kinds = [
        "transport",
        "certificate",
        "local-candidate",
        "peer-connection",
        "x-media-path",
    ];
    assert_eq!(types(&report)[..kinds.len()], kinds);
    let transport = &json_of(&report)["T01"];
    for (member, value) in [
        ("iceRole", "unknown"),
        ("iceState", "new"),
        ("dtlsState", "new"),
        ("dtlsRole", "unknown"),
    ] {
        assert_eq!(transport[member], value, "{member}");
    }
    let (members, maybe) = shape_of("transport");
    assert_eq!(
        keys(transport),
        members.difference(&maybe).cloned().collect()
    );
}

#[tokio::test]
async fn c026_after_traffic_every_object_has_the_members_that_browsers_give_it() {
    let session = exchanged(Str0mOptions::default()).await;
    let report = reported(&session.ours.peer).await;
    let mut counts = BTreeMap::new();
    for kind in types(&report) {
        *counts.entry(kind).or_insert(0) += 1;
    }
    let expected = [
        ("candidate-pair", 1),
        ("certificate", 2),
        ("codec", 4),
        ("inbound-rtp", 2),
        ("local-candidate", 1),
        ("media-source", 2),
        ("outbound-rtp", 2),
        ("peer-connection", 1),
        ("remote-candidate", 1),
        ("remote-inbound-rtp", 2),
        ("remote-outbound-rtp", 2),
        ("transport", 1),
        ("x-guards", 1),
        ("x-lane", 5),
        ("x-media-path", 1),
        ("x-retransmission-cache", 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    let json = json_of(&report);
    for (id, object) in &json {
        assert_eq!(object["id"], **id);
        assert!(object["timestamp"].as_f64().unwrap() > 1.7e12, "{object}");
        let (mut wanted, maybe) = shape_of(object["type"].as_str().unwrap());
        if object["kind"] == "audio" {
            wanted.remove("pliCount");
            wanted.remove("firCount");
        }
        let present = keys(object);
        let missing: Vec<_> = wanted.difference(&present).collect();
        let needed: Vec<_> = missing.iter().filter(|it| !maybe.contains(**it)).collect();
        assert_eq!(needed, Vec::<&&String>::new(), "{object:#}");
        if object["type"] != "x-media-path" {
            let more: Vec<_> = present.difference(&wanted).collect();
            assert_eq!(more, Vec::<&String>::new(), "{object:#}");
        }
        for (member, value) in object.as_object().unwrap() {
            // By W3C's naming rule these name other objects.
            if member.ends_with("Id") {
                let named = value.as_str().unwrap();
                assert!(json.contains_key(named), "{id}: {member} names {named}");
            }
        }
    }
}

#[tokio::test]
async fn the_transport_has_both_roles_both_certificates_and_the_ciphers() {
    let session = exchanged(Str0mOptions::default()).await;
    let chosen = match session.theirs.observed_dtls().profile {
        Some(Str0mProfile::AEAD_AES_128_GCM) => "SRTP_AEAD_AES_128_GCM",
        Some(Str0mProfile::AEAD_AES_256_GCM) => "SRTP_AEAD_AES_256_GCM",
        other => panic!("{other:?}"),
    };
    let report = settled(&session.ours.peer).await;
    let json = json_of(&report);
    let transport = &json["T01"];
    for (member, value) in [
        ("iceRole", "controlling"),
        ("dtlsState", "connected"),
        ("dtlsRole", "client"),
        ("tlsVersion", "FEFD"),
        ("dtlsCipher", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("srtpCipher", chosen),
    ] {
        assert_eq!(transport[member], value, "{member}");
    }
    assert_eq!(transport["selectedCandidatePairChanges"], 1);
    let remote = session.ours.peer.remote_description().await.unwrap();
    for (member, sdp) in [
        ("localCertificateId", &session.local),
        ("remoteCertificateId", &remote.unwrap().sdp),
    ] {
        let certificate = &json[transport[member].as_str().unwrap()];
        let algorithm = certificate["fingerprintAlgorithm"].as_str().unwrap();
        let fingerprint = certificate["fingerprint"].as_str().unwrap();
        let line = format!("a=fingerprint:{algorithm} {fingerprint}");
        assert!(sdp.contains(&line), "{line}");
        let text = certificate["base64Certificate"].as_str().unwrap();
        assert!(text.starts_with("MII") || text.starts_with("MIH"), "{text}");
    }
}

#[tokio::test]
async fn the_selected_pair_has_counted_its_checks_and_measured_the_way() {
    let session = exchanged(Str0mOptions::default()).await;
    let report = settled(&session.ours.peer).await;
    let pair = report.selected_candidate_pair().unwrap();
    assert!(pair.nominated);
    assert!(
        pair.requests_sent >= 1 && pair.responses_received >= 1,
        "{pair:?}"
    );
    assert_eq!(pair.requests_received, pair.responses_sent, "{pair:?}");
    let current = pair.current_round_trip_time.unwrap();
    assert!(
        current > Duration::ZERO && current < Duration::from_secs(1),
        "{pair:?}"
    );
    assert!(pair.total_round_trip_time >= current, "{pair:?}");
    let json = json_of(&report);
    let local = &json[&pair.local_candidate_id];
    let remote = &json[&pair.remote_candidate_id];
    assert_eq!(local["candidateType"], "host");
    assert_eq!(local["address"], "127.0.0.1");
    assert!(
        session
            .local
            .contains(&format!(" 127.0.0.1 {} typ host", local["port"]))
    );
    assert_eq!(remote["type"], "remote-candidate");
    assert_eq!(remote["port"], session.theirs.local_addr().port());
    assert_eq!(remote["candidateType"], "host");
}

#[tokio::test]
async fn counts_are_those_of_the_other_stack() {
    let options = Str0mOptions {
        stats_interval: Some(Duration::from_millis(100)),
        ..Str0mOptions::default()
    };
    let mut session = exchanged(options).await;
    let video = session.mid(MediaKind::Video);
    let asked = session
        .theirs
        .request_keyframe(video, KeyframeRequestKind::Pli);
    assert!(asked.await);
    let track = session.ours.remote_track(MediaKind::Video).id();
    session.ours.peer.send_pli(track, None).unwrap();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let is_video = kind == MediaKind::Video;
        let mid = session.mid(kind);
        let report = eventually(PATIENCE, "requests and reports", async || {
            let report = settled(&session.ours.peer).await;
            let sent = report.outbound_rtp().find(|it| it.kind == kind)?;
            let got = report.inbound_rtp().find(|it| it.kind == kind)?;
            let asked = sent.pli_count.is_none_or(|plis| plis >= 1);
            (asked && sent.remote_id.is_some() && got.remote_id.is_some()).then_some(report)
        })
        .await;
        let sent = report.outbound_rtp().find(|it| it.kind == kind).unwrap();
        let received = counted(&mut session.theirs, mid, |event, mid| match event {
            Str0mEvent::Received(it) if it.mid == mid && (!is_video || it.plis >= 1) => Some(it),
            _ => None,
        })
        .await;
        let counters = session.ours.peer.media_stats().await.unwrap();
        // The other stack does not count padding, of which there is some beside the picture.
        let padding = if is_video { counters.padding_sent } else { 0 };
        assert_eq!(sent.packets_sent - padding, 5);
        assert_eq!(received.packets, 5);
        assert_eq!(sent.bytes_sent, received.bytes);
        assert_eq!(sent.pli_count, is_video.then_some(received.plis));
        assert!(sent.header_bytes_sent >= 5 * (12 + 4 + 4), "{sent:?}");

        let got = report.inbound_rtp().find(|it| it.kind == kind).unwrap();
        let their_ssrc = session.theirs.outgoing_ssrc(mid).await;
        assert_eq!(Some(got.ssrc), their_ssrc);
        let theirs = counted(&mut session.theirs, mid, |event, mid| match event {
            Str0mEvent::Sent(it) if it.mid == mid && (!is_video || it.plis >= 1) => Some(it),
            _ => None,
        })
        .await;
        assert_eq!(
            (got.packets_received, got.bytes_received),
            (5, theirs.bytes)
        );
        assert_eq!(got.packets_received, theirs.packets);
        assert_eq!(got.packets_lost, 0);
        assert_eq!(got.pli_count, is_video.then_some(theirs.plis));
        assert_eq!(got.track, session.ours.remote_track(kind).id());
        let label = session.ours.remote_track(kind).label();
        assert_eq!(got.track_identifier, label);

        let Some(Stats::RemoteInboundRtp(remote)) = report.get(sent.remote_id.as_ref().unwrap())
        else {
            panic!("{report:#?}");
        };
        assert_eq!((remote.packets_lost, remote.fraction_lost), (0, 0.0));
        let Some(Stats::RemoteOutboundRtp(remote)) = report.get(got.remote_id.as_ref().unwrap())
        else {
            panic!("{report:#?}");
        };
        assert_eq!(u64::from(remote.packets_sent), theirs.packets);
        assert!(remote.reports_sent >= 1);
    }
}

/// Every tenth packet of media is lost on its way, and nothing else.
#[tokio::test]
async fn what_is_sent_again_is_counted_as_the_other_stack_counts_it() {
    let mut sent = 0;
    let policy = move |way, datagram: &[u8]| {
        let is_rtp = (128..192).contains(&datagram[0]) && !(192..=223).contains(&datagram[1]);
        // The other stack does not count padding.
        let is_media = is_rtp && datagram[0] & 0x20 == 0;
        sent += u64::from(way == Way::AToB && is_media);
        match way == Way::AToB && is_media && sent % 10 == 0 {
            true => Verdict::Drop,
            false => Verdict::Forward,
        }
    };
    let link = Link::new(policy).await.unwrap();
    let options = Str0mOptions {
        stats_interval: Some(Duration::from_millis(100)),
        ..Str0mOptions::default()
    };
    let ours = Ours::spawn(loopback()).await;
    let theirs = Str0mPeer::spawn(options).await.unwrap();
    let mut session = Session::connect(ours, theirs, Offerer::Ours, true, Some(&link)).await;
    let mid = session.mid(MediaKind::Video);
    let payload_type = session.theirs.payload_type(mid, Codec::Vp8).await.unwrap();
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    for number in 1..=200 {
        beat.tick().await;
        let packet = rtp_packet(
            payload_type,
            number,
            90 * u32::from(number),
            true,
            vec![7; 100],
        );
        let track = session.ours.video.id();
        session.ours.peer.send_rtp(track, packet).unwrap();
    }
    // What is lost at the very end is asked for by nobody.
    let (stream, theirs) = eventually(PATIENCE, "the same counts", async || {
        let report = settled(&session.ours.peer).await;
        let stream = report.outbound_rtp().find(|it| it.kind == MediaKind::Video);
        let stream = stream.unwrap().clone();
        let theirs = counted(&mut session.theirs, mid, |event, mid| match event {
            Str0mEvent::Received(it) if it.mid == mid => Some(it),
            _ => None,
        })
        .await;
        let padding = session.ours.peer.media_stats().await.unwrap().padding_sent;
        let media = stream.packets_sent - padding;
        let arrived = media - media / 10;
        let same = (theirs.packets, theirs.nacks) == (arrived, stream.nack_count);
        (same && theirs.nacks > 0).then_some((stream, theirs))
    })
    .await;
    let again = stream.retransmitted_packets_sent;
    let counters = session.ours.peer.media_stats().await.unwrap();
    assert_eq!(stream.packets_sent, 200 + again + counters.padding_sent);
    // Some twice: where answers get lost, they are given twice for a while.
    assert!((15..=60).contains(&again), "{stream:?}");
    // A retransmission names the packet that it repeats in two bytes (RFC 4588 §4).
    assert_eq!(stream.retransmitted_bytes_sent, 102 * again);
    assert_eq!(stream.bytes_sent, 200 * 100 + 102 * again);
    assert!(stream.rtx_ssrc.is_some());
    assert_eq!(counters.retransmitted, again);
    println!("{stream:#?}\n{theirs:#?}");
}

#[tokio::test]
async fn reports_of_the_remote_side_measure_the_round_trip() {
    let session = exchanged(Str0mOptions::default()).await;
    let mut session = session;
    let remote = eventually(PATIENCE, "round-trip time", async || {
        // Both sides report on what was sent since they did so last.
        session.send(MediaKind::Audio, Codec::Opus).await;
        let report = settled(&session.ours.peer).await;
        report.iter().find_map(|it| match it {
            Stats::RemoteInboundRtp(it) if it.round_trip_time.is_some() => Some(it.clone()),
            _ => None,
        })
    })
    .await;
    assert!(
        remote.round_trip_time.unwrap() < Duration::from_secs(1),
        "{remote:?}"
    );
    assert!(remote.round_trip_time_measurements >= 1, "{remote:?}");
}

#[tokio::test]
async fn stats_of_one_track_are_its_streams_and_what_they_name() {
    let session = exchanged(Str0mOptions::default()).await;
    let peer = &session.ours.peer;
    reported(peer).await;
    let sent = peer.get_stats(session.ours.audio.id()).await.unwrap();
    let all = [
        "codec",
        "media-source",
        "remote-inbound-rtp",
        "outbound-rtp",
        "transport",
        "certificate",
        "certificate",
        "candidate-pair",
        "local-candidate",
        "remote-candidate",
    ];
    assert_eq!(types(&sent), all);
    let audio = sent.outbound_rtp().next().unwrap();
    assert_eq!(audio.track, Some(session.ours.audio.id()));
    let remote = session.ours.remote_track(MediaKind::Video).id();
    let received = peer.get_stats(remote).await.unwrap();
    assert_eq!(received.inbound_rtp().count(), 1);
    assert_eq!(received.outbound_rtp().count(), 0);

    let strange = MediaStreamTrack::new(MediaKind::Audio, []).id();
    let refused = peer.get_stats(strange).await;
    assert_eq!(refused, Err(StatsError::UnknownTrack(strange)));
    peer.close().await;
    let stopped = Err(StatsError::Call(CallError::Stopped));
    assert_eq!(peer.get_stats(None).await, stopped);
}

/// Whoever asks in a loop, and several who do so at once, get no more reports than one every 50 ms; and
/// what flows meanwhile flows as if nobody asked.
#[tokio::test]
async fn c107_ten_thousand_questions_cost_no_packet_and_no_peer() {
    let mut sender = Ours::spawn(loopback()).await;
    let mut receiver = Ours::spawn(loopback()).await;
    connect_ours(&mut sender, &mut receiver, None).await;
    // A machine that does other things beside makes packets late now and then; what asking costs would show every time.
    let mut rounds = Vec::new();
    for round in 0..5 {
        let quiet = flow(&sender, &mut receiver, round * 600).await;
        let asked = Instant::now();
        let askers: Vec<_> = [&sender.peer, &receiver.peer, &receiver.peer]
            .into_iter()
            .map(|peer| tokio::spawn(ask_and_ask(peer.clone())))
            .collect();
        let pressed = flow(&sender, &mut receiver, round * 600 + 300).await;
        for asker in askers {
            let reports = asker.await.unwrap();
            let most = asked.elapsed().as_millis() / MIN_INTERVAL.as_millis() + 2;
            let elapsed = asked.elapsed();
            assert!(reports as u128 <= most, "{reports} in {elapsed:?}");
        }
        rounds.push((quiet, pressed));
        if pressed < quiet + Duration::from_millis(2) {
            break;
        }
    }
    let (quiet, pressed) = *rounds.last().unwrap();
    assert!(
        pressed < quiet + Duration::from_millis(2),
        "half of the packets take (while nobody asks, while somebody does): {rounds:?}"
    );
    for peer in [&sender.peer, &receiver.peer] {
        let stats = peer.media_stats().await.unwrap();
        assert_eq!(
            stats.inbound_overflow + stats.owner_overflow,
            0,
            "{stats:?}"
        );
        assert_eq!(stats.outbound_overflow + stats.send_failed, 0, "{stats:?}");
    }
}

/// Asks ten thousand times, in bursts for as long as media flows; how many reports there were.
async fn ask_and_ask(peer: PeerConnection) -> usize {
    let mut reports = BTreeSet::new();
    let begun = Instant::now();
    for question in 0..QUESTIONS {
        let report = peer.get_stats(None).await.unwrap();
        reports.insert(report.timestamp());
        let pace = FLOW * u32::try_from(question).unwrap() / QUESTIONS as u32;
        if question % 500 == 0 {
            tokio::time::sleep_until((begun + pace).into()).await;
        }
    }
    reports.len()
}

/// Sends a packet every two milliseconds; all must arrive, in order. The median of their time on the way.
async fn flow(sender: &Ours, receiver: &mut Ours, first: u16) -> Duration {
    let (peer, track) = (sender.peer.clone(), sender.audio.id());
    let sending = tokio::spawn(async move {
        let mut sent_at = HashMap::new();
        let mut beat = tokio::time::interval(Duration::from_millis(2));
        for number in first..first + 300 {
            beat.tick().await;
            let payload = number.to_be_bytes().to_vec();
            let packet = rtp_packet(111, 1000 + number, u32::from(number) * 96, false, payload);
            sent_at.insert(number, Instant::now());
            peer.send_rtp(track, packet).unwrap();
        }
        sent_at
    });
    let mut arrived = Vec::new();
    while arrived.len() < 300 {
        let packets = receiver.expect("packets", |event| match event {
            Event::Rtp { packets, .. } => Some(packets.clone()),
            _ => None,
        });
        for packet in &packets.await {
            let number = u16::from_be_bytes(packet.payload().try_into().unwrap());
            arrived.push((number, Instant::now()));
        }
    }
    let sent_at = sending.await.unwrap();
    let numbers: Vec<_> = arrived.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (first..first + 300).collect::<Vec<_>>());
    let mut times: Vec<_> = arrived
        .iter()
        .map(|(number, at)| *at - sent_at[number])
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// One of ours and str0m, after five packets of each kind each way.
async fn exchanged(options: Str0mOptions) -> Session {
    let ours = Ours::spawn(loopback()).await;
    let theirs = Str0mPeer::spawn(options).await.unwrap();
    let mut session = Session::connect(ours, theirs, Offerer::Ours, true, None).await;
    session.exchange().await;
    session
}

/// A report of this moment, and not one that somebody has asked for before.
async fn settled(peer: &PeerConnection) -> Arc<StatsReport> {
    tokio::time::sleep(MIN_INTERVAL).await;
    peer.get_stats(None).await.unwrap()
}

/// A report once both sides have reported on all streams.
async fn reported(peer: &PeerConnection) -> Arc<StatsReport> {
    eventually(PATIENCE, "reports on all streams", async || {
        let report = settled(peer).await;
        let told = types(&report);
        let remote = told.iter().filter(|it| it.starts_with("remote-"));
        (remote.filter(|it| it.ends_with("rtp")).count() == 4).then_some(report)
    })
    .await
}

async fn counted<T>(
    theirs: &mut Str0mPeer,
    mid: Mid,
    pick: impl Fn(Str0mEvent, Mid) -> Option<T>,
) -> T {
    theirs
        .expect(PATIENCE, "statistics", |event| pick(event, mid))
        .await
}

fn types(report: &StatsReport) -> Vec<&'static str> {
    report.iter().map(|it| it.stats_type().as_str()).collect()
}

fn json_of(report: &StatsReport) -> BTreeMap<String, Value> {
    serde_json::from_value(serde_json::to_value(report).unwrap()).unwrap()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

/// The members of an object of that type, and those of them that it may have to do without.
fn shape_of(kind: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let (_, all, maybe) = SHAPES.iter().find(|(name, ..)| *name == kind).unwrap();
    let mut all: BTreeSet<String> = words(all);
    all.extend(["id", "timestamp", "type"].map(str::to_owned));
    (all, words(maybe))
}

/// webrtc-stats §6, as far as it concerns a peer without encoder, decoder and playout.
const SHAPES: [(&str, &str, &str); 16] = [
    (
        "codec",
        "payloadType transportId mimeType clockRate channels sdpFmtpLine",
        "channels sdpFmtpLine",
    ),
    (
        "inbound-rtp",
        "ssrc kind transportId codecId trackIdentifier mid remoteId packetsReceived packetsLost jitter bytesReceived \
         headerBytesReceived lastPacketReceivedTimestamp retransmittedPacketsReceived \
         retransmittedBytesReceived rtxSsrc nackCount pliCount firCount",
        "retransmittedPacketsReceived retransmittedBytesReceived rtxSsrc",
    ),
    (
        "outbound-rtp",
        "ssrc kind transportId codecId mediaSourceId remoteId mid packetsSent bytesSent headerBytesSent rtxSsrc \
         retransmittedPacketsSent retransmittedBytesSent nackCount pliCount firCount active",
        "rtxSsrc",
    ),
    (
        "remote-inbound-rtp",
        "ssrc kind transportId codecId packetsLost jitter localId roundTripTime totalRoundTripTime fractionLost \
         roundTripTimeMeasurements",
        "roundTripTime",
    ),
    (
        "remote-outbound-rtp",
        "ssrc kind transportId codecId packetsSent bytesSent localId remoteTimestamp reportsSent \
         roundTripTime totalRoundTripTime roundTripTimeMeasurements",
        "roundTripTime",
    ),
    ("media-source", "trackIdentifier kind", ""),
    (
        "peer-connection",
        "dataChannelsOpened dataChannelsClosed",
        "",
    ),
    (
        "transport",
        "packetsSent packetsReceived bytesSent bytesReceived iceRole iceLocalUsernameFragment dtlsState iceState \
         selectedCandidatePairId localCertificateId remoteCertificateId tlsVersion dtlsCipher dtlsRole srtpCipher \
         selectedCandidatePairChanges",
        "selectedCandidatePairId remoteCertificateId tlsVersion dtlsCipher srtpCipher",
    ),
    (
        "candidate-pair",
        "transportId localCandidateId remoteCandidateId state nominated packetsSent packetsReceived bytesSent \
         bytesReceived totalRoundTripTime currentRoundTripTime requestsReceived requestsSent responsesReceived \
         responsesSent consentRequestsSent availableOutgoingBitrate",
        "availableOutgoingBitrate",
    ),
    (
        "local-candidate",
        "transportId address port protocol candidateType priority foundation relatedAddress relatedPort \
         usernameFragment",
        "relatedAddress relatedPort",
    ),
    (
        "remote-candidate",
        "transportId address port protocol candidateType priority foundation relatedAddress relatedPort \
         usernameFragment",
        "relatedAddress relatedPort",
    ),
    (
        "certificate",
        "fingerprint fingerprintAlgorithm base64Certificate",
        "",
    ),
    ("x-media-path", "rtpReceived sent", ""),
    (
        "x-guards",
        "stunRefused stunOverflow checksHeldBack candidatesIgnored dtlsRefused dtlsOverflow",
        "",
    ),
    (
        "x-lane",
        "name packetsWaiting bytesWaiting mostPacketsWaiting packetLimit packetsDropped",
        "",
    ),
    (
        "x-retransmission-cache",
        "ssrc localId packets bytes hits misses",
        "",
    ),
];

const PATIENCE: Duration = Duration::from_secs(15);

const QUESTIONS: usize = 10_000;

/// As long as the packets of a flow take.
const FLOW: Duration = Duration::from_millis(600);
