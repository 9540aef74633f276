//! Sessions of which every incoming datagram passes a test's hands.

use std::net::SocketAddr;

use ractor_webrtc::peer_connection::{Event, PeerConnectionState};
use ractor_webrtc::srtp::{Protector, SrtpMasterKey, SrtpProfile};
use ractor_webrtc::track::MediaKind;
use str0m::format::Codec;

use super::link::{Class, Gate, Link};
use super::owner::{Ours, loopback};
use super::session::{Offerer, Session, Way, negotiate};
use super::str0m_peer::{OutgoingRtp, Str0mOptions, Str0mPeer};
use super::{PATIENCE, eventually};

/// A connected session whose every incoming datagram passes our hands.
pub(crate) struct Victim {
    pub(crate) session: Session,
    pub(crate) link: Link,
    pub(crate) gate: Gate,
}

impl Victim {
    pub(crate) async fn connect(profile: SrtpProfile, ours_is_client: bool) -> Self {
        let gate = Gate::default();
        let link = gate.link().await.unwrap();
        let ours = Ours::spawn(loopback().srtp_profiles([profile])).await;
        let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let session =
            Session::connect(ours, theirs, Offerer::Ours, ours_is_client, Some(&link)).await;
        Self {
            session,
            link,
            gate,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.link.address_of_a().unwrap()
    }

    /// Sends from the verified address.
    pub(crate) async fn inject(&self, datagram: &[u8]) {
        self.link.inject_to_a(datagram).await.unwrap();
    }

    /// Media passes both ways, and none else has passed since.
    pub(crate) async fn goes_on(&mut self) {
        for (kind, codec) in [
            (MediaKind::Audio, Codec::Opus),
            (MediaKind::Video, Codec::Vp8),
        ] {
            self.session.send(kind, codec).await;
            // This packet is the first that the owner hears of: one of an attacker's would have
            // come before it.
            self.session.receive(kind, codec).await;
        }
        let state = self.session.ours.peer.connection_state();
        assert_eq!(state, PeerConnectionState::Connected);
    }

    /// What str0m would send next on sound, held back before it arrives.
    pub(crate) async fn genuine_rtp(&mut self) -> Vec<u8> {
        self.gate.hold(Class::Rtp);
        let mid = self.session.mid(MediaKind::Audio);
        let payload_type = self
            .session
            .theirs
            .payload_type(mid, Codec::Opus)
            .await
            .unwrap();
        let packet = OutgoingRtp {
            payload_type,
            sequence_number: self
                .session
                .next_number(Way::Receive, MediaKind::Audio)
                .into(),
            timestamp: 42,
            marker: true,
            payload: b"the genuine one".to_vec(),
            extensions: Default::default(),
        };
        assert!(self.session.theirs.write_rtp(mid, None, packet).await);
        let gate = self.gate.clone();
        eventually(PATIENCE, "a held packet", async || {
            (!gate.held().is_empty()).then_some(())
        })
        .await;
        self.gate.release().remove(0)
    }

    /// Protects as the remote side does.
    pub(crate) fn protector(&self) -> Protector {
        let observed = self.session.theirs.observed_dtls();
        let profile = ours(observed.profile.unwrap());
        let (key, salt) = (profile.key_len(), profile.salt_len());
        let material = &observed.keying_material;
        let (keys, salts) = material.split_at(2 * key);
        let (key, salt) = if observed.active.unwrap() {
            (&keys[..key], &salts[..salt])
        } else {
            (&keys[key..], &salts[salt..2 * salt])
        };
        let master = SrtpMasterKey {
            key: key.to_vec(),
            salt: salt.to_vec(),
        };
        Protector::new(profile, &master).unwrap()
    }
}

/// A session that is negotiated, and whose remote handshake datagrams are held.
pub(crate) async fn held_handshake(ours_is_client: bool) -> (Ours, Str0mPeer, Link, Gate) {
    let gate = Gate::default();
    let link = gate.link().await.unwrap();
    gate.hold(Class::Dtls);
    let mut ours = Ours::spawn(loopback()).await;
    let mut theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    negotiate(
        &mut ours,
        &mut theirs,
        Offerer::Ours,
        Some(ours_is_client),
        Some(&link),
    )
    .await;
    ours.expect("DTLS under way", |event| match event {
        Event::DtlsTransportStateChange(_) => Some(()),
        _ => None,
    })
    .await;
    (ours, theirs, link, gate)
}

fn ours(profile: str0m::crypto::dtls::SrtpProfile) -> SrtpProfile {
    use str0m::crypto::dtls::SrtpProfile as Theirs;
    match profile {
        Theirs::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
        Theirs::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
        _ => SrtpProfile::Aes128CmHmacSha1_80,
    }
}
