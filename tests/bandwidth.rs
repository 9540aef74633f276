//! What a path takes is found out, followed, and told; what it does not take waits or is left out.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor_webrtc::peer_connection::{Event, MediaStats};
use ractor_webrtc::rtp::{RtpBatch, RtpPacket};
use ractor_webrtc::track::{MediaKind, TrackId};
use tokio::time::{Instant, interval};

use self::common::link::Link;
use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::{Offerer, Session};
use self::common::str0m_peer::{IncomingRtp, Str0mEvent, Str0mOptions, Str0mPeer};

/// A source of pictures that sends what it is told the path takes, as an encoder does or a forwarder with
/// layers to choose from.
struct Camera {
    session: Session,
    track: TrackId,
    sequence: u16,
    frames: u32,
    most: u64,
    /// What was told, and when.
    told: Vec<(Instant, u64)>,
    /// Frames, and how many of them came late because the machine was busy.
    late: (u32, u32),
}

impl Camera {
    async fn over(link: &Link, most: u64) -> Self {
        let ours = Ours::spawn(loopback()).await;
        let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let session = Session::connect(ours, theirs, Offerer::Ours, false, Some(link)).await;
        let track = session.ours.local_track(MediaKind::Video).id();
        session.ours.peer.set_desired_bitrate(most);
        Self {
            session,
            track,
            sequence: 0,
            frames: 0,
            most,
            told: Vec::new(),
            late: (0, 0),
        }
    }

    /// The machine keeps packets waiting, which looks as a full path does.
    fn is_disturbed(&self) -> bool {
        let (frames, late) = self.late;
        late * 50 > frames
    }

    fn estimate(&self) -> Option<u64> {
        self.told.last().map(|(_, bps)| *bps)
    }

    /// Sends pictures for a while, at this bitrate or as much as the path takes. Says how many packets of sound
    /// arrived meanwhile.
    async fn roll(&mut self, time: Duration, bps: Option<u64>) -> usize {
        let mut heard = 0;
        let mut frames = interval(FRAME);
        let end = Instant::now() + time;
        loop {
            let due = frames.tick().await;
            if due >= end {
                return heard;
            }
            let is_late = due.elapsed() > Duration::from_millis(10);
            self.late = (self.late.0 + 1, self.late.1 + u32::from(is_late));
            let taken = || self.estimate().unwrap_or(300_000).min(self.most);
            let bps = bps.unwrap_or_else(taken);
            let packets = (bps as f64 * FRAME.as_secs_f64() / 8.0 / PACKET as f64).ceil();
            let batch: RtpBatch = (1..=packets as usize)
                .map(|number| self.packet(number == packets as usize))
                .collect();
            self.frames += 1;
            self.session.ours.peer.send_rtp(self.track, batch).unwrap();
            while let Some(event) = self.session.ours.try_event() {
                if let Event::AvailableOutgoingBitrate { bits_per_second } = event {
                    self.told.push((Instant::now(), bits_per_second));
                }
            }
            while let Some(event) = self.session.theirs.try_event() {
                let is_sound = |it: &IncomingRtp| it.payload_type == 111;
                heard += usize::from(matches!(event, Str0mEvent::Rtp(it) if is_sound(&it)));
            }
        }
    }

    fn packet(&mut self, marker: bool) -> RtpPacket {
        self.sequence = self.sequence.wrapping_add(1);
        let timestamp = self.frames * 3000;
        rtp_packet(96, self.sequence, timestamp, marker, vec![0x10; PACKET])
    }

    /// When it was first told after `since` that the path takes so much.
    fn reached(&self, bps: u64, since: Instant) -> Option<Duration> {
        let told = self.told.iter().filter(|(at, _)| *at >= since);
        let mut reached = told.filter(|(_, told)| *told >= bps);
        reached.next().map(|(at, _)| *at - since)
    }

    /// For how long at a stretch it was told more than that.
    fn longest_above(&self, bps: u64, since: Instant) -> Duration {
        let mut longest = Duration::ZERO;
        let mut above: Option<Instant> = None;
        for (at, told) in self.told.iter().filter(|(at, _)| *at >= since) {
            match (above, *told > bps) {
                (None, true) => above = Some(*at),
                (Some(began), is_above) => {
                    longest = longest.max(*at - began);
                    above = Some(began).filter(|_| is_above);
                }
                (None, false) => {}
            }
        }
        longest.max(above.map_or(Duration::ZERO, |began| began.elapsed()))
    }

    async fn stats(&self) -> MediaStats {
        self.session.ours.peer.media_stats().await.unwrap()
    }
}

#[tokio::test]
async fn the_estimate_finds_what_the_path_takes_and_follows_it() {
    let rate = Arc::new(AtomicU64::new(2_000_000));
    let link = Link::narrow(Arc::clone(&rate), QUEUE, ROUND_TRIP)
        .await
        .unwrap();
    let mut camera = Camera::over(&link, 4_000_000).await;

    let begin = Instant::now();
    camera.roll(Duration::from_secs(10), None).await;
    let reached = camera.reached(1_600_000, begin);
    let above = camera.longest_above(2_200_000, begin);
    println!("80 % after {reached:?}, 10 % above for {above:?}");
    assert!(reached.unwrap() < Duration::from_secs(10));
    assert!(above < Duration::from_secs(2), "{:?}", camera.told);

    rate.store(500_000, Ordering::Relaxed);
    let narrowed = Instant::now();
    camera.roll(Duration::from_secs(6), None).await;
    let above = camera.longest_above(550_000, narrowed);
    println!(
        "above the narrow path for {above:?}, now {:?}",
        camera.estimate()
    );
    assert!(above < Duration::from_secs(2), "{:?}", camera.told);

    rate.store(2_000_000, Ordering::Relaxed);
    let widened = Instant::now();
    let mut recovered = None;
    while recovered.is_none() && widened.elapsed() < Duration::from_secs(30) {
        camera.roll(Duration::from_millis(500), None).await;
        recovered = camera.reached(1_600_000, widened);
    }
    let stats = camera.stats().await;
    println!(
        "recovered after {recovered:?}, late {:?}, {stats:?}",
        camera.late
    );
    let limit = Duration::from_secs(if camera.is_disturbed() { 30 } else { 10 });
    assert!(recovered.unwrap() < limit, "{:?}", camera.late);
    assert!(stats.padding_sent > 0 && stats.transport_feedback > 100);
    assert_eq!(
        (stats.transport_feedback_malformed, stats.malformed),
        (0, 0)
    );
    // Padding is for finding out, not for filling up.
    assert!(stats.padding_sent < stats.sent / 10, "{stats:?}");
}

#[tokio::test]
async fn sound_gets_through_where_the_picture_is_too_large_for_the_path() {
    let rate = Arc::new(AtomicU64::new(500_000));
    let link = Link::narrow(rate, QUEUE, ROUND_TRIP).await.unwrap();
    let mut camera = Camera::over(&link, 3_000_000).await;
    // The first seconds are for finding out, and for the queue of the path to drain.
    camera.roll(Duration::from_secs(4), Some(3_000_000)).await;

    let sound = camera.session.ours.local_track(MediaKind::Audio).id();
    let mut heard = 0;
    for number in 0..SOUNDS {
        let packet = rtp_packet(111, number, u32::from(number) * 960, false, vec![7; 80]);
        camera.session.ours.peer.send_rtp(sound, packet).unwrap();
        heard += camera
            .roll(Duration::from_millis(20), Some(3_000_000))
            .await;
    }
    heard += camera.roll(Duration::from_millis(500), Some(0)).await;
    let stats = camera.stats().await;
    println!("{heard} of {SOUNDS} heard, {stats:?}");
    assert!(heard >= usize::from(SOUNDS) * 9 / 10, "{heard} of {SOUNDS}");
    assert!(stats.paced > 0 && stats.paced_out > 0, "{stats:?}");
}

/// Six seconds of it.
const SOUNDS: u16 = 300;
const FRAME: Duration = Duration::from_micros(33_333);
const PACKET: usize = 1100;
const ROUND_TRIP: Duration = Duration::from_millis(40);
const QUEUE: Duration = Duration::from_millis(300);
