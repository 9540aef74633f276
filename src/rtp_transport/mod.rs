//! STUB
use crate::call::StartError;
use crate::jsep::MediaPlan;
use crate::outlet::Outlet;
use crate::peer_connection::{PeerEvent, PeerId};
use crate::rtp::*;
use crate::srtp::SrtpKeys;
use crate::track::TrackId;
use crate::udp::*;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
#[derive(Clone, Debug)]
pub(crate) struct RtpTransport {
    actor: ActorRef<()>,
}
#[derive(Clone, Debug)]
pub(crate) struct RtpTransportArguments {
    pub(crate) peer: PeerId,
    pub(crate) owner: Outlet<PeerEvent>,
    pub(crate) outlet: Outlet<RtpTransportEvent>,
    pub(crate) limits: MediaLimits,
}
#[derive(Debug)]
pub(crate) enum RtpTransportEvent {}
#[derive(Clone, Copy, Debug, Default)]
pub struct MediaLimits {}
struct A;
impl Actor for A {
    type Msg = ();
    type State = ();
    type Arguments = ();
    async fn pre_start(&self, _: ActorRef<()>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
impl RtpTransport {
    pub(crate) async fn spawn(a: RtpTransportArguments, s: ActorCell) -> Result<Self, StartError> {
        let (actor, _) = Actor::spawn_linked(None, A, (), s).await?;
        Ok(Self { actor })
    }
    pub(crate) fn inbound(&self) -> MediaInbound {
        crate::lane::lane(
            crate::lane::LaneCapacity {
                packets: 1,
                bytes: 1,
            },
            || {},
        )
        .0
    }
    pub(crate) fn set_path(&self, _: TransportPath) {}
    pub(crate) fn install_keys(&self, _: SrtpKeys) {}
    pub(crate) fn apply(&self, _: MediaPlan) {}
    pub(crate) fn send_rtp(&self, _: TrackId, _: RtpBatch) {}
    pub(crate) fn send_rtcp(&self, _: Vec<RtcpPacket>) {}
    pub(crate) fn send_pli(&self, _: TrackId, _: Option<Rid>) {}
    pub(crate) fn stop(&self) {
        self.actor.stop(None)
    }
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }
}
