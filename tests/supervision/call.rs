//! Two peers in a call, of which one is to lose something, and what both sides see of it.

use std::time::Duration;

use ractor::ActorCell;
use ractor_webrtc::faults::{Fault, Injected, part, running_below};
use ractor_webrtc::peer_connection::{CloseReason, DtlsTransportState, Event, PeerConnectionState};
use ractor_webrtc::{MediaKind, PeerConnectionBuilder, RtcpPacket};
use tokio::time::Instant;

use super::common::owner::{Ours, loopback, rtp_packet};
use super::common::session::connect_ours;
use super::common::{PATIENCE, eventually};

/// A connected pair; sound goes both ways.
pub(crate) struct Call {
    /// Loses something.
    pub(crate) victim: Ours,
    pub(crate) remote: Ours,
    /// Packets, each way.
    said: u16,
}

/// How an actor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stop,
    Kill,
    Error,
    Panic,
}

pub(crate) const ENDS: [End; 4] = [End::Stop, End::Kill, End::Error, End::Panic];

/// What was seen of an end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The owner's last event.
    pub(crate) reason: CloseReason,
    /// Whether RTCP told the remote side.
    pub(crate) goodbye: bool,
    /// Whether DTLS told the remote side.
    pub(crate) close_notify: bool,
    /// Until no actor of the peer was left.
    pub(crate) gone: Duration,
}

impl Call {
    pub(crate) async fn connect() -> Self {
        Self::connect_with(loopback()).await
    }

    /// With these settings for who loses something.
    pub(crate) async fn connect_with(settings: PeerConnectionBuilder) -> Self {
        let mut victim = Ours::spawn(settings).await;
        let mut remote = Ours::spawn(loopback()).await;
        connect_ours(&mut victim, &mut remote, None).await;
        let mut call = Self {
            victim,
            remote,
            said: 0,
        };
        call.talk().await;
        call
    }

    /// A packet each way.
    pub(crate) async fn talk(&mut self) {
        let Self {
            victim,
            remote,
            said,
        } = self;
        *said += 1;
        say(victim, *said);
        remote.expect_rtp().await;
        say(remote, *said);
        victim.expect_rtp().await;
    }

    /// An actor of the peer that is to lose something.
    pub(crate) fn part(&self, name: &str) -> ActorCell {
        part(self.victim.owner(), name)
    }

    /// Lets an actor end, at the next message that it gets where it does so by itself.
    pub(crate) fn end(&self, actor: &ActorCell, end: End) -> Option<Injected> {
        match end {
            End::Stop => actor.stop(None),
            End::Kill => actor.kill(),
            End::Error => return Some(Fault::error().in_actor(actor).inject()),
            End::Panic => return Some(Fault::panic().in_actor(actor).inject()),
        }
        None
    }

    /// Asks something of every part but DTLS, which is asked nothing.
    pub(crate) fn ask_around(&self) {
        let peer = self.victim.peer.clone();
        tokio::spawn(async move {
            // One of them fails where the actor does.
            let _failed = peer.create_offer().await;
            let _failed = peer.get_stats(None).await;
        });
    }

    /// What comes of the end of a peer that has begun.
    pub(crate) async fn outcome(mut self) -> Outcome {
        let began = Instant::now();
        let reason = self.victim.expect_closed().await;
        let owner = self.victim.owner();
        eventually(PATIENCE, "no actor of the peer", async || {
            running_below(owner).is_empty().then_some(())
        })
        .await;
        let gone = began.elapsed();
        assert_eq!(
            self.victim.peer.connection_state(),
            PeerConnectionState::Closed
        );
        let after = self.victim.try_event();
        assert!(after.is_none(), "{after:?} after the last event");
        let (mut close_notify, mut goodbye) = (false, false);
        let said = |packet: &RtcpPacket| matches!(packet, RtcpPacket::Goodbye(_));
        while !(close_notify && goodbye) {
            match tokio::time::timeout(SOON, self.remote.event()).await {
                Ok(Some(Event::Rtcp { packets, .. })) => goodbye |= packets.iter().any(said),
                Ok(Some(Event::DtlsTransportStateChange(DtlsTransportState::Closed))) => {
                    close_notify = true;
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        Outcome {
            reason,
            goodbye,
            close_notify,
            gone,
        }
    }
}

fn say(from: &Ours, number: u16) {
    let track = from.local_track(MediaKind::Audio).id();
    let packet = rtp_packet(111, number, 0, true, b"sound".to_vec());
    from.peer.send_rtp(track, packet).unwrap();
}

/// What was not told by then, on loopback, is not told.
const SOON: Duration = Duration::from_millis(300);
