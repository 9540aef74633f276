//! Feedback and reports that both sides have to agree on.

use super::media_lines::pair;
use super::{End, negotiate};
use crate::codec::RtcpFeedback::{self, Remb, TransportCc};
use crate::track::MediaKind::Video;

/// Both ends after an offer from which all lines with this text were taken. With the answer.
fn without(text: &str) -> (End, End, String) {
    let (mut a, mut b) = pair();
    a.add_track(Video);
    b.add_track(Video);
    let mut offer = a.offer();
    let lines = offer.sdp.lines().filter(|line| !line.contains(text));
    offer.sdp = lines.flat_map(|line| [line, "\r\n"]).collect();
    b.set_remote(offer).unwrap();
    let answer = b.answer();
    a.set_remote(answer.clone()).unwrap();
    (a, b, answer.sdp)
}

fn feedback(end: &End) -> Vec<RtcpFeedback> {
    let plan = end.jsep.media_plan();
    let send = plan.sections[0].send.as_ref().unwrap();
    let mut feedback = send.codecs[0].codec.feedback.clone();
    feedback.retain(|it| [Remb, TransportCc].contains(it));
    feedback
}

#[test]
fn where_both_have_transport_wide_feedback_nobody_estimates_for_the_other() {
    let (mut a, mut b) = pair();
    a.add_track(Video);
    b.add_track(Video);
    negotiate(&mut a, &mut b);
    for end in [&a, &b] {
        assert_eq!(feedback(end), [TransportCc]);
    }
    assert!(!b.local_description().unwrap().sdp.contains("goog-remb"));
}

#[test]
fn who_has_no_transport_wide_feedback_may_estimate_for_us() {
    let (a, b, answer) = without("transport-cc");
    assert!(answer.contains("goog-remb"));
    for end in [&a, &b] {
        assert_eq!(feedback(end), [Remb]);
    }
}

#[test]
fn c065_round_trips_of_receivers_are_measured_where_both_say_so() {
    for (left_out, agreed) in [("nothing", true), ("rcvr-rtt", false)] {
        let (a, b, answer) = without(left_out);
        assert_eq!(answer.contains("a=rtcp-xr:rcvr-rtt=all\r\n"), agreed);
        for end in [a, b] {
            let plan = end.jsep.media_plan();
            assert_eq!(plan.sections[0].receiver_round_trip, agreed);
        }
    }
}
