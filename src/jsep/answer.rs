//! Making answers (RFC 9429 §5.3).

use super::description::SdpType;
use super::encodings::taken_encodings;
use super::machine::{Applied, Created, Jsep};
use super::matching::{answer_codecs, answer_extensions, answer_simulcast};
use super::offer::{describe_sender, finish, formats, local_transport, rejected};
use super::sdp::{Section, Setup, TransportAttributes};
use super::transceiver::{Transceiver, TransceiverId};
use crate::dtls::DtlsRole;
use crate::ice::IceParameters;

/// The answer to this offer by the transceivers as they are now.
pub(super) fn build(jsep: &Jsep, remote: &Applied, ice: IceParameters) -> Created {
    let offer = &remote.description;
    let running = running_role(jsep, remote);
    let transport = |offered: &Section| local_transport(jsep, &ice, answer_setup(running, offered));
    let lines = offer
        .sections
        .iter()
        .map(|offered| answer_line(jsep, offered, transport(offered)));
    let order = offer.bundles.first().map_or(&[][..], Vec::as_slice);
    let lines = lines.collect();
    let mut created = finish(jsep, SdpType::Answer, lines, ice, order);
    // Only what was offered may be answered (RFC 9143 §7.3).
    let bundled = !offer.bundles.is_empty();
    if !bundled || !offer.extmap_allow_mixed {
        if !bundled {
            created.description.bundles.clear();
        }
        created.description.extmap_allow_mixed = offer.extmap_allow_mixed;
        created.text = created.description.to_string();
    }
    created
}

fn answer_line(
    jsep: &Jsep,
    offered: &Section,
    transport: TransportAttributes,
) -> (Section, Option<TransceiverId>) {
    let owner = offered
        .mid
        .as_ref()
        .and_then(|mid| jsep.transceiver_of(mid));
    let accepted = owner
        .filter(|owner| !offered.rejected && !owner.stopped)
        .and_then(|owner| accept(jsep, offered, owner, transport));
    let section = accepted.unwrap_or_else(|| rejected(offered));
    (section, owner.map(|owner| owner.id))
}

/// `None` when no codec is known to both sides.
fn accept(
    jsep: &Jsep,
    offered: &Section,
    transceiver: &Transceiver,
    transport: TransportAttributes,
) -> Option<Section> {
    let configuration = &jsep.configuration;
    let (kind, preferences) = (transceiver.kind, &transceiver.preferences);
    let codecs = answer_codecs(configuration, kind, preferences, &offered.codecs);
    if codecs.is_empty() {
        return None;
    }
    let wanted = if transceiver.stopping {
        super::RtpTransceiverDirection::Inactive
    } else {
        transceiver.direction
    };
    let direction = wanted.intersect(offered.direction.reversed());
    let (rids, simulcast) = if direction.receives() {
        answer_simulcast(offered, &codecs)
    } else {
        (Vec::new(), None)
    };
    let mut section = Section {
        media: offered.media.clone(),
        kind: offered.kind,
        protocol: offered.protocol.clone(),
        formats: formats(&codecs),
        rejected: false,
        bundle_only: false,
        mid: offered.mid.clone(),
        direction,
        transport,
        rtcp_mux: true,
        rtcp_rsize: offered.rtcp_rsize,
        receiver_round_trip: offered.receiver_round_trip,
        extmap_allow_mixed: offered.extmap_allow_mixed,
        codecs,
        extensions: answer_extensions(configuration, kind, &offered.extensions),
        msids: Vec::new(),
        sources: Vec::new(),
        flows: Vec::new(),
        rids,
        simulcast,
    };
    let mut rids = taken_encodings(offered);
    rids.retain(|rid| transceiver.sender.encoding(Some(rid)).is_some());
    describe_sender(&mut section, transceiver, &jsep.cname, rids);
    Some(section)
}

/// The DTLS role of the association that goes on; `None` where a new one begins.
fn running_role(jsep: &Jsep, offer: &Applied) -> Option<DtlsRole> {
    let running = jsep.transport.as_ref()?;
    let goes_on = (offer.transport.as_ref()).is_none_or(|found| running.is_of(found));
    goes_on.then_some(running.dtls_role)
}

/// Where the choice is ours we wait for the handshake: the DTLS server picks the SRTP profile, and
/// we prefer the cheaper GCM where browsers would take CM. (RFC 8842 §5.3 recommends `active`,
/// which saves half a round trip.) What was once agreed stays.
fn answer_setup(running: Option<DtlsRole>, offered: &Section) -> Setup {
    match (running, offered.transport.setup) {
        (Some(DtlsRole::Client), _) | (None, Some(Setup::Passive)) => Setup::Active,
        (Some(DtlsRole::Server), _)
        | (None, None | Some(Setup::ActPass | Setup::Active | Setup::Other)) => Setup::Passive,
    }
}
