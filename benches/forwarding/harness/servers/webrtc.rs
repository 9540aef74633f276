//! A forwarder on the `webrtc` crate, as its example `broadcast` is one: default codecs, default
//! interceptors, one local track that every viewer's connection is given.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use webrtc::api::interceptor_registry::register_default_interceptors;
use webrtc::api::media_engine::MediaEngine;
use webrtc::api::setting_engine::SettingEngine;
use webrtc::api::{API, APIBuilder};
use webrtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc::ice::mdns::MulticastDnsMode;
use webrtc::ice::network_type::NetworkType;
use webrtc::interceptor::registry::Registry;
use webrtc::peer_connection::RTCPeerConnection;
use webrtc::peer_connection::configuration::RTCConfiguration;
use webrtc::peer_connection::sdp::session_description::RTCSessionDescription;
use webrtc::track::track_local::track_local_static_rtp::TrackLocalStaticRTP;
use webrtc::track::track_local::{TrackLocal, TrackLocalWriter};
use webrtc::track::track_remote::TrackRemote;

use super::{Failure, Forwarder, Role};

pub(super) struct WebrtcForwarder {
    runtime: Runtime,
    api: API,
    /// What the viewers get, once the publisher has begun to send.
    broadcast: watch::Sender<Option<Arc<TrackLocalStaticRTP>>>,
    connections: Vec<Arc<RTCPeerConnection>>,
}

impl WebrtcForwarder {
    /// With these SRTP profiles; none named means those that it has by default.
    pub(super) fn start(
        profiles: &[SrtpProtectionProfile],
        runtime: Runtime,
    ) -> Result<Self, Failure> {
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let interceptors = register_default_interceptors(Registry::new(), &mut media)?;
        let api = APIBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(interceptors)
            .with_setting_engine(settings(profiles))
            .build();
        Ok(Self {
            runtime,
            api,
            broadcast: watch::Sender::new(None),
            connections: Vec::new(),
        })
    }

    async fn connect(&self, role: Role, offer: String) -> Result<Arc<RTCPeerConnection>, Failure> {
        let connection = self
            .api
            .new_peer_connection(RTCConfiguration::default())
            .await?;
        match role {
            Role::Publisher => self.broadcast_from(&connection),
            Role::Viewer => {
                let mut broadcast = self.broadcast.subscribe();
                let track = broadcast.wait_for(Option::is_some).await?.clone();
                let track = track.expect("waited for") as Arc<dyn TrackLocal + Send + Sync>;
                let sender = connection.add_track(track).await?;
                // Interceptors see RTCP only while somebody reads it.
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1500];
                    while sender.read(&mut buffer).await.is_ok() {}
                });
            }
        }
        let connection = Arc::new(connection);
        connection
            .set_remote_description(RTCSessionDescription::offer(offer)?)
            .await?;
        let answer = connection.create_answer(None).await?;
        let mut gathered = connection.gathering_complete_promise().await;
        connection.set_local_description(answer).await?;
        // Nothing is ever sent; its end says that all candidates are there.
        let _ended = gathered.recv().await;
        Ok(connection)
    }

    fn broadcast_from(&self, connection: &RTCPeerConnection) {
        let broadcast = self.broadcast.clone();
        connection.on_track(Box::new(move |remote, _, _| {
            let broadcast = broadcast.clone();
            tokio::spawn(async move {
                let local = Arc::new(TrackLocalStaticRTP::new(
                    remote.codec().capability,
                    "video".to_owned(),
                    "publisher".to_owned(),
                ));
                broadcast.send_replace(Some(Arc::clone(&local)));
                forward(&remote, &local).await;
            });
            Box::pin(async {})
        }));
    }
}

async fn forward(remote: &TrackRemote, local: &TrackLocalStaticRTP) {
    while let Ok((packet, _)) = remote.read_rtp().await {
        // One viewer's error is no reason to end.
        let _errors = local.write_rtp(&packet).await;
    }
}

impl Forwarder for WebrtcForwarder {
    fn join(&mut self, role: Role, offer: &str) -> Result<String, Failure> {
        let connection = self
            .runtime
            .block_on(self.connect(role, offer.to_owned()))?;
        let answer = self.runtime.block_on(connection.local_description());
        self.connections.push(connection);
        Ok(answer.ok_or("no answer")?.sdp)
    }
}

fn settings(profiles: &[SrtpProtectionProfile]) -> SettingEngine {
    let mut settings = SettingEngine::default();
    settings.set_include_loopback_candidate(true);
    settings.set_ip_filter(Box::new(|ip| ip == IpAddr::V4(Ipv4Addr::LOCALHOST)));
    settings.set_network_types(vec![NetworkType::Udp4]);
    settings.set_ice_multicast_dns_mode(MulticastDnsMode::Disabled);
    settings.set_srtp_protection_profiles(profiles.to_vec());
    settings
}
