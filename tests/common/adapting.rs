//! A source of pictures that sends what it is told the path takes, as an encoder does or a forwarder with layers to
//! choose from.

use std::time::Duration;

use ractor_webrtc::peer_connection::Event;
use ractor_webrtc::rtp::{RtpBatch, RtpPacket};
use ractor_webrtc::track::{MediaKind, TrackId};
use tokio::time::{Instant, interval};

use super::owner::{Ours, rtp_packet};

pub(crate) struct AdaptingSource {
    track: TrackId,
    sequence: u16,
    frames: u32,
    most: u64,
    /// What was told, and when.
    pub(crate) told: Vec<(Instant, u64)>,
    /// Frames, and how many of them came late because the machine was busy.
    pub(crate) late: (u32, u32),
}

impl AdaptingSource {
    /// It would send so many bits a second if the path took it.
    pub(crate) fn new(ours: &Ours, most: u64) -> Self {
        ours.peer.set_desired_bitrate(most);
        Self {
            track: ours.local_track(MediaKind::Video).id(),
            sequence: 0,
            frames: 0,
            most,
            told: Vec::new(),
            late: (0, 0),
        }
    }

    pub(crate) fn estimate(&self) -> Option<u64> {
        self.told.last().map(|(_, bps)| *bps)
    }

    /// Sends pictures for a while, at this bitrate or as much as the path takes; `each` is called after each.
    pub(crate) async fn roll(
        &mut self,
        ours: &mut Ours,
        time: Duration,
        bps: Option<u64>,
        mut each: impl FnMut(),
    ) {
        let mut frames = interval(FRAME);
        let end = Instant::now() + time;
        loop {
            let due = frames.tick().await;
            if due >= end {
                return;
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
            ours.peer.send_rtp(self.track, batch).unwrap();
            while let Some(event) = ours.try_event() {
                if let Event::AvailableOutgoingBitrate { bits_per_second } = event {
                    self.told.push((Instant::now(), bits_per_second));
                }
            }
            each();
        }
    }

    fn packet(&mut self, marker: bool) -> RtpPacket {
        self.sequence = self.sequence.wrapping_add(1);
        let timestamp = self.frames * 3000;
        rtp_packet(96, self.sequence, timestamp, marker, vec![0x10; PACKET])
    }

    /// The estimate finds what the path takes, and follows it when it becomes narrow and wide again: `set_rate` makes it so.
    ///
    /// # Panics
    ///
    /// When four fifths are not reached within ten seconds, each time the path is wide; or when the estimate is a tenth above it for two.
    pub(crate) async fn follows_the_path(
        &mut self,
        ours: &mut Ours,
        mut set_rate: impl FnMut(u64),
        mut each: impl FnMut(),
    ) {
        set_rate(WIDE);
        let begin = Instant::now();
        let ten = Duration::from_secs(10);
        self.roll(ours, ten, None, &mut each).await;
        let reached = self.reached(begin);
        let above = self.longest_above(WIDE, begin);
        println!("80 % after {reached:?}, 10 % above for {above:?}");
        assert!(reached.unwrap() < ten);
        assert!(above < TOO_LONG, "{:?}", self.told);

        set_rate(NARROW);
        let narrowed = Instant::now();
        let six = Duration::from_secs(6);
        self.roll(ours, six, None, &mut each).await;
        let above = self.longest_above(NARROW, narrowed);
        let now = self.estimate();
        println!("10 % above the narrow path for {above:?}, now {now:?}");
        assert!(above < TOO_LONG, "{:?}", self.told);

        set_rate(WIDE);
        let widened = Instant::now();
        let mut recovered = None;
        while recovered.is_none() && widened.elapsed() < Duration::from_secs(30) {
            let moment = Duration::from_millis(500);
            self.roll(ours, moment, None, &mut each).await;
            recovered = self.reached(widened);
        }
        println!("recovered after {recovered:?}, late {:?}", self.late);
        let limit = if self.is_disturbed() { ten * 3 } else { ten };
        assert!(recovered.unwrap() < limit, "{:?}", self.late);
    }

    /// The machine keeps packets waiting, which looks as a full path does.
    fn is_disturbed(&self) -> bool {
        let (frames, late) = self.late;
        late * 50 > frames
    }

    /// When it was first told after `since` that the path takes four fifths of what it does when it is wide.
    fn reached(&self, since: Instant) -> Option<Duration> {
        let told = self.told.iter().filter(|(at, _)| *at >= since);
        let mut reached = told.filter(|(_, told)| told * 5 >= WIDE * 4);
        reached.next().map(|(at, _)| *at - since)
    }

    /// For how long at a stretch the estimate was a tenth above that, from `since` on.
    fn longest_above(&self, bps: u64, since: Instant) -> Duration {
        let before = self.told.iter().rev().find(|(at, _)| *at < since);
        let before = before.map(|(_, told)| (since, *told));
        let after = self.told.iter().filter(|(at, _)| *at >= since);
        let mut longest = Duration::ZERO;
        let mut above: Option<Instant> = None;
        for (at, told) in before.into_iter().chain(after.copied()) {
            let is_above = told * 10 > bps * 11;
            if let Some(began) = above {
                longest = longest.max(at - began);
            }
            above = is_above.then(|| above.unwrap_or(at));
        }
        longest.max(above.map_or(Duration::ZERO, |began| began.elapsed()))
    }
}

/// What the path takes, in bits a second.
const WIDE: u64 = 2_000_000;
const NARROW: u64 = 500_000;
const TOO_LONG: Duration = Duration::from_secs(2);

const FRAME: Duration = Duration::from_micros(33_333);
const PACKET: usize = 1100;
