//! The actors below a peer connection.

use std::iter;
use std::sync::Arc;

use ractor::{ActorCell, ActorRef};

use super::SpawnError;
use super::builder::Settings;
use super::event::{Part, PeerEvent, PeerId};
use super::message::PeerConnectionMessage;
use super::monitor::Monitor;
use crate::dtls::{DtlsArguments, DtlsTransport};
use crate::ice::{IceArguments, IceParameters, IceSinks, IceTransport};
use crate::outlet::Outlet;
use crate::rtp_transport::{RtpTransport, RtpTransportArguments};
use crate::udp::UdpEndpoint;

/// The actors below.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) ice: IceTransport,
    pub(super) dtls: DtlsTransport,
    pub(super) rtp: RtpTransport,
    /// Own or shared.
    pub(super) endpoint: UdpEndpoint,
    pub(super) endpoint_is_own: bool,
}

impl Parts {
    pub(super) async fn spawn(
        id: PeerId,
        settings: &Settings,
        ice: IceParameters,
        owner: &Outlet<PeerEvent>,
        myself: &ActorRef<PeerConnectionMessage>,
    ) -> Result<Self, SpawnError> {
        let (endpoint, endpoint_is_own) = settings.endpoint.open(myself).await?;
        let rtp = RtpTransport::spawn(
            RtpTransportArguments {
                peer: id,
                owner: owner.clone(),
                limits: settings.media_limits,
                egress: endpoint.egress().clone(),
            },
            myself.get_cell(),
        )
        .await?;
        let dtls = DtlsTransport::spawn(
            DtlsArguments {
                certificate: settings.certificate.clone(),
                profiles: settings.srtp_profiles.clone(),
                handshake_timeout: settings.handshake_timeout,
                outlet: Outlet::with(myself, PeerConnectionMessage::Dtls),
            },
            myself.get_cell(),
        )
        .await?;
        let ice = IceTransport::spawn(
            IceArguments {
                parameters: ice,
                configuration: Arc::clone(&settings.ice),
                endpoints: vec![endpoint.clone()],
                sinks: IceSinks {
                    dtls: dtls.inbound().into(),
                    media: rtp.inbound(),
                },
                outlet: Outlet::with(myself, PeerConnectionMessage::Ice),
            },
            myself.get_cell(),
        )
        .await?;
        Ok(Self {
            ice,
            dtls,
            rtp,
            endpoint,
            endpoint_is_own,
        })
    }

    /// What we depend on without being linked to it: the owner, who need not be the supervisor, and
    /// a shared endpoint.
    pub(super) fn monitors(
        &self,
        owner: &Outlet<PeerEvent>,
        myself: &ActorRef<PeerConnectionMessage>,
    ) -> Vec<Monitor> {
        let shared = (!self.endpoint_is_own).then(|| self.endpoint.cell());
        iter::once(owner.listener().clone())
            .chain(shared)
            .map(|watched| Monitor::new(myself.get_cell(), watched))
            .collect()
    }

    /// Which part an actor is.
    pub(super) fn identify(&self, child: &ActorCell) -> Option<Part> {
        let id = child.get_id();
        [
            (self.ice.cell().get_id(), Part::IceTransport),
            (self.dtls.cell().get_id(), Part::DtlsTransport),
            (self.rtp.cell().get_id(), Part::RtpTransport),
            (self.endpoint.cell().get_id(), Part::UdpEndpoint),
        ]
        .into_iter()
        .find_map(|(part_id, part)| (part_id == id).then_some(part))
    }
}
