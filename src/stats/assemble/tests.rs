use super::*;
use crate::ice::IceRole;
use crate::rtp::{Mid, Traffic};
use crate::rtp_transport::{LaneDepths, MediaStats};

fn sources() -> Sources {
    Sources {
        at: Instant::now(),
        wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        states: PeerConnectionStates::default(),
        control: ControlSnapshot {
            labels: HashMap::new(),
            certificate: Certificate::generate().unwrap(),
            session: None,
        },
        ice: IceSnapshot::default(),
        dtls: DtlsTraffic {
            sent: (1, 50),
            received: (2, 60),
            ..DtlsTraffic::default()
        },
        receiving: ReceivingSnapshot {
            counters: MediaStats::default(),
            depths: LaneDepths::default(),
            received: (7, 700),
            heard: Vec::new(),
            observed: Vec::new(),
            maximum_bitrate: None,
        },
        sending: SendingSnapshot::default(),
    }
}

fn candidate(port: u16) -> CandidateSnapshot {
    CandidateSnapshot {
        address: ([192, 0, 2, 1], port).into(),
        kind: CandidateKind::Host,
        priority: 1,
        foundation: None,
        related: None,
        username_fragment: Some("name".to_owned()),
    }
}

fn connected(selections: u32) -> Sources {
    let mut sources = sources();
    sources.ice = IceSnapshot {
        role: Some(IceRole::Controlled),
        local: vec![candidate(1)],
        remote: vec![candidate(2)],
        pairs: vec![PairSnapshot {
            local: 0,
            remote: 0,
            counts: Default::default(),
            selected: true,
        }],
        selections,
        ..IceSnapshot::default()
    };
    sources
}

fn sent(codec: &RtpCodec, ssrc: u32) -> SentStream {
    let payload_type = PayloadType::new(96).unwrap();
    SentStream {
        rid: None,
        ssrc: Ssrc(ssrc),
        rtx_ssrc: None,
        mid: Mid::from("0"),
        track: None,
        codec: Some((payload_type, Arc::new(codec.clone()))),
        traffic: Traffic::default(),
        repeated: Traffic::default(),
        padding: Traffic::default(),
        cache: None,
        active: false,
        routed: false,
    }
}

#[test]
fn bytes_belong_to_a_pair_as_long_as_there_was_no_other() {
    let report = connected(1).report();
    let pair = report.selected_candidate_pair().unwrap();
    assert_eq!(pair.packets_received, Some(9));
    assert_eq!(pair.bytes_received, Some(760));
    let report = connected(2).report();
    let pair = report.selected_candidate_pair().unwrap();
    assert_eq!(pair.bytes_received, None);
}

#[test]
fn streams_of_one_codec_name_one_object() {
    let mut sources = sources();
    let vp8 = RtpCodec::vp8();
    sources.sending.streams = vec![sent(&vp8, 1), sent(&vp8, 2), sent(&RtpCodec::vp9(0), 3)];
    let report = sources.report();
    let codecs: Vec<_> = report.outbound_rtp().map(|it| &it.codec_id[..]).collect();
    assert_eq!(codecs, ["COT01_96", "COT01_96", "COT01_96_profile-id=0"]);
    let of_codec = |it: &&Stats| matches!(it, Stats::Codec(_));
    assert_eq!(report.iter().filter(of_codec).count(), 2);
}

#[test]
fn a_report_is_an_object_by_id_with_times_in_milliseconds() {
    let json = serde_json::to_value(sources().report()).unwrap();
    assert_eq!(
        json["P"],
        serde_json::json!({
            "type": "peer-connection",
            "id": "P",
            "timestamp": 1_700_000_000_123.0,
            "dataChannelsOpened": 0,
            "dataChannelsClosed": 0,
        })
    );
}

/// The times in reports are the remote side's word.
#[test]
fn c113_no_time_of_the_remote_side_upsets_ours() {
    let epoch = SystemTime::UNIX_EPOCH;
    for (ntp, expected) in [
        (0, epoch),
        (SECONDS_1900_TO_1970 << 32, epoch),
        (
            (SECONDS_1900_TO_1970 + 5) << 32 | 1 << 31,
            epoch + Duration::from_millis(5500),
        ),
    ] {
        assert_eq!(time_of_ntp(ntp), expected);
    }
    assert!(time_of_ntp(u64::MAX) > epoch);
    let of_no_clock = RtpCodec {
        clock_rate_hz: 0,
        ..RtpCodec::vp8()
    };
    assert!(in_seconds(u32::MAX.into(), &of_no_clock) > Duration::ZERO);
}
