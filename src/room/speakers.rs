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
    pub(super) fn matters(dbov: i8, voice: bool) -> bool {
        loudness(dbov, voice) >= ENDS
    }

    /// How loud a track is. Who speaks, if that is now different.
    pub(super) fn hear(
        &mut self,
        who: ParticipantId,
        track: TrackId,
        (dbov, voice): (i8, bool),
        now: Instant,
    ) -> Option<&[ParticipantId]> {
        let loudness = loudness(dbov, voice);
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
fn loudness(dbov: i8, voice: bool) -> f32 {
    f32::from(dbov) + if voice { VOICE_BONUS } else { 0.0 }
}

/// The level of digital silence (RFC 6464 §3).
const SILENCE: f32 = -127.0;

/// Speech near a microphone is at −40 to −20 dBov, the noise of a room at −70 to −55.
const BEGINS: f32 = -45.0;

const ENDS: f32 = -55.0;

const VOICE_BONUS: f32 = 5.0;

/// The share of a louder level that counts at once: from silence, three loud intervals are a beginning.
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
