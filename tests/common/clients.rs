//! Clients on a thread of their own, so that what they need is not ours.

use std::time::Instant;

use ractor_webrtc::{MediaKind, MediaStreamTrack, PeerConnectionBuilder};
use str0m::media::{Mid, Pt};
use str0m::rtp::RtpWrite;
use tokio::runtime::{Builder, Handle, Runtime};

use super::owner::Ours;
use super::session::{Offerer, Session};
use super::str0m_peer::{Str0mOptions, Str0mPeer};

/// The thread of the clients.
pub(crate) struct Clients(Option<Runtime>);

impl Clients {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self(Some(runtime.unwrap()))
    }

    /// Where they run.
    pub(crate) fn runtime(&self) -> &Handle {
        self.0.as_ref().expect("taken by the drop alone").handle()
    }

    /// One of our peers, with so many pictures to send, and a client there.
    pub(crate) async fn connect(&self, builder: PeerConnectionBuilder, pictures: usize) -> Session {
        let ours = Ours::spawn(builder).await;
        for _ in 1..pictures {
            let screen = MediaStreamTrack::new(MediaKind::Video, []);
            ours.peer.add_track(&screen).await.unwrap();
        }
        let theirs = (self.runtime()).spawn(Str0mPeer::spawn(Str0mOptions::default()));
        let theirs = theirs.await.unwrap().unwrap();
        let mut session = Session::connect(ours, theirs, Offerer::Ours, false, None).await;
        session.ours.expect_tracks().await;
        session
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // To wait for it is not allowed here.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sends a picture of so many packets with this payload, numbered from `first` on.
pub(crate) fn write_frame(
    rtc: &mut str0m::Rtc,
    mid: Mid,
    payload_type: u8,
    first: u64,
    packets: u64,
    payload: impl Fn(u64) -> Vec<u8>,
) {
    let mut direct = rtc.direct_api();
    let stream = direct.stream_tx_by_mid(mid, None).unwrap();
    for number in first..first + packets {
        let pt = Pt::new_with_value(payload_type);
        let (time, now) = (first as u32 * 180, Instant::now());
        stream.write_rtp(RtpWrite::new(pt, number.into(), time, now, payload(number)));
    }
}
