//! Remote descriptions that are refused, each with the error that says why. Nothing changes then.

use super::super::sdp::Description;
use super::super::{MediaLine, NegotiationError, SessionDescription};
use super::{End, negotiate};
use crate::dtls::Fingerprint;
use crate::rtp::Mid;
use crate::track::MediaKind::{Audio, Video};

/// An offer of sound and pictures, changed.
fn offer(change: impl Fn(&mut Description)) -> String {
    let mut end = End::new("first");
    end.add_track(Audio);
    end.add_track(Video);
    let mut description = Description::parse(&end.offer().sdp).unwrap();
    change(&mut description);
    description.to_string()
}

fn result(sdp: &str) -> Result<(), NegotiationError> {
    let mut end = End::new("second");
    let result = end.offer_from(sdp);
    if result.is_err() {
        assert!(end.effects().is_empty());
        assert!(end.jsep.transceivers().is_empty());
        assert_eq!(end.remote_description(), None);
    }
    result
}

fn refused(change: impl Fn(&mut Description)) -> NegotiationError {
    result(&offer(change)).unwrap_err()
}

fn line(index: usize) -> MediaLine {
    MediaLine {
        index,
        mid: Some(Mid::from(index.to_string().as_str())),
    }
}

#[test]
fn c011_mids_must_be_there_and_differ() {
    let missing = refused(|offer| offer.sections[1].mid = None);
    let nameless = MediaLine {
        index: 1,
        mid: None,
    };
    assert_eq!(missing, NegotiationError::MissingMid { line: nameless });
    let twice = refused(|offer| offer.sections[1].mid = Some(Mid::from("0")));
    let second = MediaLine {
        index: 1,
        mid: Some(Mid::from("0")),
    };
    assert_eq!(twice, NegotiationError::DuplicateMid { line: second });
    let message = twice.to_string();
    assert_eq!(
        message,
        "m-line 1 (mid 0) has a mid that an earlier one has"
    );
}

#[test]
fn c012_one_bundle_group_must_cover_every_m_line_in_use() {
    let none = refused(|offer| offer.bundles.clear());
    assert_eq!(none, NegotiationError::MissingBundle);
    let partial = refused(|offer| offer.bundles[0].truncate(1));
    assert_eq!(
        partial,
        NegotiationError::IncompleteBundle { line: line(1) }
    );
    let several = refused(|offer| offer.bundles.push(vec![Mid::from("1")]));
    assert_eq!(several, NegotiationError::SeveralBundles);
    result(&offer(|_| {})).unwrap();
    let rejected_outside = offer(|offer| {
        offer.sections[1].rejected = true;
        offer.bundles[0].truncate(1);
    });
    result(&rejected_outside).unwrap();
    let other_group = offer(|_| {}).replace("a=group:BUNDLE", "a=group:LS 0 1\r\na=group:BUNDLE");
    result(&other_group).unwrap();
    // With one m-line there is nothing to bundle, and W3C's max-bundle takes it.
    let single = offer(|offer| {
        offer.sections.truncate(1);
        offer.bundles.clear();
    });
    result(&single).unwrap();
}

#[test]
fn c013_ice_credentials_come_from_the_m_line_or_the_session() {
    type Credentials = (Option<&'static str>, Option<&'static str>);
    const NONE: Credentials = (None, None);
    const SOME: Credentials = (Some("someufrag"), Some("somepasswordsomepassword"));
    const OTHER: Credentials = (Some("someufrag"), Some("otherpasswordotherpassword"));
    let with = |session: Credentials, first: Credentials, second: Credentials| {
        let text = offer(|offer| {
            for (section, (ufrag, pwd)) in offer.sections.iter_mut().zip([first, second]) {
                section.transport.ice_ufrag = ufrag.map(ToOwned::to_owned);
                section.transport.ice_pwd = pwd.map(ToOwned::to_owned);
            }
        });
        let ufrag = session.0.map(|ufrag| format!("a=ice-ufrag:{ufrag}\r\n"));
        let pwd = session.1.map(|pwd| format!("a=ice-pwd:{pwd}\r\n"));
        let level = format!(
            "{}{}m=audio",
            ufrag.unwrap_or_default(),
            pwd.unwrap_or_default()
        );
        result(&text.replacen("m=audio", &level, 1))
    };
    assert_eq!(with(NONE, SOME, SOME), Ok(()));
    assert_eq!(with(SOME, SOME, SOME), Ok(()));
    assert_eq!(with(SOME, NONE, NONE), Ok(()));
    assert_eq!(with(SOME, SOME, NONE), Ok(()));
    let missing = NegotiationError::MissingIceCredentials { line: line(1) };
    assert_eq!(with(NONE, SOME, NONE), Err(missing));
    let missing = NegotiationError::MissingIceCredentials { line: line(0) };
    assert_eq!(with(NONE, NONE, NONE), Err(missing));
    let missing = NegotiationError::MissingIcePwd { line: line(1) };
    assert_eq!(with(NONE, SOME, (SOME.0, None)), Err(missing));
    let missing = NegotiationError::MissingIceUfrag { line: line(1) };
    assert_eq!(with(NONE, SOME, (None, SOME.1)), Err(missing));
    let conflict = NegotiationError::ConflictingIceCredentials { line: line(1) };
    assert_eq!(with(NONE, SOME, OTHER), Err(conflict));
    for wrong in ["abc", "a:b:c", "ab cd", &"a".repeat(257)] {
        let error = refused(|offer| offer.sections[0].transport.ice_ufrag = Some(wrong.into()));
        let invalid = NegotiationError::InvalidIceCredentials { line: line(0) };
        assert_eq!(error, invalid, "{wrong}");
    }
}

#[test]
fn c013_an_m_line_that_waits_for_the_transport_of_another_needs_one() {
    let text = offer(|_| {}).replace("a=rtcp-mux", "a=rtcp-mux\r\na=bundle-only");
    let error = result(&text).unwrap_err();
    let missing = NegotiationError::MissingIceCredentials { line: line(0) };
    assert_eq!(error, missing);
}

#[test]
fn c014_fingerprints_come_from_the_m_line_or_the_session() {
    let digest = |byte| Fingerprint {
        algorithm: "sha-256".to_owned(),
        digest: vec![byte; 32],
    };
    let text = format!("sha-256 {}", ["01"; 32].join(":"));
    let with = |session: bool, first: Option<u8>, second: Option<u8>| {
        let offer = offer(|offer| {
            for (section, byte) in offer.sections.iter_mut().zip([first, second]) {
                section.transport.fingerprints = byte.map(digest).into_iter().collect();
            }
        });
        let level = if session {
            format!("a=fingerprint:{text}\r\nm=audio")
        } else {
            "m=audio".to_owned()
        };
        result(&offer.replacen("m=audio", &level, 1))
    };
    assert_eq!(with(false, Some(1), Some(1)), Ok(()));
    assert_eq!(with(true, Some(1), Some(1)), Ok(()));
    assert_eq!(with(true, None, None), Ok(()));
    assert_eq!(with(true, Some(1), None), Ok(()));
    let missing = |index| NegotiationError::MissingFingerprint { line: line(index) };
    assert_eq!(with(false, Some(1), None), Err(missing(1)));
    assert_eq!(with(false, None, None), Err(missing(0)));
    let conflict = NegotiationError::ConflictingFingerprints { line: line(1) };
    assert_eq!(with(true, None, Some(2)), Err(conflict.clone()));
    assert_eq!(with(false, Some(1), Some(2)), Err(conflict));
}

#[test]
fn c014_a_fingerprint_by_sha_1_is_refused_unless_a_better_one_stands_beside_it() {
    let sha_1 = Fingerprint {
        algorithm: "sha-1".to_owned(),
        digest: vec![1; 20],
    };
    let only = refused(|offer| offer.sections[0].transport.fingerprints = vec![sha_1.clone()]);
    let unsupported = NegotiationError::UnsupportedFingerprint {
        line: line(0),
        algorithm: "sha-1".to_owned(),
    };
    assert_eq!(only, unsupported);
    let beside = offer(|offer| {
        offer.sections[0].transport.fingerprints.push(sha_1.clone());
    });
    result(&beside).unwrap();
    let short = refused(|offer| {
        offer.sections[0].transport.fingerprints[0].digest.pop();
    });
    assert!(matches!(short, NegotiationError::MalformedAttribute { .. }));
    let garbled = offer(|_| {}).replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 +1:");
    let error = result(&garbled).unwrap_err();
    let MediaLine { index, .. } = line(0);
    assert!(
        matches!(&error, NegotiationError::MalformedAttribute { line, attribute: "fingerprint" } if line.index == index),
        "{error:?}"
    );
}

#[test]
fn rtcp_must_share_the_port_of_rtp() {
    let error = refused(|offer| offer.sections[1].rtcp_mux = false);
    assert_eq!(error, NegotiationError::MissingRtcpMux { line: line(1) });
}

#[test]
fn an_offer_cannot_hold_its_connection() {
    let text = offer(|_| {}).replacen("a=setup:actpass", "a=setup:holdconn", 1);
    let error = result(&text).unwrap_err();
    assert_eq!(error, NegotiationError::InvalidSetup { line: line(0) });
}

#[test]
fn an_answer_must_answer_its_offer() {
    let answer = |change: &dyn Fn(&mut Description)| {
        let (mut a, mut b) = (End::new("first"), End::new("second"));
        a.add_track(Audio);
        a.add_track(Video);
        let offer = a.offer();
        a.effects();
        b.set_remote(offer).unwrap();
        let mut answer = Description::parse(&b.answer().sdp).unwrap();
        change(&mut answer);
        let result = a.set_remote(SessionDescription::answer(answer.to_string()));
        assert_eq!(result.is_err(), a.effects().is_empty());
        result
    };
    assert_eq!(answer(&|_| {}), Ok(()));
    let short = answer(&|answer| answer.sections.truncate(1));
    let wrong_number = NegotiationError::WrongNumberOfMediaLines {
        expected: 2,
        found: 1,
    };
    assert_eq!(short, Err(wrong_number));
    let other_kind = answer(&|answer| answer.sections[1].media = "audio".to_owned());
    let changed = NegotiationError::MediaLineChanged { line: line(1) };
    assert_eq!(other_kind, Err(changed));
    let swapped = answer(&|answer| answer.sections.swap(0, 1));
    assert!(matches!(
        swapped,
        Err(NegotiationError::MediaLineChanged { .. })
    ));
    let undecided = answer(&|answer| {
        for section in &mut answer.sections {
            section.transport.setup = Some(super::super::sdp::Setup::ActPass);
        }
    });
    assert_eq!(
        undecided,
        Err(NegotiationError::InvalidSetup { line: line(0) })
    );
}

#[test]
fn a_later_offer_keeps_the_m_lines_of_the_earlier_one() {
    let (mut a, mut b) = (End::new("first"), End::new("second"));
    a.add_track(Audio);
    a.add_track(Video);
    negotiate(&mut a, &mut b);
    b.effects();
    let offer = Description::parse(&a.offer().sdp).unwrap();
    let mut fewer = offer.clone();
    fewer.sections.truncate(1);
    let error = b.offer_from(&fewer.to_string()).unwrap_err();
    assert!(matches!(
        error,
        NegotiationError::WrongNumberOfMediaLines { .. }
    ));
    let mut renamed = offer;
    renamed.sections[0].mid = Some(Mid::from("x"));
    renamed.bundles[0][0] = Mid::from("x");
    let error = b.offer_from(&renamed.to_string()).unwrap_err();
    assert!(matches!(error, NegotiationError::MediaLineChanged { .. }));
    assert!(b.effects().is_empty());
    assert_eq!(b.jsep.transceivers().len(), 2);
}

#[test]
fn what_is_too_long_or_no_description_at_all_is_refused() {
    let error = result(&"a".repeat(300_000)).unwrap_err();
    assert!(matches!(error, NegotiationError::TooLong { .. }));
    for text in [
        "",
        "v=0\r\n",
        "hello",
        "v=0\no=- 1 1 IN IP4 0\ns=-\nt=0 0\nm=audio\n",
    ] {
        let error = result(text).unwrap_err();
        assert!(
            matches!(error, NegotiationError::Malformed { .. }),
            "{text:?}"
        );
    }
    let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    let many = format!("{head}{}", "m=audio 0 RTP/AVP 0\r\n".repeat(257));
    let error = result(&many).unwrap_err();
    let limit = NegotiationError::TooMany {
        what: "m-lines",
        limit: 256,
    };
    assert_eq!(error, limit);
    let smuggled = offer(|_| {}).replacen("a=mid:0", "a=mid:0\ra=x", 1);
    let error = result(&smuggled).unwrap_err();
    assert!(matches!(error, NegotiationError::Malformed { .. }));
    // An empty session is one.
    result(head).unwrap();
}
