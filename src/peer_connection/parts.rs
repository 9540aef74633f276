//! The actors below a peer connection.

use std::sync::Arc;

use ractor::{ActorCell, ActorRef};

use super::SpawnError;
use super::builder::Settings;
use super::event::{Part, PeerId};
use super::message::PeerConnectionMessage;
use super::monitor::Monitor;
use super::owner::Owner;
use crate::dtls::{DtlsArguments, DtlsTransport};
use crate::ice::{IceArguments, IceParameters, IceSinks, IceTransport};
use crate::outlet::Outlet;
use crate::rtp_transport::{RtpTransport, RtpTransportArguments};
use crate::udp::{Seat, UdpEndpoint, UdpEndpointError};

/// The actors below.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) ice: IceTransport,
    pub(super) dtls: DtlsTransport,
    pub(super) rtp: RtpTransport,
    /// Own or shared.
    pub(super) endpoint: Seat,
    pub(super) endpoint_is_own: bool,
    /// A shared endpoint is nobody's child here.
    _watched: Option<Monitor>,
}

impl Parts {
    pub(super) async fn spawn(
        id: PeerId,
        settings: &Settings,
        ice: IceParameters,
        owner: &Owner,
        myself: &ActorRef<PeerConnectionMessage>,
    ) -> Result<Self, SpawnError> {
        let (endpoint, endpoint_is_own) = settings.endpoint.open(myself).await?;
        // Before its first use: it refuses that, or its end is told.
        let watched = (!endpoint_is_own).then(|| Monitor::new(myself.get_cell(), endpoint.cell()));
        let rtp = RtpTransport::spawn(
            RtpTransportArguments {
                peer: id,
                owner: owner.clone(),
                limits: settings.limits,
                audio_levels: settings.audio_levels,
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
                handshakes: endpoint.handshakes().clone(),
                outlet: Outlet::with(myself, PeerConnectionMessage::Dtls),
            },
            myself.get_cell(),
        )
        .await?;
        let ice = IceTransport::spawn(
            IceArguments {
                parameters: ice,
                configuration: Arc::clone(&settings.ice),
                endpoints: vec![UdpEndpoint::clone(&endpoint)],
                sinks: IceSinks {
                    dtls: dtls.inbound().into(),
                    media: rtp.inbound(),
                },
                outlet: Outlet::with(myself, PeerConnectionMessage::Ice),
            },
            myself.get_cell(),
        )
        .await
        .map_err(|error| match endpoint.is_running() {
            true => SpawnError::from(error),
            // It ended after it was chosen.
            false => UdpEndpointError::Stopped.into(),
        })?;
        Ok(Self {
            ice,
            dtls,
            rtp,
            endpoint,
            endpoint_is_own,
            _watched: watched,
        })
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
