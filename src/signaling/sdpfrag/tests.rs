use proptest::prelude::*;

use super::*;

/// RFC 8840 §9.2, the example.
const RFC_8840: &str = "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
    a=ice-ufrag:8hhY\r\n\
    m=audio 9 RTP/AVP 0\r\n\
    a=mid:1\r\n\
    a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host\r\n\
    a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 5001 typ host\r\n\
    a=candidate:1 1 UDP 2130706431 192.0.2.1 5010 typ host\r\n\
    a=candidate:1 2 UDP 2130706431 192.0.2.1 5011 typ host\r\n\
    a=candidate:2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 192.0.2.1 rport 8998\r\n\
    a=candidate:2 2 UDP 1694498815 192.0.2.3 5011 typ srflx raddr 192.0.2.1 rport 8998\r\n\
    a=end-of-candidates\r\n\
    m=audio 9 RTP/AVP 0\r\n\
    a=mid:2\r\n\
    a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 6000 typ host\r\n\
    a=end-of-candidates\r\n";

/// RFC 9725 §4.3.3, the answer to an ICE restart.
const RESTARTED: &str = "a=ice-lite\r\n\
    a=ice-options:trickle ice2\r\n\
    a=group:BUNDLE 0 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
    a=mid:0\r\n\
    a=ice-ufrag:289b31b754eaa438\r\n\
    a=ice-pwd:0b66f472495ef0ccac7bda653ab6be49ea13114472a5d10a\r\n\
    a=candidate:1 1 udp 2130706431 198.51.100.1 39132 typ host\r\n\
    a=end-of-candidates\r\n";

fn read(text: &str) -> Result<SdpFragment, SdpFragmentError> {
    text.parse()
}

#[test]
fn c8840_the_example_of_the_rfc_is_read() {
    let fragment = read(RFC_8840).unwrap();
    let credentials = fragment.credentials().unwrap().unwrap();
    assert_eq!(credentials.username_fragment, "8hhY");
    assert_eq!(credentials.password, "asd88fgpdd777uzjYhagZg");
    let mids: Vec<_> = fragment.media.iter().map(|media| &*media.mid).collect();
    assert_eq!(mids, ["1", "2"]);
    assert_eq!(fragment.media[0].candidates.len(), 6);
    assert_eq!(
        fragment.media[1].candidates,
        ["candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 6000 typ host"]
    );
    assert!(fragment.is_last());
}

#[test]
fn what_is_written_is_what_the_rfc_shows() {
    let fragment = read(RESTARTED).unwrap();
    assert!(fragment.ice_lite);
    assert_eq!(fragment.ice_options, ["trickle", "ice2"]);
    assert_eq!(fragment.bundle, ["0", "1"]);
    assert_eq!(fragment.to_string(), RESTARTED);
}

#[test]
fn lines_may_end_with_a_line_feed_alone_and_unknown_ones_are_passed_over() {
    let fragment = read("v=0\na=ice-pacing:50\na=x-new:1\nm=audio 9 X 0\na=mid:a\na=foo\n\n");
    let fragment = fragment.unwrap();
    assert_eq!(fragment.media.len(), 1);
    assert_eq!(fragment.media[0].mid, "a");
    assert_eq!(fragment.credentials(), Ok(None));
    assert!(!fragment.is_last());
}

#[test]
fn an_end_of_candidates_may_stand_at_either_level() {
    assert!(read("a=end-of-candidates").unwrap().is_last());
    assert!(read("m=a\na=mid:0\na=end-of-candidates").unwrap().is_last());
}

#[test]
fn one_half_of_the_credentials_is_none() {
    let half = read("a=ice-ufrag:EsAw\r\n").unwrap().credentials();
    assert_eq!(half, Err(SdpFragmentError::IncompleteCredentials));
    let half = read("m=a\na=mid:0\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1").unwrap();
    let half = half.credentials();
    assert_eq!(half, Err(SdpFragmentError::IncompleteCredentials));
}

#[test]
fn m_lines_may_repeat_the_credentials_and_not_contradict_them() {
    let of = |ufrag: &str, mid: &str| {
        format!("m=a\na=mid:{mid}\na=ice-ufrag:{ufrag}\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n")
    };
    let same = read(&(of("EsAw", "0") + &of("EsAw", "1"))).unwrap();
    assert!(same.credentials().unwrap().is_some());
    let other = read(&(of("EsAw", "0") + &of("ysXw", "1"))).unwrap();
    let error = SdpFragmentError::ConflictingCredentials;
    assert_eq!(other.credentials(), Err(error));
}

#[test]
fn credentials_that_are_none_are_refused() {
    let wrong = [
        "a=ice-ufrag:abc".to_owned(),
        "a=ice-ufrag:ab d".to_owned(),
        format!("a=ice-ufrag:{}", "u".repeat(257)),
        "a=ice-pwd:short".to_owned(),
        "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui;".to_owned(),
    ];
    for line in wrong {
        let error = SdpFragmentError::InvalidCredentials;
        assert_eq!(read(&line), Err(error), "{line}");
    }
}

#[test]
fn a_line_out_of_place_is_named() {
    let stray = read("a=ice-lite\na=candidate:1 1 udp 1 192.0.2.1 9 typ host");
    assert_eq!(stray, Err(SdpFragmentError::StrayCandidate { number: 2 }));
    let nameless = read("m=audio\na=mid:0\nm=video\n");
    assert_eq!(nameless, Err(SdpFragmentError::MissingMid { index: 1 }));
    for text in [
        "hello",
        "{\"a\":1}",
        "=",
        "A=mid:0",
        "a=mid:\u{0}",
        "é=x",
        "a",
    ] {
        let error = SdpFragmentError::MalformedLine { number: 1 };
        assert_eq!(read(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_carriage_return_inside_a_line_smuggles_nothing() {
    let error = SdpFragmentError::MalformedLine { number: 2 };
    assert_eq!(read("m=audio\na=mid:0\ra=candidate:x\n"), Err(error));
}

#[test]
fn what_is_too_much_is_refused_before_it_is_kept() {
    let long = "a=".repeat(40_000);
    assert!(matches!(read(&long), Err(SdpFragmentError::TooLong { .. })));
    let media = "m=a\na=mid:0\n".repeat(65);
    let what = "m-lines";
    let error = SdpFragmentError::TooMany { what, limit: 64 };
    assert_eq!(read(&media), Err(error));
    let candidates = "m=a\na=mid:0\n".to_owned() + &"a=candidate:1\n".repeat(257);
    let what = "candidates";
    let error = SdpFragmentError::TooMany { what, limit: 256 };
    assert_eq!(read(&candidates), Err(error));
}

#[test]
fn passwords_stay_out_of_logs() {
    let fragment = read(RFC_8840).unwrap();
    let shown = format!("{fragment:?} {:?}", fragment.credentials());
    assert!(!shown.contains("asd88fgpdd777uzjYhagZg"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_upsets_the_reader(text in ".{0,300}") {
        let _read = read(&text);
    }

    #[test]
    fn no_lines_upset_the_reader(lines in prop::collection::vec("[am]=(mid|candidate|ice-ufrag|ice-pwd|group)?:?.{0,40}", 0..20)) {
        if let Ok(fragment) = read(&lines.join("\r\n")) {
            let written = fragment.to_string();
            prop_assert_eq!(read(&written), Ok(fragment));
        }
    }
}
