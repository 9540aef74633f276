//! The top of the tree: the socket and the streams.

use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use ractor_webrtc::dtls::Certificate;
use ractor_webrtc::signaling::broadcaster::{
    Broadcaster, BroadcasterEvent, BroadcasterLimits, encoder_media,
};
use ractor_webrtc::{PeerConnection, UdpEndpoint, UdpEndpointConfiguration};
use tokio::sync::oneshot;

use super::arguments::Arguments;

/// Handle to the running station.
#[derive(Debug)]
pub(crate) struct Station {
    actor: ActorRef<BroadcasterEvent>,
    broadcaster: Broadcaster,
}

impl Station {
    /// Opens the socket that the arguments name, if they do, and begins to take streams.
    pub(crate) async fn open(arguments: &Arguments) -> Result<Self, ActorProcessingErr> {
        let (sender, started) = oneshot::channel();
        let spawned = Actor::spawn(None, StationActor, (arguments.clone(), sender)).await;
        let actor = match spawned {
            Ok((actor, _)) => actor,
            // What `pre_start` said, without the actor around it.
            Err(SpawnErr::StartupFailed(error)) => return Err(error),
            Err(error) => return Err(error.into()),
        };
        let broadcaster = started.await?;
        Ok(Self { actor, broadcaster })
    }

    /// Who takes publishers and viewers.
    pub(crate) fn broadcaster(&self) -> &Broadcaster {
        &self.broadcaster
    }

    /// Returns when the station has ended by itself.
    pub(crate) async fn ended(&self) {
        let _ended = self.actor.wait(None).await;
    }

    /// Ends everything, and waits until all is gone. Clients are told, so that they come again at once.
    pub(crate) async fn close(&self) {
        self.broadcaster.shut_down().await;
        // It may have ended before; that is what we want.
        let _ended = self.actor.stop_and_wait(None, None).await;
    }
}

struct StationActor;

impl Actor for StationActor {
    type Msg = BroadcasterEvent;
    type State = ();
    type Arguments = (Arguments, oneshot::Sender<Broadcaster>);

    async fn pre_start(
        &self,
        myself: ActorRef<BroadcasterEvent>,
        (arguments, started): Self::Arguments,
    ) -> Result<(), ActorProcessingErr> {
        let mut connection = PeerConnection::builder()
            .media(encoder_media())
            // If only this machine can reach the pages, 127.0.0.1 has to do for media as well.
            .include_loopback(arguments.listen.ip().is_loopback())
            // Making one takes a millisecond, and all sessions are this server's.
            .certificate(Certificate::generate()?)
            .nat_1to1(arguments.public_ips.iter().copied());
        if let Some(address) = arguments.udp {
            let configuration = UdpEndpointConfiguration::address(address);
            let endpoint = UdpEndpoint::spawn(configuration, myself.get_cell()).await?;
            connection = connection.endpoint(endpoint);
        }
        let broadcaster = Broadcaster::builder()
            .connection(connection)
            .limits(BroadcasterLimits::default().viewers(arguments.viewers))
            .spawn_linked(&myself)
            .await?;
        // `open` waits for it.
        let _gone = started.send(broadcaster);
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<BroadcasterEvent>,
        event: BroadcasterEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match event {
            BroadcasterEvent::OnAir { stream, publisher } => {
                tracing::info!(%stream, %publisher, "on air");
            }
            BroadcasterEvent::OffAir { stream } => tracing::info!(%stream, "off air"),
            BroadcasterEvent::ViewerJoined { stream, viewer } => {
                tracing::info!(%stream, %viewer, "watches");
            }
            BroadcasterEvent::ViewerLeft { stream, viewer } => {
                tracing::info!(%stream, %viewer, "watches no more");
            }
            BroadcasterEvent::CannotDecode {
                stream,
                viewer,
                codec,
            } => {
                let codec = codec.map(|codec| codec.name);
                tracing::warn!(%stream, %viewer, codec, "cannot decode what is published");
            }
            BroadcasterEvent::StreamFailed { stream, message } => {
                tracing::error!(%stream, message, "a stream failed, and its sessions with it");
            }
            // More may be told in time.
            _ => {}
        }
        Ok(())
    }

    /// | child | how it ends | what we do | who notices |
    /// |---|---|---|---|
    /// | `UdpEndpoint` | its socket broke | end: there is no media without it | everybody, and the service manager |
    /// | `Broadcaster` | panic | end: there are no streams without it | the same |
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<BroadcasterEvent>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = &event {
            tracing::error!(%error, "an actor failed");
        }
        if let SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) = event {
            myself.stop(Some("a part of the station has ended".to_owned()));
        }
        Ok(())
    }
}
