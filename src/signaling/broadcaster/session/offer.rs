//! What an offer must be like, beyond what any offer must (RFC 9725 §4.2 and §4.4, and the WHEP draft's same sections). Pure.

use crate::jsep::{Description, NegotiationError, RtpTransceiverDirection};
use crate::signaling::broadcaster::name::Role;
use crate::signaling::sdpfrag::{
    FragmentMedia, IceAttributes, IceCredentials, SdpFragment, SdpFragmentError,
};
use crate::track::MediaKind;

/// Why an offer is not one for a session of its kind: the doing of who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// There is neither sound nor pictures in it.
    #[error("the offer has no m-line for audio or video")]
    NoMedia,
    /// Two m-lines of a kind, which this version of WHIP and WHEP has not.
    #[error("the offer has more than one m-line for {kind}")]
    Several {
        /// Of which.
        kind: MediaKind,
    },
    /// The tracks belong to several streams, which this version of WHIP has not.
    #[error("the offer has more than one media stream")]
    SeveralStreams,
    /// Who publishes has to send, who watches to receive.
    #[error("the m-line for {kind} is {direction}, where {wanted} is due")]
    Direction {
        /// Of which.
        kind: MediaKind,
        /// As it is.
        direction: RtpTransceiverDirection,
        /// As it should be.
        wanted: RtpTransceiverDirection,
    },
    /// No codec of an m-line is known here. A session without it would only look like one.
    #[error("no codec of the m-line for {kind} is known here")]
    NoCommonCodec {
        /// Of which.
        kind: MediaKind,
    },
    /// The ICE credentials of the offer are none (RFC 8839 §5.4).
    #[error("the offer has unusable ICE credentials")]
    Credentials(#[from] SdpFragmentError),
}

/// What the offer has: each kind once at most, in its order. M-lines of other kinds, as of data channels, are left to be
/// rejected by the answer.
pub(super) fn check(role: Role, offer: &Description) -> Result<Vec<MediaKind>, OfferError> {
    use RtpTransceiverDirection::{RecvOnly, SendOnly, SendRecv};

    let wanted = match role {
        Role::Publisher => SendOnly,
        Role::Viewer => RecvOnly,
    };
    let mut kinds = Vec::new();
    let mut streams = Vec::new();
    for section in offer.sections.iter().filter(|section| !section.rejected) {
        let Some(kind) = section.kind else { continue };
        if kinds.contains(&kind) {
            return Err(OfferError::Several { kind });
        }
        let direction = section.direction;
        if direction != wanted && direction != SendRecv {
            return Err(OfferError::Direction {
                kind,
                direction,
                wanted,
            });
        }
        kinds.push(kind);
        streams.extend(section.msids.iter().filter_map(|msid| msid.stream.clone()));
    }
    streams.dedup();
    match (kinds.is_empty(), role) {
        (true, _) => Err(OfferError::NoMedia),
        (false, Role::Publisher) if streams.len() > 1 => Err(OfferError::SeveralStreams),
        (false, _) => Ok(kinds),
    }
}

/// All that was offered has to flow: half a session misleads who sees it succeed (RFC 9725 §4.4.3).
pub(super) fn check_answer(kinds: &[MediaKind], answer: &Description) -> Result<(), OfferError> {
    let flows = |kind| {
        let mut sections = answer.sections.iter();
        sections.any(|section| section.kind == Some(kind) && !section.rejected)
    };
    let refused = kinds.iter().copied().find(|&kind| !flows(kind));
    refused.map_or(Ok(()), |kind| Err(OfferError::NoCommonCodec { kind }))
}

/// The offer of an ICE restart: as it was, with other credentials and candidates. A client sends those alone
/// (RFC 9725 §4.3.3).
pub(super) fn restarted(
    offer: &str,
    credentials: &IceCredentials,
    fragment: &SdpFragment,
) -> Result<String, NegotiationError> {
    let mut offer = Description::parse(offer)?;
    offer.session_version = offer.session_version.wrapping_add(1);
    for section in &mut offer.sections {
        let transport = &mut section.transport;
        transport.ice_ufrag = Some(credentials.username_fragment.clone());
        transport.ice_pwd = Some(credentials.password.clone());
        let mid = section.mid.as_ref().map(ToString::to_string);
        let mut media = fragment.media.iter();
        let media = media.find(|media| Some(&media.mid) == mid.as_ref());
        transport.candidates = media.map_or_else(Vec::new, |media| media.candidates.clone());
        transport.end_of_candidates = fragment.is_last();
    }
    Ok(offer.to_string())
}

/// The ICE session that a description is of, and its candidates.
pub(super) fn fragment(description: &Description) -> SdpFragment {
    let Some(section) = description
        .tagged()
        .map(|index| &description.sections[index])
    else {
        return SdpFragment::default();
    };
    let transport = &section.transport;
    let bundle = description.bundles.first().into_iter().flatten();
    let formats = section.formats.join(" ");
    SdpFragment {
        ice_lite: description.ice_lite,
        bundle: bundle.map(ToString::to_string).collect(),
        media: vec![FragmentMedia {
            line: format!("{} 9 {} {formats}", section.media, section.protocol),
            mid: section
                .mid
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            ice: IceAttributes {
                username_fragment: transport.ice_ufrag.clone(),
                password: transport.ice_pwd.clone(),
                end_of_candidates: transport.end_of_candidates,
            },
            candidates: transport.candidates.clone(),
        }],
        ..SdpFragment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = include_str!("../../../../tests/data/sdp/chromium-sendonly-av.sdp");
    const WATCHING: &str = include_str!("../../../../tests/data/sdp/chromium-recvonly-av.sdp");

    fn check_text(role: Role, offer: &str) -> Result<Vec<MediaKind>, OfferError> {
        check(role, &Description::parse(offer).unwrap())
    }

    #[test]
    fn who_publishes_sends_and_who_watches_receives() {
        use RtpTransceiverDirection::{RecvOnly, SendOnly};
        let both = vec![MediaKind::Audio, MediaKind::Video];
        assert_eq!(check_text(Role::Publisher, CHROMIUM), Ok(both.clone()));
        assert_eq!(check_text(Role::Viewer, WATCHING), Ok(both.clone()));
        let kind = MediaKind::Audio;
        let refused = |direction, wanted| {
            Err(OfferError::Direction {
                kind,
                direction,
                wanted,
            })
        };
        let turned = check_text(Role::Publisher, WATCHING);
        assert_eq!(turned, refused(RecvOnly, SendOnly));
        let turned = check_text(Role::Viewer, CHROMIUM);
        assert_eq!(turned, refused(SendOnly, RecvOnly));
        let either = CHROMIUM.replace("a=sendonly", "a=sendrecv");
        assert_eq!(check_text(Role::Publisher, &either), Ok(both.clone()));
        assert_eq!(check_text(Role::Viewer, &either), Ok(both));
    }

    #[test]
    fn one_stream_with_one_track_of_a_kind_is_all_there_may_be() {
        let twice = CHROMIUM.replace("m=video", "m=audio");
        let kind = MediaKind::Audio;
        let refused = check_text(Role::Publisher, &twice);
        assert_eq!(refused, Err(OfferError::Several { kind }));
        let (first, second) = CHROMIUM.split_once("m=video").unwrap();
        let second = second.replace("a=msid:", "a=msid:other-");
        let streams = format!("{first}m=video{second}");
        let refused = check_text(Role::Publisher, &streams);
        assert_eq!(refused, Err(OfferError::SeveralStreams));
        let nothing = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
        let refused = check_text(Role::Viewer, nothing);
        assert_eq!(refused, Err(OfferError::NoMedia));
    }

    #[test]
    fn an_answer_that_rejects_something_is_none() {
        let both = [MediaKind::Audio, MediaKind::Video];
        let answer = Description::parse(CHROMIUM).unwrap();
        assert_eq!(check_answer(&both, &answer), Ok(()));
        let mut half = answer;
        half.sections[1].rejected = true;
        let kind = MediaKind::Video;
        let refused = check_answer(&both, &half);
        assert_eq!(refused, Err(OfferError::NoCommonCodec { kind }));
    }

    #[test]
    fn a_restarted_offer_differs_in_ice_alone() {
        let text = "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
            a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n";
        let given: SdpFragment = text.parse().unwrap();
        let credentials = given.credentials().unwrap().unwrap();
        let restarted = restarted(CHROMIUM, &credentials, &given).unwrap();
        let mut restarted = Description::parse(&restarted).unwrap();
        let mut before = Description::parse(CHROMIUM).unwrap();
        let made = fragment(&restarted);
        assert_eq!(made.credentials(), Ok(Some(credentials)));
        assert_eq!(made.media[0].candidates, given.media[0].candidates);
        assert_eq!(made.bundle, ["0", "1"]);
        assert!(!made.is_last());
        assert_eq!(restarted.session_version, before.session_version + 1);
        restarted.session_version = before.session_version;
        for section in before.sections.iter_mut().chain(&mut restarted.sections) {
            section.transport.ice_ufrag = None;
            section.transport.ice_pwd = None;
            section.transport.candidates.clear();
            section.transport.end_of_candidates = false;
        }
        assert_eq!(restarted, before);
    }
}
