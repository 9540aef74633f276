//! What a remote description must have before anything of it is applied.

use std::collections::HashSet;

use super::description::SdpType;
use super::error::NegotiationError;
use super::sdp::{Description, Section, Setup};
use crate::dtls::Fingerprint;
use crate::ice::IceParameters;

/// The one transport of a description: all its m-lines share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteTransport {
    pub(super) ice: IceParameters,
    pub(super) ice_lite: bool,
    /// By trusted hash functions only; never empty.
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) setup: Setup,
}

/// Checks a description by itself. `None`: all m-lines are rejected, there is no transport.
pub(super) fn check(
    description: &Description,
    kind: SdpType,
) -> Result<Option<RemoteTransport>, NegotiationError> {
    check_mids(description)?;
    check_bundle(description)?;
    let mut transport: Option<RemoteTransport> = None;
    for (index, section) in description.sections.iter().enumerate() {
        // A bundle-only m-line leaves its transport to the one it is bundled with
        // (RFC 9143 §7.1.2); a rejected one needs none.
        if section.rejected || section.bundle_only {
            continue;
        }
        let found = section_transport(description, index, kind)?;
        match &transport {
            None => transport = Some(found),
            Some(first) => check_same(description, index, first, &found)?,
        }
    }
    let in_use = description
        .sections
        .iter()
        .position(|section| !section.rejected);
    match (&transport, in_use) {
        // All of them wait for the transport of another.
        (None, Some(index)) => Err(NegotiationError::MissingIceCredentials {
            line: description.line(index),
        }),
        (None, None) | (Some(_), _) => Ok(transport),
    }
}

/// Checks a description against the m-lines that stood there before (RFC 9429 §5.5, §5.10).
pub(super) fn check_continues(
    description: &Description,
    before: &Description,
) -> Result<(), NegotiationError> {
    let (expected, found) = (before.sections.len(), description.sections.len());
    if found < expected {
        return Err(NegotiationError::WrongNumberOfMediaLines { expected, found });
    }
    let pairs = before.sections.iter().zip(&description.sections);
    for (index, (before, now)) in pairs.enumerate() {
        // A rejected m-line may be used again for something else.
        let recycled = before.rejected && before.mid != now.mid;
        let same = before.media == now.media && (before.mid == now.mid || now.mid.is_none());
        if !recycled && !same {
            let line = description.line(index);
            return Err(NegotiationError::MediaLineChanged { line });
        }
    }
    Ok(())
}

/// Checks an answer against its offer (RFC 3264 §6).
pub(super) fn check_answers(
    answer: &Description,
    offer: &Description,
) -> Result<(), NegotiationError> {
    let (expected, found) = (offer.sections.len(), answer.sections.len());
    if found != expected {
        return Err(NegotiationError::WrongNumberOfMediaLines { expected, found });
    }
    let pairs = offer.sections.iter().zip(&answer.sections);
    for (index, (offered, answered)) in pairs.enumerate() {
        let line = || answer.line(index);
        let same_mid = answered.mid == offered.mid || answered.mid.is_none();
        if answered.media != offered.media || !same_mid {
            return Err(NegotiationError::MediaLineChanged { line: line() });
        }
        if offered.rejected && !answered.rejected {
            return Err(NegotiationError::NotOffered { line: line() });
        }
    }
    Ok(())
}

fn check_mids(description: &Description) -> Result<(), NegotiationError> {
    let mut seen = HashSet::new();
    for (index, section) in description.sections.iter().enumerate() {
        let line = || description.line(index);
        match &section.mid {
            // Whoever rejects an m-line may leave out all its attributes (RFC 3264 §6).
            None if section.rejected => {}
            None => return Err(NegotiationError::MissingMid { line: line() }),
            Some(mid) => {
                if !seen.insert(mid) {
                    return Err(NegotiationError::DuplicateMid { line: line() });
                }
            }
        }
    }
    Ok(())
}

/// All m-lines must share one transport (`max-bundle` is the only policy here). A single one
/// shares it with itself and needs no group.
fn check_bundle(description: &Description) -> Result<(), NegotiationError> {
    let accepted = || {
        let sections = description.sections.iter().enumerate();
        sections.filter(|(_, section)| !section.rejected)
    };
    let bundle = match description.bundles.as_slice() {
        [] if accepted().count() < 2 => return Ok(()),
        [] => return Err(NegotiationError::MissingBundle),
        [bundle] => bundle,
        _ => return Err(NegotiationError::SeveralBundles),
    };
    for (index, section) in accepted() {
        if !section.mid.as_ref().is_some_and(|mid| bundle.contains(mid)) {
            let line = description.line(index);
            return Err(NegotiationError::IncompleteBundle { line });
        }
    }
    Ok(())
}

fn section_transport(
    description: &Description,
    index: usize,
    kind: SdpType,
) -> Result<RemoteTransport, NegotiationError> {
    let section = &description.sections[index];
    let line = || description.line(index);
    if section.kind.is_some() && !section.rtcp_mux {
        return Err(NegotiationError::MissingRtcpMux { line: line() });
    }
    Ok(RemoteTransport {
        ice: ice_parameters(description, index)?,
        ice_lite: description.ice_lite,
        fingerprints: trusted_fingerprints(description, index)?,
        setup: setup(section, kind)
            .ok_or_else(|| NegotiationError::InvalidSetup { line: line() })?,
    })
}

fn ice_parameters(
    description: &Description,
    index: usize,
) -> Result<IceParameters, NegotiationError> {
    let transport = &description.sections[index].transport;
    let line = description.line(index);
    match (&transport.ice_ufrag, &transport.ice_pwd) {
        (None, None) => Err(NegotiationError::MissingIceCredentials { line }),
        (Some(_), None) => Err(NegotiationError::MissingIcePwd { line }),
        (None, Some(_)) => Err(NegotiationError::MissingIceUfrag { line }),
        (Some(ufrag), Some(pwd)) => {
            // RFC 8839 §5.4.
            let ufrag_fits = (4..=256).contains(&ufrag.len());
            let pwd_fits = (22..=256).contains(&pwd.len());
            if !ufrag_fits || !pwd_fits || !ufrag.bytes().chain(pwd.bytes()).all(is_ice_char) {
                return Err(NegotiationError::InvalidIceCredentials { line });
            }
            Ok(IceParameters {
                username_fragment: ufrag.clone(),
                password: pwd.clone(),
            })
        }
    }
}

/// ALPHA, DIGIT, `+` and `/` (RFC 8839 §5.1); four more that are seen in the field and harmless.
fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=#".contains(&byte)
}

fn trusted_fingerprints(
    description: &Description,
    index: usize,
) -> Result<Vec<Fingerprint>, NegotiationError> {
    let all = &description.sections[index].transport.fingerprints;
    let line = description.line(index);
    let Some(first) = all.first() else {
        return Err(NegotiationError::MissingFingerprint { line });
    };
    let trusted = all.iter().filter(|fingerprint| fingerprint.is_supported());
    let trusted: Vec<Fingerprint> = trusted.cloned().collect();
    if trusted.is_empty() {
        let algorithm = first.algorithm.clone();
        return Err(NegotiationError::UnsupportedFingerprint { line, algorithm });
    }
    Ok(trusted)
}

/// Without the attribute an offer leaves the choice open and an answer takes the active part
/// (RFC 4145 §4.1 has these defaults the other way round for offers, but browsers do it so).
fn setup(section: &Section, kind: SdpType) -> Option<Setup> {
    match (kind, section.transport.setup) {
        (_, Some(Setup::Other)) => None,
        (SdpType::Offer | SdpType::Rollback, setup) => Some(setup.unwrap_or(Setup::ActPass)),
        (SdpType::Answer | SdpType::Pranswer, Some(Setup::ActPass)) => None,
        (SdpType::Answer | SdpType::Pranswer, setup) => Some(setup.unwrap_or(Setup::Active)),
    }
}

fn check_same(
    description: &Description,
    index: usize,
    first: &RemoteTransport,
    found: &RemoteTransport,
) -> Result<(), NegotiationError> {
    let line = description.line(index);
    if found.ice != first.ice {
        return Err(NegotiationError::ConflictingIceCredentials { line });
    }
    let same = found.fingerprints.len() == first.fingerprints.len()
        && (found.fingerprints.iter()).all(|fingerprint| first.fingerprints.contains(fingerprint));
    if !same {
        return Err(NegotiationError::ConflictingFingerprints { line });
    }
    if found.setup != first.setup {
        return Err(NegotiationError::InvalidSetup { line });
    }
    Ok(())
}
