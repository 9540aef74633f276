//! Fragments of a client, put into the offer that it has made before.

use super::offer::{check, fragment, restarted};
use crate::jsep::Description;
use crate::signaling::broadcaster::name::Role;
use crate::signaling::sdpfrag::SdpFragment;

/// A fragment, as text.
///
/// It is written as it was read. A restart by it makes of an offer another one of the same media, and says of itself what the
/// fragment has said.
pub(crate) fn sdp_fragment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(read) = text.parse::<SdpFragment>() else {
        return;
    };
    let written = read.to_string();
    let again: SdpFragment = written.parse().expect("what we write can be read");
    assert_eq!(again, read);
    assert!(written.len() <= 2 * text.len() + 64);
    let Ok(Some(credentials)) = read.credentials() else {
        return;
    };
    let offer = Description::parse(OFFER).expect("a recorded offer");
    let Ok(restart) = restarted(OFFER, &credentials, &read) else {
        return;
    };
    let Ok(parsed) = Description::parse(&restart) else {
        return;
    };
    assert_eq!(parsed.sections.len(), offer.sections.len());
    for (theirs, ours) in parsed.sections.iter().zip(&offer.sections) {
        assert_eq!((&theirs.mid, theirs.direction), (&ours.mid, ours.direction));
        assert_eq!(theirs.formats, ours.formats);
        let user = theirs.transport.ice_ufrag.as_deref();
        assert_eq!(user, Some(&*credentials.username_fragment));
    }
    for role in [Role::Publisher, Role::Viewer] {
        assert_eq!(check(role, &parsed), check(role, &offer));
    }
    let said = fragment(&parsed).credentials();
    assert_eq!(said, Ok(Some(credentials)));
}

const OFFER: &str = include_str!("../../../../tests/data/sdp/chromium-sendonly-av.sdp");
