//! Who speaks, from how loud their tracks are (RFC 6464).
//!
//! A pure rule. Each track has a smoothed level: up quickly, so that a first word counts, down slowly, so that the pause
//! between two words does not. Whoever rises above [`BEGINS`] speaks, until all its tracks have been below [`ENDS`] for
//! [`PAUSE`]. A track of which nothing is told any more falls silent: browsers send nothing in silence (DTX).
//! The order changes only for somebody who is louder by [`OVERTAKES`], so that two equals do not trade places with each
//! syllable.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::event::ParticipantId;
use crate::rtp::AudioLevel;
use crate::track::TrackId;

/// Everybody of whom something was heard, and who was told to speak.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    voices: BTreeMap<(ParticipantId, TrackId), Voice>,
    /// The loudest first.
    told: Vec<ParticipantId>,
}

/// One track.
#[derive(Clone, Copy, Debug)]
struct Voice {
    /// Smoothed, in dBov, up to [`VOICE_BONUS`] above what was measured.
    level: f32,
    heard_at: Instant,
    /// When it was loud enough to go on speaking for the last time.
    spoke_at: Option<Instant>,
}

impl Speakers {
    /// Whether a level can change anything. Those below need not be passed on: not hearing of a track is silence.
    pub(super) fn matters(level: AudioLevel) -> bool {
        loudness(level) >= ENDS
    }

    /// How loud a track is. Who speaks, if that is now different.
    pub(super) fn hear(
        &mut self,
        who: ParticipantId,
        track: TrackId,
        level: AudioLevel,
        now: Instant,
    ) -> Option<&[ParticipantId]> {
        let loudness = loudness(level);
        let heard = self.voices.entry((who, track)).or_insert(Voice {
            level: SILENCE,
            heard_at: now,
            spoke_at: None,
        });
        heard.hear(loudness, now);
        self.update(now)
    }

    /// Time has passed.
    pub(super) fn check(&mut self, now: Instant) -> Option<&[ParticipantId]> {
        self.update(now)
    }

    /// When to [`check`](Self::check) next; `None` while nobody can fall silent.
    pub(super) fn next_check(&self) -> Option<Instant> {
        let ends = self.voices.values().filter_map(|voice| voice.spoke_at);
        ends.map(|spoke_at| spoke_at + PAUSE).min()
    }

    /// A track is gone or muted.
    pub(super) fn forget_track(
        &mut self,
        who: ParticipantId,
        track: TrackId,
        now: Instant,
    ) -> Option<&[ParticipantId]> {
        self.voices.remove(&(who, track));
        self.update(now)
    }

    /// A participant is gone.
    pub(super) fn forget(&mut self, who: ParticipantId, now: Instant) -> Option<&[ParticipantId]> {
        self.voices.retain(|(one, _), _| *one != who);
        self.update(now)
    }

    /// Who was told to speak.
    pub(super) fn now(&self) -> &[ParticipantId] {
        &self.told
    }

    fn update(&mut self, now: Instant) -> Option<&[ParticipantId]> {
        for voice in self.voices.values_mut() {
            voice.spoke_at = voice.spoke_at.filter(|at| now.duration_since(*at) < PAUSE);
        }
        self.voices
            .retain(|_, voice| now.duration_since(voice.heard_at) < FORGOTTEN);
        let levels = self.levels(now);
        let mut speaking: Vec<ParticipantId> = self.told.clone();
        speaking.retain(|who| levels.contains_key(who));
        let mut newcomers: Vec<ParticipantId> = levels.keys().copied().collect();
        newcomers.retain(|who| !speaking.contains(who));
        for newcomer in newcomers {
            let louder = |other: &ParticipantId| levels[other] >= levels[&newcomer];
            let place = speaking.iter().rposition(louder).map_or(0, |it| it + 1);
            speaking.insert(place, newcomer);
        }
        overtake(&mut speaking, &levels);
        if speaking == self.told {
            return None;
        }
        self.told = speaking;
        Some(&self.told)
    }

    /// Those who speak, each as loud as its loudest track.
    fn levels(&self, now: Instant) -> BTreeMap<ParticipantId, f32> {
        let mut levels = BTreeMap::new();
        for ((who, _), voice) in &self.voices {
            if voice.spoke_at.is_some() {
                let level = levels.entry(*who).or_insert(SILENCE);
                *level = voice.level_at(now).max(*level);
            }
        }
        levels
    }
}

impl Voice {
    fn hear(&mut self, loudness: f32, now: Instant) {
        let before = self.level_at(now);
        let share = if loudness > before { ATTACK } else { RELEASE };
        self.level = before + (loudness - before) * share;
        self.heard_at = now;
        let enough = if self.spoke_at.is_some() {
            ENDS
        } else {
            BEGINS
        };
        if self.level >= enough {
            self.spoke_at = Some(now);
        }
    }

    /// Falls while nothing is heard.
    fn level_at(&self, now: Instant) -> f32 {
        let quiet = now.duration_since(self.heard_at).saturating_sub(EXPECTED);
        (self.level - quiet.as_secs_f32() * FALL_PER_SECOND).max(SILENCE)
    }
}

/// Neighbours change places where the latter is clearly louder, until none is.
fn overtake(speaking: &mut [ParticipantId], levels: &BTreeMap<ParticipantId, f32>) {
    for end in 1..speaking.len() {
        let mut place = end;
        while place > 0 && levels[&speaking[place]] >= levels[&speaking[place - 1]] + OVERTAKES {
            speaking.swap(place, place - 1);
            place -= 1;
        }
    }
}

/// A sender that recognises speech is trusted to (RFC 6464 §3, the V bit); most do not, so that its absence says
/// nothing.
fn loudness(level: AudioLevel) -> f32 {
    let bonus = if level.voice { VOICE_BONUS } else { 0.0 };
    bonus - f32::from(level.level)
}

/// The level of digital silence (RFC 6464 §3).
const SILENCE: f32 = -127.0;

/// Speech near a microphone is at −40 to −20 dBov, the noise of a room at −70 to −55.
const BEGINS: f32 = -45.0;

const ENDS: f32 = -55.0;

const VOICE_BONUS: f32 = 5.0;

/// The share of a louder level that counts at once: from silence, two intervals of a loud voice or four of a quiet one are a
/// beginning; one, be it a slammed door, is not.
const ATTACK: f32 = 0.6;

/// The share of a quieter level that counts at once.
const RELEASE: f32 = 0.15;

const OVERTAKES: f32 = 6.0;

/// Longer than the pause between two sentences of one speaker feels; shorter than that between two speakers matters.
const PAUSE: Duration = Duration::from_millis(1_000);

/// A level is told about ten times a second; what is later than this is missing.
const EXPECTED: Duration = Duration::from_millis(250);

const FALL_PER_SECOND: f32 = 60.0;

/// What has not been heard for so long need not be kept.
const FORGOTTEN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::track::{MediaKind, MediaStreamTrack};

    /// A conversation, a tenth of a second at a time.
    struct Talk {
        speakers: Speakers,
        now: Instant,
        tracks: BTreeMap<usize, (ParticipantId, TrackId)>,
    }

    const INTERVAL: Duration = Duration::from_millis(100);

    fn quiet_talk(dbov: i8) -> AudioLevel {
        AudioLevel {
            voice: false,
            level: dbov.unsigned_abs(),
        }
    }

    impl Talk {
        /// So many participants with a microphone each.
        fn of(count: usize) -> Self {
            let track = || MediaStreamTrack::new(MediaKind::Audio, []).id();
            let tracks = (0..count).map(|who| (who, (ParticipantId::next(), track())));
            Self {
                speakers: Speakers::default(),
                now: Instant::now(),
                tracks: tracks.collect(),
            }
        }

        fn numbers(&self, speaking: &[ParticipantId]) -> Vec<usize> {
            let number = |id: &ParticipantId| {
                let mut tracks = self.tracks.iter();
                *tracks.find(|(_, (who, _))| who == id).unwrap().0
            };
            speaking.iter().map(number).collect()
        }

        /// Everybody is heard once; what was told.
        fn hear(&mut self, levels: &[i8]) -> Vec<Vec<usize>> {
            self.now += INTERVAL;
            let mut told = Vec::new();
            for (who, level) in levels.iter().enumerate() {
                let (id, track) = self.tracks[&who];
                let changed = self.speakers.hear(id, track, quiet_talk(*level), self.now);
                if let Some(changed) = changed.map(<[_]>::to_vec) {
                    told.push(self.numbers(&changed));
                }
            }
            told
        }

        fn hear_for(&mut self, intervals: usize, levels: &[i8]) -> Vec<Vec<usize>> {
            (0..intervals).flat_map(|_| self.hear(levels)).collect()
        }

        fn speaking(&self) -> Vec<usize> {
            self.numbers(self.speakers.now())
        }
    }

    #[test]
    fn a_voice_is_told_once_when_it_begins_and_once_when_it_has_been_silent_for_a_while() {
        let mut talk = Talk::of(1);
        assert!(talk.hear_for(20, &[-65]).is_empty());
        assert_eq!(talk.hear_for(20, &[-30]), [vec![0]]);
        assert!(talk.hear_for(6, &[-127]).is_empty(), "a pause");
        assert!(talk.hear_for(20, &[-30]).is_empty());
        assert_eq!(talk.hear_for(20, &[-127]), [Vec::<usize>::new()]);
    }

    #[test]
    fn one_loud_moment_is_nobody_speaking() {
        let mut talk = Talk::of(1);
        assert!(talk.hear(&[-20]).is_empty());
        assert!(talk.hear_for(30, &[-127]).is_empty());
    }

    #[test]
    fn who_is_not_heard_any_more_falls_silent_at_the_time_that_was_said() {
        let mut talk = Talk::of(1);
        assert_eq!(talk.speakers.next_check(), None);
        talk.hear_for(5, &[-30]);
        let at = talk.speakers.next_check().unwrap();
        assert_eq!(at, talk.now + PAUSE);
        assert_eq!(talk.speakers.check(at - Duration::from_millis(1)), None);
        assert_eq!(talk.speakers.check(at), Some(&[][..]));
        assert_eq!(talk.speakers.next_check(), None);
    }

    #[test]
    fn a_level_between_the_thresholds_goes_on_but_does_not_begin() {
        let mut talk = Talk::of(2);
        talk.hear_for(5, &[-30, -127]);
        assert!(talk.hear_for(50, &[-50, -50]).is_empty());
        assert_eq!(talk.speaking(), [0]);
    }

    #[test]
    fn the_loudest_comes_first_and_a_little_louder_is_not_loudest() {
        let mut talk = Talk::of(3);
        talk.hear_for(5, &[-40, -20, -30]);
        assert_eq!(talk.speaking(), [1, 2, 0]);
        assert!(
            talk.hear_for(50, &[-27, -30, -30]).is_empty(),
            "three louder"
        );
        talk.hear_for(20, &[-15, -30, -30]);
        assert_eq!(talk.speaking(), [0, 1, 2]);
    }

    #[test]
    fn the_loudest_track_of_a_participant_counts_and_goes_with_it() {
        let mut talk = Talk::of(2);
        let (second, _) = talk.tracks[&1];
        let (first, microphone) = talk.tracks[&0];
        let screen = MediaStreamTrack::new(MediaKind::Audio, []).id();
        for _ in 0..5 {
            talk.hear(&[-70, -30]);
            talk.speakers.hear(first, screen, quiet_talk(-20), talk.now);
        }
        assert_eq!(talk.speaking(), [0, 1]);
        assert_eq!(
            talk.speakers.forget_track(first, microphone, talk.now),
            None
        );
        let left = talk.speakers.forget_track(first, screen, talk.now);
        assert_eq!(left, Some(&[second][..]));
        assert_eq!(talk.speakers.forget(second, talk.now), Some(&[][..]));
    }

    #[test]
    fn what_its_sender_calls_speech_may_be_quieter() {
        let talk = |voice| {
            let mut talk = Talk::of(1);
            let (who, track) = talk.tracks[&0];
            for _ in 0..20 {
                talk.now += INTERVAL;
                talk.speakers
                    .hear(who, track, AudioLevel { voice, level: 48 }, talk.now);
            }
            talk.speaking()
        };
        assert_eq!(talk(true), [0]);
        assert_eq!(talk(false), Vec::<usize>::new());
    }

    #[test]
    fn levels_that_do_not_matter_change_nothing() {
        let table = [
            (56, false, false),
            (55, false, true),
            (60, true, true),
            (127, true, false),
        ];
        for (level, voice, matters) in table {
            assert_eq!(Speakers::matters(AudioLevel { voice, level }), matters);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_heard_changes_are_told_once_and_silence_is_the_end_of_all(
            heard in prop::collection::vec((0..4_usize, any::<u8>(), any::<bool>(), 0..2_000_u64), 0..300)
        ) {
            let mut talk = Talk::of(4);
            let mut told: Vec<ParticipantId> = Vec::new();
            for (who, level, voice, pause) in heard {
                talk.now += Duration::from_millis(pause);
                let (who, track) = talk.tracks[&who];
                if let Some(changed) = talk.speakers.hear(who, track, AudioLevel { voice, level }, talk.now) {
                    prop_assert_ne!(changed, told.as_slice());
                    told = changed.to_vec();
                }
                let mut sorted = told.clone();
                sorted.sort_unstable();
                sorted.dedup();
                prop_assert_eq!(sorted.len(), told.len());
                prop_assert_eq!(talk.speakers.next_check().is_some(), !told.is_empty());
            }
            while let Some(at) = talk.speakers.next_check() {
                prop_assert!(at <= talk.now + PAUSE);
                if let Some(changed) = talk.speakers.check(at) {
                    told = changed.to_vec();
                }
            }
            prop_assert!(told.is_empty());
        }
    }
}
