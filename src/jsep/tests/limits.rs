//! What a negotiation takes at most: at each limit, and one beyond.

use super::*;
use crate::ice::IceCandidate;
use crate::jsep::{CandidateError, TransceiverError};
use crate::track::MediaKind::Video;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

fn end(limits: PeerLimits) -> End {
    End::limited("limited", limits)
}

fn offered(limits: PeerLimits, text: &str) -> Result<(), NegotiationError> {
    end(limits).offer_from(text)
}

fn too_many(what: &'static str, limit: usize) -> Result<(), NegotiationError> {
    Err(NegotiationError::TooMany { what, limit })
}

#[test]
fn a_description_has_so_many_bytes() {
    let limits = PeerLimits::default().description_bytes(HEAD.len());
    assert_eq!(offered(limits, HEAD), Ok(()));
    let beyond = NegotiationError::TooLong {
        bytes: HEAD.len() + 1,
        limit: HEAD.len(),
    };
    assert_eq!(offered(limits, &format!("{HEAD}\n")), Err(beyond));
}

#[test]
fn a_description_has_so_many_attributes() {
    let limits = PeerLimits::default().attributes(3);
    let with = |count| format!("{HEAD}{}", "a=x\r\n".repeat(count));
    assert_eq!(offered(limits, &with(3)), Ok(()));
    assert_eq!(offered(limits, &with(4)), too_many("attributes", 3));
}

#[test]
fn an_m_line_has_so_many_formats() {
    let limits = PeerLimits::default().formats(3);
    let with = |count| {
        format!(
            "{HEAD}m=audio 0 UDP/TLS/RTP/SAVPF{}\r\n",
            " 0".repeat(count)
        )
    };
    assert_eq!(offered(limits, &with(3)), Ok(()));
    let beyond = too_many("formats in one m-line", 3);
    assert_eq!(offered(limits, &with(4)), beyond);
}

#[test]
fn an_m_line_has_so_many_header_extensions() {
    let limits = PeerLimits::default().header_extensions(3);
    let with = |count: usize| {
        let line = |id| format!("a=extmap:{id} urn:x:{id}\r\n");
        let lines: String = (1..=count).map(line).collect();
        format!("{HEAD}m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n{lines}")
    };
    assert_eq!(offered(limits, &with(3)), Ok(()));
    let beyond = too_many("header extensions in one m-line", 3);
    assert_eq!(offered(limits, &with(4)), beyond);
}

#[test]
fn a_description_has_as_many_m_lines_as_there_may_be_transceivers() {
    let limits = PeerLimits::default().transceivers(3);
    let with = |count| {
        let mut other = End::new("other");
        (0..count).for_each(|_| {
            other.add_track(Video);
        });
        other.offer().sdp
    };
    let mut at = end(limits);
    assert_eq!(at.offer_from(&with(3)), Ok(()));
    assert_eq!(at.jsep.transceivers().len(), 3);
    assert_eq!(offered(limits, &with(4)), too_many("m-lines", 3));
}

// A side that had as many transceivers as it may could be made to have twice as many by an offer.
#[test]
fn transceivers_of_both_sides_count_together() {
    let limits = PeerLimits::default().transceivers(3);
    let mut other = End::new("other");
    other.add_track(Video);
    other.add_track(Video);
    let offer = other.offer().sdp;
    let mut fits = end(limits);
    // One of these takes an m-line of the offer, the other takes none.
    fits.add_track(Video);
    fits.add_track(MediaKind::Audio);
    assert_eq!(fits.offer_from(&offer), Ok(()));
    assert_eq!(fits.jsep.transceivers().len(), 3);
    let mut full = end(limits);
    full.add_track(MediaKind::Audio);
    full.add_track(MediaKind::Audio);
    let what = "m-lines, with the transceivers of this side that have none";
    assert_eq!(full.offer_from(&offer), too_many(what, 3));
    assert_eq!(full.jsep.transceivers().len(), 2);
}

#[test]
fn a_side_has_so_many_transceivers_of_its_own() {
    let mut end = end(PeerLimits::default().transceivers(2));
    let mut add = || {
        let track = MediaStreamTrack::new(Video, []);
        end.jsep.add_track(&track, &mut Vec::new()).map(drop)
    };
    assert_eq!((add(), add()), (Ok(()), Ok(())));
    assert_eq!(add(), Err(TransceiverError::TooMany { limit: 2 }));
}

#[test]
fn so_many_candidates_are_taken_and_so_many_wait_for_a_description() {
    let limits = PeerLimits::default().remote_candidates(2);
    let mut other = End::new("other");
    other.add_track(Video);
    let mut end = end(limits);
    let add = |end: &mut End, port: u16| {
        let candidate = IceCandidate {
            candidate: format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host"),
            sdp_m_line_index: Some(0),
            ..IceCandidate::default()
        };
        end.jsep.add_ice_candidate(candidate, &mut Vec::new())
    };
    let beyond = Err(CandidateError::TooMany { limit: 2 });
    assert_eq!((add(&mut end, 1), add(&mut end, 2)), (Ok(()), Ok(())));
    assert_eq!(add(&mut end, 3), beyond);
    negotiate(&mut other, &mut end);
    // Those that waited are taken now, and there is room for no more.
    assert_eq!(add(&mut end, 3), beyond);
    assert_eq!(add(&mut end, 1), Ok(()));
}
