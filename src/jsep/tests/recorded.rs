//! Descriptions of browsers and others, as they were recorded.

use std::fs;
use std::path::PathBuf;

use super::super::machine::Created;
use super::super::sdp::Description;
use super::super::{JsepEffect, RtpTransceiverDirection as Direction, SdpType, SessionDescription};
use super::{End, announced, media_lines};
use crate::ice::IceParameters;
use crate::peer_connection::SignalingState;
use crate::rtp::{HeaderExtension, Ssrc};
use crate::track::MediaKind;

fn recorded(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdp");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn all() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdp");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sdp"))
        .collect();
    files.sort();
    assert!(files.len() >= 27);
    let read = |name: String| (name.clone(), recorded(&name));
    files.into_iter().map(read).collect()
}

fn is_answer(name: &str) -> bool {
    name.ends_with("answer.sdp")
}

#[test]
fn every_recorded_description_is_read_and_written_without_loss() {
    for (name, text) in all() {
        let read = Description::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = read.to_string();
        let again = Description::parse(&written).unwrap();
        assert_eq!(again, read, "{name}");
    }
}

#[test]
fn every_recorded_offer_is_answered_and_the_answer_is_a_fit_one() {
    for (name, text) in all() {
        if is_answer(&name) {
            continue;
        }
        let mut end = End::new("server");
        end.offer_from(&text)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let tracks = announced(&end.effects()).len();
        let answer = end.answer();
        let offered = Description::parse(&text).unwrap();
        let answered = Description::parse(&answer.sdp).unwrap();
        assert_eq!(answered.sections.len(), offered.sections.len(), "{name}");
        let mut sending = 0;
        for (ours, theirs) in answered.sections.iter().zip(&offered.sections) {
            let is_media = theirs.kind.is_some() && !theirs.rejected;
            assert_eq!(ours.rejected, !is_media, "{name}: {:?}", ours.mid);
            sending += usize::from(is_media && theirs.direction.sends());
        }
        assert_eq!(tracks, sending, "{name}");
        let starts = end.effects();
        let started = |e: &JsepEffect| matches!(e, JsepEffect::StartTransports { .. });
        let any_media = answered.sections.iter().any(|section| !section.rejected);
        assert_eq!(starts.iter().any(started), any_media, "{name}");
    }
}

#[test]
fn every_recorded_answer_fits_an_offer_of_its_shape() {
    for (name, text) in all() {
        if !is_answer(&name) {
            continue;
        }
        let answered = Description::parse(&text).unwrap();
        let mut end = End::new("server");
        for section in &answered.sections {
            if let Some(kind) = section.kind {
                end.add_transceiver(kind, Direction::SendRecv);
            }
        }
        let offer = end.offer();
        let lines = media_lines(&offer).len();
        // Data channels are not offered yet: their m-line is cut off the recorded answer.
        let text = first_media_lines(&text, lines);
        end.set_remote(SessionDescription::answer(text))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for section in end.jsep.media_plan().sections {
            let send = section.send.unwrap();
            assert!(!send.codecs.is_empty(), "{name}");
            assert!(
                section.receive.is_none(),
                "{name}: all of them only receive"
            );
        }
    }
}

/// The text without the m-lines behind the first `count`, in the BUNDLE group neither.
fn first_media_lines(text: &str, count: usize) -> String {
    let mut description = Description::parse(text).unwrap();
    description.sections.truncate(count);
    let left: Vec<_> = description.sections.iter().map(|s| s.mid.clone()).collect();
    for bundle in &mut description.bundles {
        bundle.retain(|mid| left.contains(&Some(mid.clone())));
    }
    description.to_string()
}

#[test]
fn c044_offers_of_chromium_firefox_and_others_bring_their_tracks_once() {
    for name in [
        "chromium-sendonly-av.sdp",
        "chromium-sendrecv-av.sdp",
        "firefox-sendrecv-av.sdp",
        "aiortc-av-datachannel.sdp",
        "ex_webrtc-0.15.0-av.sdp",
    ] {
        let mut end = End::new("server");
        end.offer_from(&recorded(name)).unwrap();
        assert_eq!(announced(&end.effects()).len(), 2, "{name}");
        assert_eq!(end.directions(), [Direction::RecvOnly; 2], "{name}");
        end.answer();
        assert!(announced(&end.effects()).is_empty(), "{name}");
        let transceivers = end.jsep.transceivers();
        for transceiver in &transceivers {
            let current = transceiver.current_direction();
            assert_eq!(current, Some(Direction::RecvOnly), "{name}");
        }
    }
}

/// The shape of OBS and other WHIP senders: two send-only m-lines, plain H.264 without RTX, no
/// `rtcp-rsize`, `setup:actpass`, candidates none.
#[test]
fn c044_an_offer_like_the_one_of_obs_is_answered() {
    let offer = "v=0\r\no=rtc 3767197920 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=msid-semantic:WMS *\r\na=setup:actpass\r\n\
        a=ice-ufrag:jX9c\r\na=ice-pwd:mTnjQiHjRnAwBq6fZTgBxR\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 \
        12:D6:35:CA:5A:3A:55:7A:18:79:27:3D:16:71:5D:ED:\
        0F:0A:4B:37:31:25:16:4E:AD:31:90:17:62:47:40:57\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
        a=ssrc:1000 cname:x\r\na=ssrc:1000 msid:s a\r\na=msid:s a\r\na=rtcp-mux\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\n\
        a=ssrc:1001 cname:x\r\na=msid:s v\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
        a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
        a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n";
    let mut end = End::new("server");
    end.offer_from(offer).unwrap();
    assert_eq!(announced(&end.effects()).len(), 2);
    let answer = end.answer();
    assert_eq!(media_lines(&answer).len(), 2);
    let plan = end.jsep.media_plan();
    let video = plan.sections[1].receive.as_ref().unwrap();
    assert_eq!(video.codecs[0].payload_type.get(), 96);
    assert_eq!(video.codecs[0].rtx_payload_type, None);
    assert_eq!(video.ssrcs, [Ssrc(1001)]);
    assert!(!plan.sections[1].reduced_size_rtcp);
}

#[test]
fn c032_simulcast_of_chromium_and_firefox_is_taken_with_all_its_encodings() {
    for name in ["chromium-simulcast.sdp", "firefox-simulcast.sdp"] {
        let mut end = End::new("server");
        end.offer_from(&recorded(name)).unwrap();
        let answer = end.answer();
        assert!(answer.sdp.contains("a=simulcast:recv q;h;f\r\n"), "{name}");
        for rid in ["q", "h", "f"] {
            assert!(
                answer.sdp.contains(&format!("a=rid:{rid} recv\r\n")),
                "{name}"
            );
        }
        let plan = end.jsep.media_plan();
        let video = plan.sections[1].receive.as_ref().unwrap();
        let rids: Vec<_> = video.rids.iter().map(|rid| rid.as_str()).collect();
        assert_eq!(rids, ["q", "h", "f"], "{name}");
        let has = |wanted| video.extensions.entries.iter().any(|(_, e)| *e == wanted);
        assert!(has(HeaderExtension::Rid), "{name}");
        assert!(has(HeaderExtension::RepairedRid), "{name}");
        let track = end.receivers()[1].track().clone();
        assert_eq!(track.rids().len(), 3, "{name}");
    }
}

#[test]
fn the_plan_of_a_chromium_offer_has_its_numbers() {
    let mut end = End::new("server");
    end.offer_from(&recorded("chromium-sendrecv-av.sdp"))
        .unwrap();
    end.answer();
    let plan = end.jsep.media_plan();
    let video = plan.sections[1].receive.as_ref().unwrap();
    let numbers = video.codecs.iter().map(|codec| {
        let rtx = codec.rtx_payload_type.map(|rtx| rtx.get());
        (codec.codec.name.as_str(), codec.payload_type.get(), rtx)
    });
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [
            ("VP8", 96, Some(97)),
            ("H264", 108, Some(109)),
            ("H264", 114, Some(115)),
            ("AV1", 45, Some(46)),
            ("VP9", 98, Some(99)),
        ]
    );
    assert_eq!(video.ssrcs.len(), 1);
    assert_eq!(video.rtx_ssrcs.len(), 1);
    assert_eq!(video.rtx_ssrcs[0].1, video.ssrcs[0]);
    assert_eq!(plan.sections[1].kind, MediaKind::Video);
    assert!(plan.sections[1].reduced_size_rtcp);
    assert!(plan.sections[1].send.is_none());
}

#[test]
fn extensions_that_firefox_only_sends_are_not_sent_to_it() {
    let mut end = End::new("server");
    end.add_track(MediaKind::Audio);
    end.add_track(MediaKind::Video);
    let sendrecv = recorded("firefox-simulcast.sdp").replace("a=sendonly", "a=sendrecv");
    end.offer_from(&sendrecv).unwrap();
    end.answer();
    let plan = end.jsep.media_plan();
    let video = &plan.sections[1];
    let receives = &video.receive.as_ref().unwrap().extensions.entries;
    let sends = &video.send.as_ref().unwrap().extensions.entries;
    assert!(receives.contains(&(9, HeaderExtension::Rid)));
    assert!(!sends.iter().any(|(_, e)| *e == HeaderExtension::Rid));
    assert!(sends.contains(&(3, HeaderExtension::Mid)));
    // Firefox allows both forms of extensions in each m-line, not for the whole.
    assert!(video.send.as_ref().unwrap().extensions.mixed);
    let answer = end.local_description().unwrap().sdp;
    let (session, _) = answer.split_once("m=audio").unwrap();
    assert!(!session.contains("extmap-allow-mixed"));
    assert_eq!(answer.matches("a=extmap-allow-mixed").count(), 2);
}

#[test]
fn the_same_offer_with_other_media_is_a_renegotiation() {
    let mut end = End::new("server");
    end.offer_from(&recorded("chromium-reneg-2-offer-stopped-mline.sdp"))
        .unwrap();
    end.answer();
    assert_eq!(end.jsep.transceivers().len(), 2);
    let again = recorded("chromium-reneg-2-offer-stopped-mline.sdp")
        .replace("6007918645095412625 3", "6007918645095412625 4");
    end.effects();
    end.offer_from(&again).unwrap();
    end.answer();
    assert!(end.news().is_empty());
    // The third restarts ICE.
    end.offer_from(&recorded("chromium-reneg-3-offer-icerestart.sdp"))
        .unwrap();
    let answer = end.answer();
    assert!(!answer.sdp.contains("a=ice-ufrag:serverfrag"));
    let effects = end.effects();
    let begun = |e: &JsepEffect| matches!(e, JsepEffect::RestartIce { .. });
    assert_eq!(effects.iter().filter(|e| begun(e)).count(), 1);
    let started = |e: &JsepEffect| matches!(e, JsepEffect::StartTransports { .. });
    assert_eq!(effects.iter().filter(|e| started(e)).count(), 1);
    assert_eq!(announced(&effects), []);
}

/// The one pair that was recorded: Chromium's offer with a stopped m-line as if it were ours, and the answer
/// that another Chromium gave.
#[test]
fn c019_a_recorded_answer_is_applied_to_the_offer_that_it_was_given_to() {
    let text = recorded("chromium-reneg-2-offer-stopped-mline.sdp");
    let mut description = Description::parse(&text).unwrap();
    let mut end = End::new("server");
    let mut owners = Vec::new();
    for section in &mut description.sections {
        let live = section.kind.filter(|_| !section.rejected);
        owners.push(live.map(|kind| end.add_transceiver(kind, section.direction).id()));
        // There are no data channels yet, so ours would be none.
        section.rejected |= live.is_none();
    }
    let ice = IceParameters {
        username_fragment: "serverfrag".to_owned(),
        password: "serverpasswordpasswordpassword".to_owned(),
    };
    let created = Created {
        kind: SdpType::Offer,
        text,
        description,
        ice,
        owners,
        next_mid: 4,
    };
    let next = SignalingState::HaveLocalOffer;
    end.jsep.apply_local_offer(created, next, &mut end.effects);
    let mut answer = Description::parse(&recorded("chromium-reneg-2-answer.sdp")).unwrap();
    let (data, media) = answer.sections.split_last_mut().unwrap();
    assert_eq!(data.kind, None);
    data.rejected = true;
    let accepted: Vec<_> = media.iter().map(|section| !section.rejected).collect();
    assert_eq!(accepted, [false, true, true]);
    end.set_remote(SessionDescription::answer(answer.to_string()))
        .unwrap();
    let plan = end.jsep.media_plan();
    assert_eq!(plan.sections.len(), 2);
    for section in &plan.sections {
        let codecs = [
            section.send.as_ref().map(|send| send.codecs.len()),
            section.receive.as_ref().map(|receive| receive.codecs.len()),
        ];
        assert!(codecs.into_iter().flatten().all(|count| count > 0));
        assert!(codecs.iter().any(Option::is_some));
    }
    for transceiver in end.jsep.transceivers() {
        assert!(transceiver.current_direction().is_some());
    }
}
