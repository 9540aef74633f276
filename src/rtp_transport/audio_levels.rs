//! How loud the remote tracks are, told now and then instead of with every packet.

use std::time::{Duration, Instant};

use crate::peer_connection::Event;
use crate::rtp::{AudioLevel, HeaderExtension, RtpPacket, RtpSource};
use crate::track::TrackId;

/// Collects the levels that packets carry (RFC 6464).
#[derive(Debug)]
pub(super) struct AudioLevels {
    /// Between two events about one track; none are told without it.
    interval: Option<Duration>,
    tracks: Vec<Track>,
}

/// One that sound is coming from.
#[derive(Debug)]
struct Track {
    id: TrackId,
    /// The loudest that was not told yet, and whether any of it was speech.
    loudest: Option<AudioLevel>,
    told_at: Instant,
}

impl AudioLevels {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            tracks: Vec::new(),
        }
    }

    /// Takes note of the level that a packet carries.
    pub(super) fn record(
        &mut self,
        id: TrackId,
        source: &RtpSource,
        packet: &RtpPacket,
        now: Instant,
    ) {
        if self.interval.is_none() {
            return;
        }
        let extension = source.extensions.id(&HeaderExtension::AudioLevel);
        let value = extension.and_then(|id| packet.extension(id));
        let Some(level) = value.and_then(AudioLevel::parse) else {
            return;
        };
        match self.tracks.iter_mut().find(|track| track.id == id) {
            Some(track) => track.add(level),
            None => self.tracks.push(Track {
                id,
                loudest: Some(level),
                told_at: now,
            }),
        }
    }

    /// What is to be told by now.
    pub(super) fn take_due(&mut self, now: Instant) -> impl Iterator<Item = Event> {
        let interval = self.interval.unwrap_or(Duration::MAX);
        self.tracks.iter_mut().filter_map(move |track| {
            if now.saturating_duration_since(track.told_at) < interval {
                return None;
            }
            let level = track.loudest.take()?;
            track.told_at = now;
            Some(Event::AudioLevel {
                track_id: track.id,
                level,
            })
        })
    }

    /// Other tracks are forgotten.
    pub(super) fn retain(&mut self, received: impl Fn(TrackId) -> bool) {
        self.tracks.retain(|track| received(track.id));
    }
}

impl Track {
    fn add(&mut self, level: AudioLevel) {
        let loudest = self.loudest.get_or_insert(level);
        loudest.level = loudest.level.min(level.level);
        loudest.voice |= level.voice;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::RtpCodec;
    use crate::fixtures::{THEIR_SSRC, VIDEO, rtp_bytes};
    use crate::rtp::ExtensionMap;
    use crate::track::{MediaKind, MediaStreamTrack};

    const INTERVAL: Duration = Duration::from_millis(200);

    fn source() -> RtpSource {
        RtpSource {
            codec: Arc::new(RtpCodec::opus()),
            extensions: ExtensionMap {
                entries: vec![(3, HeaderExtension::AudioLevel)],
                mixed: false,
            },
        }
    }

    fn packet(level: &'static str) -> RtpPacket {
        let bytes = rtp_bytes(VIDEO, 1, THEIR_SSRC, &[(3, level)], &[1]);
        RtpPacket::parse(bytes.into()).unwrap()
    }

    fn track() -> TrackId {
        MediaStreamTrack::new(MediaKind::Audio, []).id()
    }

    fn due(levels: &mut AudioLevels, now: Instant) -> Vec<(TrackId, AudioLevel)> {
        let told = |event| {
            let Event::AudioLevel { track_id, level } = event else {
                panic!("{event:?}");
            };
            (track_id, level)
        };
        levels.take_due(now).map(told).collect()
    }

    #[test]
    fn the_loudest_of_an_interval_is_told_at_its_end() {
        let start = Instant::now();
        let (track, mut levels) = (track(), AudioLevels::new(Some(INTERVAL)));
        for text in ["\x50", "\x20", "\x60"] {
            levels.record(track, &source(), &packet(text), start);
        }
        assert_eq!(due(&mut levels, start + INTERVAL / 2), []);
        let loudest = AudioLevel {
            voice: false,
            level: 0x20,
        };
        assert_eq!(due(&mut levels, start + INTERVAL), [(track, loudest)]);
        assert_eq!(due(&mut levels, start + 2 * INTERVAL), [], "nothing came");
    }

    #[test]
    fn each_track_is_told_for_itself_until_it_is_gone() {
        let start = Instant::now();
        let (one, other) = (track(), track());
        let mut levels = AudioLevels::new(Some(INTERVAL));
        levels.record(one, &source(), &packet("\x10"), start);
        levels.record(other, &source(), &packet("\x70"), start);
        levels.retain(|track| track == other);
        let told = due(&mut levels, start + INTERVAL);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, other);
    }

    #[test]
    fn nothing_is_told_unasked_or_of_packets_without_a_level() {
        let start = Instant::now();
        let mut unasked = AudioLevels::new(None);
        unasked.record(track(), &source(), &packet("\x10"), start);
        assert_eq!(due(&mut unasked, start + INTERVAL), []);
        let mut asked = AudioLevels::new(Some(INTERVAL));
        let without = RtpSource {
            extensions: ExtensionMap::default(),
            ..source()
        };
        asked.record(track(), &without, &packet("\x10"), start);
        assert_eq!(due(&mut asked, start + INTERVAL), []);
    }
}
