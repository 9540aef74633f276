//! m-lines: their places, their numbers, what stands in them.

use super::super::JsepEffect::{
    AddRemoteCandidate, ApplyMedia, EndOfRemoteCandidates, NegotiationNeeded, NoCommonCodec,
    SignalingStateChanged, StartGathering, StartTransports, Track, TrackEnded, TrackMuted,
};
use super::super::RtpTransceiverDirection::{Inactive, RecvOnly, SendOnly, SendRecv};
use super::super::sdp::{Description, Setup};
use super::super::{RtpTransceiverInit, SessionDescription, TransceiverError};
use super::{End, media_lines, negotiate};
use crate::codec::RtpCodec;
use crate::configuration::{CodecConfiguration, MediaConfiguration, MediaFeature};
use crate::dtls::DtlsRole;
use crate::ice::IceRole;
use crate::rtp::{HeaderExtension, PayloadType};
use crate::track::MediaKind::{Audio, Video};
use crate::track::MediaStreamTrack;

pub(super) fn pair() -> (End, End) {
    (End::new("first"), End::new("second"))
}

pub(super) fn lines(text: &[(u16, &str)]) -> Vec<(u16, String)> {
    let owned = text.iter().map(|&(port, kind)| (port, kind.to_owned()));
    owned.collect()
}

fn mids(description: &SessionDescription) -> Vec<String> {
    let lines = description.sdp.lines();
    let mids = lines.filter_map(|line| line.strip_prefix("a=mid:"));
    mids.map(ToOwned::to_owned).collect()
}

pub(super) fn current(end: &End) -> SessionDescription {
    end.jsep.current_local_description().unwrap()
}

#[test]
fn c015_an_answer_may_reject_one_m_line_and_say_no_more_of_it() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    let offer = a.offer();
    b.set_remote(offer).unwrap();
    let mut answer = Description::parse(&b.answer().sdp).unwrap();
    let section = &mut answer.sections[1];
    section.rejected = true;
    section.rtcp_mux = false;
    section.transport.ice_ufrag = Some("random".to_owned());
    section.transport.ice_pwd = Some("randomrandomrandomrandom".to_owned());
    answer.bundles[0].pop();
    let answer = SessionDescription::answer(answer.to_string());
    a.set_remote(answer).unwrap();
    assert_eq!(a.jsep.transceivers().len(), 1);
    assert_eq!(a.jsep.media_plan().sections.len(), 1);
}

#[test]
fn it_is_remembered_whether_the_remote_side_would_receive() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Video, SendOnly);
    negotiate(&mut a, &mut b);
    let receives = |end: &End| end.transceiver(0).remote_receives();
    assert!(!receives(&b), "it offered to send only");
    assert!(receives(&a), "it takes what we send");
    a.set_direction(0, SendRecv);
    negotiate(&mut a, &mut b);
    assert!(receives(&b));
    // An answer to an offer that sends nothing says nothing of it.
    a.set_direction(0, Inactive);
    negotiate(&mut a, &mut b);
    assert!(receives(&a));
}

/// A track that was taken from a page and given back later was decoded by Chromium and never shown: it had the SSRC that was gone.
#[test]
fn who_sends_again_after_a_pause_has_other_ssrcs() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Video, SendRecv);
    negotiate(&mut a, &mut b);
    let sources = |end: &End| {
        let description = Description::parse(&current(end).sdp).unwrap();
        let named = description.sections[0].sources.iter();
        named.map(|source| source.ssrc).collect::<Vec<_>>()
    };
    let first = sources(&a);
    assert_eq!(first.len(), 2);
    // A negotiation that changes nothing for it changes nothing for it.
    negotiate(&mut a, &mut b);
    negotiate(&mut b, &mut a);
    assert_eq!(sources(&a), first);
    a.set_direction(0, RecvOnly);
    negotiate(&mut a, &mut b);
    assert_eq!(sources(&a), []);
    a.set_direction(0, SendRecv);
    negotiate(&mut a, &mut b);
    let second = sources(&a);
    assert_eq!(second.len(), 2);
    assert!(
        second.iter().all(|ssrc| !first.contains(ssrc)),
        "{second:?}"
    );
    let sent = a.jsep.media_plan().sections[0].send.clone().unwrap();
    assert_eq!(sent.ssrc, second[0]);
    assert_eq!(a.transceiver(0).sender().ssrc(), second[0]);

    // It is the same when the other side pauses it.
    b.set_direction(0, SendOnly);
    negotiate(&mut b, &mut a);
    b.set_direction(0, SendRecv);
    negotiate(&mut b, &mut a);
    let third = sources(&a);
    assert_eq!(third.len(), 2);
    assert!(third.iter().all(|ssrc| !second.contains(ssrc)), "{third:?}");
}

#[test]
fn c036_stopped_m_lines_are_used_again_for_another_kind() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    a.add_transceiver(Audio, SendRecv);
    negotiate(&mut a, &mut b);
    a.stop(0);
    a.stop(1);
    negotiate(&mut a, &mut b);
    assert_eq!(
        media_lines(&current(&a)),
        lines(&[(0, "audio"), (0, "audio")])
    );
    a.add_transceiver(Video, SendRecv);
    negotiate(&mut a, &mut b);
    for end in [&a, &b] {
        let description = current(end);
        assert_eq!(
            media_lines(&description),
            lines(&[(9, "video"), (0, "audio")])
        );
        assert_eq!(mids(&description), ["2", "1"]);
        assert_eq!(end.jsep.transceivers().len(), 1);
    }
}

#[test]
fn c037_one_m_line_is_used_again_and_one_is_appended() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    a.add_transceiver(Video, SendRecv);
    negotiate(&mut a, &mut b);
    let kept = [a.transceiver(0).id(), b.transceiver(0).id()];
    a.stop(1);
    negotiate(&mut a, &mut b);
    let audio = a.add_transceiver(Audio, SendRecv).id();
    let video = a.add_transceiver(Video, SendRecv).id();
    negotiate(&mut a, &mut b);
    let all = lines(&[(9, "audio"), (9, "audio"), (9, "video")]);
    assert_eq!(media_lines(&current(&a)), all);
    assert_eq!(mids(&current(&a)), ["0", "2", "3"]);
    let ids = |end: &End| {
        let transceivers = end.jsep.transceivers();
        transceivers.iter().map(|t| t.id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&a), [kept[0], audio, video]);
    assert_eq!(ids(&b)[0], kept[1]);
    assert_eq!(ids(&b).len(), 3);
}

/// Chromium answered such an offer with new ICE credentials, or failed to answer it at all.
#[test]
fn a_newcomer_never_stands_before_the_m_line_whose_transport_all_share() {
    let (mut a, mut b) = pair();
    a.add_transceiver(Audio, SendRecv);
    a.add_transceiver(Video, SendRecv);
    negotiate(&mut a, &mut b);
    a.stop(0);
    negotiate(&mut a, &mut b);
    a.add_transceiver(Audio, SendRecv);
    negotiate(&mut a, &mut b);
    let description = current(&a);
    let all = lines(&[(0, "audio"), (9, "video"), (9, "audio")]);
    assert_eq!(media_lines(&description), all);
    assert!(description.sdp.contains("a=group:BUNDLE 1 2\r\n"));
}

#[test]
fn an_answer_keeps_the_order_of_the_offered_bundle_group() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    let offer = a.offer().sdp.replace("BUNDLE 0 1", "BUNDLE 1 0");
    b.offer_from(&offer).unwrap();
    let event = b.answer();
    assert!(event.sdp.contains("a=group:BUNDLE 1 0\r\n"));
    let candidate = "candidate:1 1 udp 1 192.0.2.2 1 typ host";
    let candidate = b
        .jsep
        .add_local_candidate(candidate.to_owned(), "secondfrag".to_owned());
    let candidate = candidate.unwrap();
    assert_eq!(candidate.sdp_mid.as_deref(), Some("1"));
    assert_eq!(candidate.sdp_m_line_index, Some(1));
    // Later offers of ours keep it too.
    b.add_transceiver(Audio, SendRecv);
    let offer = b.offer();
    assert!(offer.sdp.contains("a=group:BUNDLE 1 0 2\r\n"));
}

#[test]
fn c038_six_rounds_of_screen_sharing_keep_three_transceivers() {
    let (mut a, mut b) = pair();
    for end in [&mut a, &mut b] {
        end.add_track(Audio);
        end.add_track(Video);
    }
    negotiate(&mut a, &mut b);
    for round in 0..6 {
        let (sharer, viewer) = if round % 2 == 0 {
            (&mut a, &mut b)
        } else {
            (&mut b, &mut a)
        };
        let screen = MediaStreamTrack::new(Video, []);
        // As pages do it: the transceiver of the last sharing is used again.
        match sharer.jsep.transceivers().get(2).cloned() {
            None => {
                sharer.jsep.add_track(&screen, &mut Vec::new()).unwrap();
            }
            Some(shared) => {
                let sender = shared.sender().id();
                sharer
                    .jsep
                    .replace_track(sender, Some(screen), &mut Vec::new())
                    .unwrap();
                sharer.set_direction(2, SendRecv);
            }
        }
        negotiate(sharer, viewer);
        assert_eq!(sharer.transceiver(2).current_direction(), Some(SendOnly));
        let sender = sharer.transceiver(2).sender().id();
        sharer.jsep.remove_track(sender, &mut Vec::new()).unwrap();
        negotiate(sharer, viewer);
        assert_eq!(a.jsep.transceivers().len(), 3, "round {round}");
        assert_eq!(b.jsep.transceivers().len(), 3, "round {round}");
        assert_eq!(media_lines(&current(&a)).len(), 3);
    }
}

#[test]
fn a_transceiver_that_has_sent_may_send_a_track_of_other_streams() {
    let (mut a, mut b) = pair();
    let first = a.add_track(Video);
    negotiate(&mut a, &mut b);
    let (id, sender) = (a.transceiver(0).id(), a.transceiver(0).sender().id());
    let stream = MediaStreamTrack::generate_stream_id();
    let second = MediaStreamTrack::new(Video, [stream]);
    let busy = a.jsep.add_track_to(id, &second, &mut Vec::new());
    let taken = TransceiverError::TrackAlreadyAdded { track: first.id() };
    assert_eq!(busy.unwrap_err(), taken);

    a.jsep.remove_track(sender, &mut Vec::new()).unwrap();
    negotiate(&mut a, &mut b);
    let audio = MediaStreamTrack::new(Audio, []);
    let refused = a.jsep.add_track_to(id, &audio, &mut Vec::new());
    let mismatch = TransceiverError::KindMismatch {
        expected: Video,
        found: Audio,
    };
    assert_eq!(refused.unwrap_err(), mismatch);
    b.events();
    let mut effects = Vec::new();
    a.jsep.add_track_to(id, &second, &mut effects).unwrap();
    assert_eq!(effects, [NegotiationNeeded]);
    negotiate(&mut a, &mut b);
    let news = b.news();
    let [Track(seen)] = news.as_slice() else {
        panic!("{news:?}");
    };
    assert_eq!(seen.streams(), second.streams());
    assert_eq!(media_lines(&current(&a)).len(), 1);
}

#[test]
fn c033_numbers_of_the_remote_offer_are_used_by_later_offers() {
    let vp8 = CodecConfiguration::new(RtpCodec::vp8(), number(120)).with_rtx(number(121));
    let opus = CodecConfiguration::new(RtpCodec::opus(), number(96));
    let foreign = MediaConfiguration::builder()
        .codecs(Video, [vp8])
        .codecs(Audio, [opus])
        .header_extensions(Audio, [(9, HeaderExtension::Mid)])
        .header_extensions(
            Video,
            [(9, HeaderExtension::Mid), (4, HeaderExtension::Rid)],
        )
        .build()
        .unwrap();
    let mut a = End::with("first", foreign);
    let mut b = End::new("second");
    a.add_track(Video);
    a.add_track(Audio);
    negotiate(&mut a, &mut b);
    b.add_transceiver(Video, SendRecv);
    let offer = Description::parse(&b.offer().sdp).unwrap();
    let old = &offer.sections[0];
    for section in [old, &offer.sections[2]] {
        let vp8 = &section.codecs[0];
        assert_eq!(vp8.payload_type, number(120));
        assert_eq!(vp8.rtx_payload_type, Some(number(121)));
        let id = |wanted| {
            let mut extensions = section.extensions.iter();
            extensions.find(|e| e.extension == wanted).map(|e| e.id)
        };
        assert_eq!(id(HeaderExtension::Mid), Some(9));
        assert_eq!(id(HeaderExtension::Rid), Some(4));
        // Everything else keeps out of their way.
        let mut numbers: Vec<_> = section.formats.clone();
        assert!(!numbers.contains(&"96".to_owned()), "96 is opus now");
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), section.formats.len());
    }
    let audio = &offer.sections[1].codecs[0];
    assert_eq!(audio.payload_type, number(96));
}

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

#[test]
fn c068_an_offered_m_line_says_what_its_transceiver_is() {
    for direction in [SendRecv, SendOnly, RecvOnly, Inactive] {
        for streams in 0..3 {
            for rtx in [true, false] {
                check_offered_line(direction, streams, rtx);
            }
        }
    }
}

fn check_offered_line(direction: super::RtpTransceiverDirection, streams: usize, rtx: bool) {
    let configuration = MediaConfiguration::builder()
        .feature(MediaFeature::Rtx, rtx)
        .build()
        .unwrap();
    let mut end = End::with("one", configuration);
    let streams = std::iter::repeat_with(MediaStreamTrack::generate_stream_id).take(streams);
    let streams: Vec<_> = streams.collect();
    let track = MediaStreamTrack::new(Video, streams.clone());
    let init = RtpTransceiverInit::from(direction);
    end.jsep
        .add_transceiver(track.clone().into(), init, &mut Vec::new())
        .unwrap();
    let text = end.offer().sdp;
    assert!(text.contains(&format!("a={direction}\r\n")), "{text}");
    assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96"), "{text}");
    for line in [
        "a=mid:0",
        "a=group:BUNDLE 0",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=ice-ufrag:onefrag",
        "a=ice-options:trickle",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack pli",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line}: {text}");
    }
    assert_eq!(text.contains("a=fmtp:97 apt=96\r\n"), rtx);
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    let sends = direction.sends();
    assert_eq!(
        count("a=ssrc:"),
        usize::from(sends) * (1 + usize::from(rtx))
    );
    assert_eq!(count("a=ssrc-group:FID"), usize::from(sends && rtx));
    assert_eq!(count("a=msid:"), usize::from(sends) * streams.len().max(1));
    let label = track.label();
    if sends && streams.is_empty() {
        assert!(text.contains(&format!("a=msid:- {label}\r\n")));
    }
    for stream in streams.iter().filter(|_| sends) {
        assert!(text.contains(&format!("a=msid:{stream} {label}\r\n")));
    }
}

#[test]
fn c068_an_m_line_without_codecs_is_offered_all_the_same_and_one_without_track_has_a_name() {
    let none = MediaConfiguration::builder().codecs(Video, []);
    let mut end = End::with("one", none.build().unwrap());
    end.add_transceiver(Video, SendRecv);
    let text = end.offer().sdp;
    assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 0\r\n"));
    assert!(text.contains("a=msid:- "));
}

#[test]
fn the_first_exchange_starts_everything_once_and_in_order() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let offer = a.offer();
    let names = |effects: Vec<super::JsepEffect>| -> Vec<&'static str> {
        let name = |effect| match effect {
            SignalingStateChanged(_) => "state",
            NegotiationNeeded => "needed",
            Track(_) => "track",
            StartGathering => "gather",
            ApplyMedia(_) => "media",
            StartTransports { .. } => "transports",
            TrackMuted(_) | TrackEnded(_) => "end of a track",
            NoCommonCodec { .. } => "no codec",
            AddRemoteCandidate(_) | EndOfRemoteCandidates => "candidate",
            super::JsepEffect::RestartIce { .. } | super::JsepEffect::AbandonIceRestart => {
                "restart"
            }
        };
        effects.into_iter().map(name).collect()
    };
    assert_eq!(names(a.effects()), ["needed", "state", "gather"]);
    b.set_remote(offer).unwrap();
    assert_eq!(names(b.effects()), ["state", "track"]);
    let answer = b.answer();
    let effects = b.effects();
    let server = (
        IceRole::Controlled,
        DtlsRole::Server,
        "firstfrag".to_owned(),
    );
    assert_eq!(roles(&effects), Some(server));
    assert_eq!(names(effects), ["state", "gather", "media", "transports"]);
    a.set_remote(answer).unwrap();
    let effects = a.effects();
    let client = (
        IceRole::Controlling,
        DtlsRole::Client,
        "secondfrag".to_owned(),
    );
    assert_eq!(roles(&effects), Some(client));
    assert_eq!(names(effects), ["state", "media", "transports"]);
    // A second exchange, the other way round, keeps what runs; the roles with it.
    negotiate(&mut b, &mut a);
    assert_eq!(names(a.effects()), ["state", "state", "media"]);
    let answer = Description::parse(&current(&a).sdp).unwrap();
    assert_eq!(answer.sections[0].transport.setup, Some(Setup::Active));
}

/// How ICE and DTLS are started, and with whom.
pub(super) fn roles(effects: &[super::JsepEffect]) -> Option<(IceRole, DtlsRole, String)> {
    for effect in effects {
        if let StartTransports {
            ice_role,
            dtls_role,
            remote_ice,
            ..
        } = effect
        {
            let fragment = remote_ice.username_fragment.clone();
            return Some((*ice_role, *dtls_role, fragment));
        }
    }
    None
}

#[test]
fn dtls_and_ice_roles_follow_the_offer() {
    let answer_to = |change: &dyn Fn(&mut Description)| {
        let (mut a, mut b) = pair();
        a.add_track(Audio);
        let mut offer = Description::parse(&a.offer().sdp).unwrap();
        change(&mut offer);
        b.offer_from(&offer.to_string()).unwrap();
        let answer = Description::parse(&b.answer().sdp).unwrap();
        let (ice_role, dtls_role, _) = roles(&b.effects()).unwrap();
        (
            answer.sections[0].transport.setup.unwrap(),
            (ice_role, dtls_role),
        )
    };
    let setup =
        |setup| move |offer: &mut Description| offer.sections[0].transport.setup = Some(setup);
    let server = (IceRole::Controlled, DtlsRole::Server);
    let client = (IceRole::Controlled, DtlsRole::Client);
    assert_eq!(answer_to(&setup(Setup::ActPass)), (Setup::Passive, server));
    assert_eq!(answer_to(&setup(Setup::Active)), (Setup::Passive, server));
    assert_eq!(answer_to(&setup(Setup::Passive)), (Setup::Active, client));
    let lite = answer_to(&|offer: &mut Description| offer.ice_lite = true);
    assert_eq!(lite.1, (IceRole::Controlling, DtlsRole::Server));
}

#[test]
fn what_is_not_media_is_rejected_and_the_rest_goes_on() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let offer = a
        .offer()
        .sdp
        .replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1 2 3");
    let transport: String = offer
        .lines()
        .filter(|line| line.starts_with("a=ice") || line.starts_with("a=fingerprint"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let offer = format!(
        "{offer}m=application 9 TCP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n{transport}\
         m=hologram 9 UDP/TLS/RTP/SAVPF 99\r\na=mid:2\r\n{transport}\
         m=video 9 QUIC/RTP 99\r\na=mid:3\r\n{transport}"
    );
    b.offer_from(&offer).unwrap();
    let answer = b.answer();
    let all = [
        (9, "audio"),
        (0, "application"),
        (0, "hologram"),
        (0, "video"),
    ];
    assert_eq!(media_lines(&answer), lines(&all));
    assert!(answer.sdp.contains("a=group:BUNDLE 0\r\n"));
    assert!(
        answer
            .sdp
            .contains("m=application 0 TCP/DTLS/SCTP webrtc-datachannel\r\n")
    );
    assert_eq!(mids(&answer), ["0", "1", "2", "3"]);
    assert_eq!(b.jsep.transceivers().len(), 1);
    // And the next offer of ours leaves the places alone, or uses them.
    let offer = b.offer();
    assert_eq!(media_lines(&offer), lines(&all));
    b.add_track(Video);
    let offer = b.offer();
    let all = [(9, "audio"), (9, "video"), (0, "hologram"), (0, "video")];
    assert_eq!(media_lines(&offer), lines(&all));
}

#[test]
fn an_offer_of_nothing_but_a_data_channel_is_answered_without_transport() {
    let mut end = End::new("one");
    let offer = include_str!("../../../tests/data/sdp/chromium-datachannel.sdp");
    end.offer_from(offer).unwrap();
    let answer = end.answer();
    assert_eq!(media_lines(&answer), lines(&[(0, "application")]));
    assert!(!answer.sdp.contains("BUNDLE"));
    let effects = end.effects();
    assert!(!effects.contains(&StartGathering));
    let starts = |e: &super::JsepEffect| matches!(e, StartTransports { .. });
    assert!(!effects.iter().any(starts));
}

#[test]
fn a_bundle_only_m_line_takes_the_transport_of_its_bundle() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    let offer = a.offer().sdp;
    let (head, video) = offer.split_once("m=video 9").unwrap();
    let own_transport = ["a=ice", "a=fingerprint", "a=setup"];
    let video: String = video
        .lines()
        .filter(|line| !own_transport.iter().any(|own| line.starts_with(own)))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let offer = format!("{head}m=video 0{video}a=bundle-only\r\n");
    b.offer_from(&offer).unwrap();
    let answer = b.answer();
    assert_eq!(media_lines(&answer), lines(&[(9, "audio"), (9, "video")]));
    assert!(answer.sdp.contains("a=group:BUNDLE 0 1\r\n"));
    a.set_remote(answer).unwrap();
    assert_eq!(a.jsep.media_plan().sections.len(), 2);
}

#[test]
fn ids_and_versions_of_descriptions_go_on() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    let origin = |end: &End| {
        let text = end.local_description().unwrap().sdp;
        let read = Description::parse(&text).unwrap();
        (read.session_id, read.session_version)
    };
    negotiate(&mut a, &mut b);
    let (first_id, first_version) = origin(&a);
    negotiate(&mut a, &mut b);
    assert_eq!(origin(&a), (first_id, first_version + 1));
    negotiate(&mut b, &mut a);
    assert_eq!(origin(&a), (first_id, first_version + 2));
}
