//! Descriptions and candidates of strangers, given to a negotiation.

use std::sync::Arc;

use crate::configuration::MediaConfiguration;
use crate::dtls::Fingerprint;
use crate::ice::{IceCandidate, IceParameters};
use crate::jsep::{Description, Jsep, JsepArguments, JsepEffect, SdpType, SessionDescription};
use crate::limits::PeerLimits;
use crate::peer_connection::SignalingState;
use crate::track::{MediaKind, MediaStreamTrack};

/// The first byte says how it begins; the rest are descriptions, one after the other, with a byte
/// in between that no text has (0xFF).
///
/// What is refused changes nothing; what is taken can be answered, and our side of it can be
/// read by ourselves.
pub(super) fn sdp(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let mut jsep = machine();
    let mut effects = Vec::new();
    if choice & 1 != 0 {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = MediaStreamTrack::new(kind, []);
            let _sender = jsep.add_track(&track, &mut effects);
        }
    }
    if choice & 2 != 0 {
        let offered = jsep.set_local_description(None, &mut effects);
        assert_eq!(offered, Ok(()));
    }
    for text in rest.split(|&byte| byte == 0xff).take(8) {
        apply(&mut jsep, &String::from_utf8_lossy(text));
    }
}

/// A candidate, as text and as JSON, before and after the descriptions.
pub(super) fn candidate(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let plain = IceCandidate {
        candidate: text.clone().into_owned(),
        sdp_m_line_index: Some(0),
        ..IceCandidate::default()
    };
    let json = serde_json::from_str(&text).unwrap_or_default();
    for candidate in [plain, json] {
        let mut jsep = machine();
        let early = add(&mut jsep, candidate.clone());
        negotiate(&mut jsep);
        let late = add(&mut jsep, candidate.clone());
        // Whoever is told of an error early is told of it late.
        assert!(early.is_ok() || late.is_err());
        if late.is_ok() {
            assert_eq!(add(&mut jsep, candidate), Ok(vec![]), "told twice");
        }
    }
}

fn add(
    jsep: &mut Jsep,
    candidate: IceCandidate,
) -> Result<Vec<JsepEffect>, crate::jsep::CandidateError> {
    let mut effects = Vec::new();
    jsep.add_ice_candidate(candidate, &mut effects)?;
    Ok(effects)
}

fn negotiate(jsep: &mut Jsep) {
    let mut remote = machine();
    let mut effects = Vec::new();
    let track = MediaStreamTrack::new(MediaKind::Audio, []);
    let _sender = remote.add_track(&track, &mut effects);
    let offer = remote.create_offer().expect("a new connection can offer");
    let taken = jsep.set_remote_description(offer, &mut effects);
    assert_eq!(taken, Ok(()));
    let answered = jsep.set_local_description(None, &mut effects);
    assert_eq!(answered, Ok(()));
}

fn apply(jsep: &mut Jsep, text: &str) {
    let mut effects = Vec::new();
    let kind = if jsep.signaling_state() == SignalingState::HaveLocalOffer {
        SdpType::Answer
    } else {
        SdpType::Offer
    };
    let given = SessionDescription {
        kind,
        sdp: text.to_owned(),
    };
    let before = (jsep.transceivers(), jsep.media_plan());
    if jsep.set_remote_description(given, &mut effects).is_err() {
        assert!(effects.is_empty());
        assert_eq!((jsep.transceivers(), jsep.media_plan()), before);
        return;
    }
    if kind == SdpType::Offer {
        let answered = jsep.set_local_description(None, &mut effects);
        assert_eq!(answered, Ok(()));
    }
    assert_eq!(jsep.signaling_state(), SignalingState::Stable);
    check_ours(jsep);
    let offer = jsep.create_offer().expect("a stable connection can offer");
    let read = Description::parse(&offer.sdp).expect("our own offer can be read");
    assert_eq!(read.to_string(), offer.sdp);
}

/// Our side has as many m-lines as theirs, and the plan names nothing that is not in them.
fn check_ours(jsep: &Jsep) {
    let local = jsep.current_local_description().expect("it was applied");
    let remote = jsep.current_remote_description().expect("it was applied");
    let local = Description::parse(&local.sdp).expect("our own description can be read");
    let remote = Description::parse(&remote.sdp).expect("it was read before");
    assert_eq!(local.sections.len(), remote.sections.len());
    for section in jsep.media_plan().sections {
        let index = local.position(&section.mid);
        let index = index.expect("the plan follows the descriptions");
        let (ours, theirs) = (&local.sections[index], &remote.sections[index]);
        assert!(!ours.rejected && !theirs.rejected);
        let direction = ours.direction.intersect(theirs.direction.reversed());
        assert_eq!(section.send.is_some(), direction.sends());
        assert_eq!(section.receive.is_some(), direction.receives());
    }
}

pub(super) fn machine() -> Jsep {
    Jsep::new(JsepArguments {
        limits: PeerLimits::default(),
        configuration: Arc::new(MediaConfiguration::default()),
        ice: IceParameters {
            username_fragment: "fuzzfrag".to_owned(),
            password: "fuzzpasswordfuzzpassword".to_owned(),
        },
        fingerprints: vec![Fingerprint {
            algorithm: "sha-256".to_owned(),
            digest: vec![7; 32],
        }],
        cname: Arc::from("fuzz"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    /// The recorded descriptions, each with the first byte that fits it.
    fn recorded() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdp");
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some()).collect();
        files.sort();
        let read = |path: std::path::PathBuf| {
            let answer = path.to_string_lossy().contains("answer");
            let mut data = vec![if answer { 3 } else { 0 }];
            data.extend(fs::read(path).unwrap());
            data
        };
        files.into_iter().map(read).collect()
    }

    #[derive(Clone, Debug)]
    enum Change {
        /// Puts a byte somewhere.
        Byte(prop::sample::Index, u8),
        /// Leaves a line out.
        Cut(prop::sample::Index),
        /// Puts a line, perhaps of another description, somewhere.
        Move(
            prop::sample::Index,
            prop::sample::Index,
            prop::sample::Index,
        ),
        /// Sends all of it once more, as another description.
        Again,
    }

    fn change() -> impl Strategy<Value = Change> {
        use prop::sample::Index;
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
            any::<Index>().prop_map(Change::Cut),
            (any::<Index>(), any::<Index>(), any::<Index>())
                .prop_map(|(of, from, to)| Change::Move(of, from, to)),
            Just(Change::Again),
        ]
    }

    fn lines(data: &[u8]) -> Vec<Vec<u8>> {
        let lines = data.split_inclusive(|&byte| byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }

    fn changed(all: &[Vec<u8>], mut data: Vec<u8>, change: &Change) -> Vec<u8> {
        match change {
            Change::Byte(at, byte) => {
                let at = at.index(data.len());
                data[at] = *byte;
            }
            Change::Cut(at) => {
                let mut lines = lines(&data);
                lines.remove(at.index(lines.len()));
                data = lines.concat();
            }
            Change::Move(of, from, to) => {
                let other = lines(&all[of.index(all.len())][1..]);
                let mut lines = lines(&data);
                let line = other[from.index(other.len())].clone();
                lines.insert(to.index(lines.len()) + 1, line);
                data = lines.concat();
            }
            Change::Again => {
                let again = data[1..].to_vec();
                data.push(0xff);
                data.extend(again);
            }
        }
        if data.is_empty() {
            data.push(0);
        }
        data
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_changed_description_is_refused_or_answered(
            start in any::<prop::sample::Index>(),
            changes in prop::collection::vec(change(), 0..6),
        ) {
            let all = recorded();
            let mut data = all[start.index(all.len())].clone();
            for change in &changes {
                data = changed(&all, data, change);
            }
            super::sdp(&data);
        }

        #[test]
        fn a_changed_candidate_is_refused_or_taken(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            for text in [
                "candidate:1 1 udp 2122194687 192.0.2.2 40070 typ host ufrag fuzzfrag",
                r#"{"candidate":"candidate:1 1 udp 1 ::1 1 typ host","sdpMid":"0"}"#,
            ] {
                let mut data = text.as_bytes().to_vec();
                let at = at.index(data.len());
                data[at] = byte;
                data.truncate(cut.index(data.len() + 1));
                super::candidate(&data);
            }
        }
    }
}
