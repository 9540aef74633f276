//! Which packets of a stream are missing, and when to ask for them (RFC 4585 §6.2.1).

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use super::types::SequenceNumber;

/// What has not arrived of one stream.
///
/// A number is missing from the moment at which a higher one comes. It is asked for after a little
/// patience, for packets overtake each other on the way, and then once a round trip, until it
/// comes or nobody would wait for it any more. A gap that is wider than `MAX_GAP` is a jump: nothing of it is
/// asked for, and a picture needs a keyframe instead.
#[derive(Debug, Default)]
pub(crate) struct MissingPackets {
    /// The highest number so far, unwrapped; nothing has come before the first.
    highest: Option<i64>,
    /// Where the stream began, or began anew.
    first: i64,
    /// In the order of their numbers. At most `MAX_MISSING`, none of them `WINDOW` behind the highest.
    missing: VecDeque<Missing>,
    /// When something is to be asked for; perhaps for a packet that has come meanwhile.
    due_at: Option<Instant>,
    /// How much longer than others a packet was on its way lately.
    patience: Patience,
    /// The number that would prove that the sender went back.
    after_jump: Option<SequenceNumber>,
    /// So many numbers were given up since that was asked.
    given_up: u64,
}

/// What a packet is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The next one, or one beyond a gap that is to be closed.
    Ahead,
    /// One that was missing.
    Late(Late),
    /// It was there already, or is too old for anybody to know.
    Again,
    /// So far off that the stream begins anew with it.
    Jumped,
}

/// How a packet that was missing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    /// It had been asked for.
    pub(crate) asked: bool,
    /// How long the answer took, where it is clear which request it answers.
    pub(crate) round_trip: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    number: i64,
    since: Instant,
    asked: Asked,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    NotYet,
    /// So often; the times are those of the first and of the latest request.
    Times(u8, Instant, Instant),
    /// Nobody waits for it any more.
    GivenUp,
}

/// How a packet came.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// In its own stream: overtaken, or repeated where there is no format for repetitions.
    Own,
    /// In answer to a request.
    Repair,
}

#[derive(Clone, Copy, Debug)]
struct Patience(Duration);

impl MissingPackets {
    /// A packet of the stream itself has come.
    pub(crate) fn arrive(
        &mut self,
        number: SequenceNumber,
        round_trip: Duration,
        now: Instant,
    ) -> Arrived {
        let Some(highest) = self.highest else {
            self.begin(i64::from(number.0));
            return Arrived::Ahead;
        };
        let ahead = i64::from(number.distance_from(SequenceNumber(highest as u16)));
        if ahead == 1 {
            self.highest = Some(highest + 1);
            self.after_jump = None;
            return Arrived::Ahead;
        }
        if ahead > MAX_AHEAD {
            self.begin(highest + ahead);
            return Arrived::Jumped;
        }
        if ahead > 0 {
            self.after_jump = None;
            self.open_gap(highest, highest + ahead, now);
            return Arrived::Ahead;
        }
        if ahead >= FURTHEST_BEHIND {
            return self.close(highest + ahead, Way::Own, round_trip, now);
        }
        if self.after_jump == Some(number) {
            self.begin(highest + ahead);
            return Arrived::Jumped;
        }
        self.after_jump = Some(number.plus(1));
        Arrived::Again
    }

    /// The packet with this number has come in a packet of another stream (RFC 4588). It never makes the stream
    /// begin anew.
    pub(crate) fn repair(
        &mut self,
        number: SequenceNumber,
        round_trip: Duration,
        now: Instant,
    ) -> Arrived {
        let ahead = self
            .highest
            .map(|highest| i64::from(number.distance_from(SequenceNumber(highest as u16))));
        match ahead {
            // The last packet of a frame may be repeated before anybody misses it.
            Some(1..=MAX_AHEAD) => self.arrive(number, round_trip, now),
            Some(ahead @ FURTHEST_BEHIND..=0) => {
                let number = self.highest.unwrap_or(0) + ahead;
                self.close(number, Way::Repair, round_trip, now)
            }
            Some(_) | None => Arrived::Again,
        }
    }

    /// When to [ask](Self::ask) next; `None` while nothing is missing.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// How many numbers are missing, given up or not.
    pub(crate) fn len(&self) -> usize {
        self.missing.len()
    }

    /// Adds the numbers that are to be asked for now to `lost`, `room` at most, the oldest first. What finds no
    /// room is asked for a little later.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        round_trip: Duration,
        room: usize,
        lost: &mut Vec<SequenceNumber>,
    ) {
        if self.due_at.is_none_or(|due| due > now) {
            return;
        }
        self.due_at = None;
        let full = lost.len() + room;
        let patience = self.patience;
        for missing in &mut self.missing {
            let Some(mut due) = missing.due_at(round_trip, patience) else {
                continue;
            };
            if missing.is_hopeless(now, due) {
                missing.asked = Asked::GivenUp;
                self.given_up += 1;
                continue;
            }
            if due <= now {
                if lost.len() < full {
                    lost.push(SequenceNumber(missing.number as u16));
                    missing.asked = missing.asked.again(now);
                    due = now + retry_after(round_trip);
                    self.patience.shrink();
                } else {
                    due = now + NO_ROOM;
                }
            }
            self.due_at = Some(self.due_at.map_or(due, |earliest| earliest.min(due)));
        }
    }

    /// Gives up whatever is missing.
    pub(crate) fn forget(&mut self) {
        self.due_at = None;
        self.given_up += waiting(mem::take(&mut self.missing));
    }

    /// How many numbers were given up since this was asked last.
    pub(crate) fn take_given_up(&mut self) -> u64 {
        mem::take(&mut self.given_up)
    }

    fn begin(&mut self, number: i64) {
        self.forget();
        self.highest = Some(number);
        self.first = number;
        self.after_jump = None;
    }

    /// All numbers between two that came one after the other are missing.
    fn open_gap(&mut self, before: i64, after: i64, now: Instant) {
        self.highest = Some(after);
        let gap = before + 1..after;
        let room = MAX_MISSING.saturating_sub((after - before - 1) as usize);
        let too_many = self.missing.len().saturating_sub(room);
        let too_old = self
            .missing
            .partition_point(|it| it.number <= after - WINDOW);
        self.given_up += waiting(self.missing.drain(..too_many.max(too_old)));
        self.missing.extend(gap.map(|number| Missing {
            number,
            since: now,
            asked: Asked::NotYet,
        }));
        let due = now + self.patience.0;
        self.due_at = Some(self.due_at.map_or(due, |earliest| earliest.min(due)));
    }

    /// A number that is not ahead has come.
    fn close(&mut self, number: i64, way: Way, round_trip: Duration, now: Instant) -> Arrived {
        let Ok(index) = self
            .missing
            .binary_search_by_key(&number, |missing| missing.number)
        else {
            if number < self.first {
                // From before the beginning, which may have been overtaken.
                self.first = number;
                return Arrived::Ahead;
            }
            return Arrived::Again;
        };
        let Some(missing) = self.missing.remove(index) else {
            return Arrived::Again;
        };
        if self.missing.is_empty() {
            self.due_at = None;
        }
        let mut late = Late {
            asked: !matches!(missing.asked, Asked::NotYet),
            round_trip: None,
        };
        match way {
            Way::Own => self.learn(&missing, round_trip, now),
            Way::Repair => late.round_trip = missing.answered_after(round_trip, now),
        }
        Arrived::Late(late)
    }

    /// Whatever came before an answer can have come was overtaken on its way.
    fn learn(&mut self, missing: &Missing, round_trip: Duration, now: Instant) {
        let overtaken = match missing.asked {
            Asked::NotYet => true,
            Asked::Times(times, _, latest) => {
                times == 1 && now.saturating_duration_since(latest) < round_trip / 2
            }
            Asked::GivenUp => false,
        };
        if overtaken {
            self.patience
                .grow(now.saturating_duration_since(missing.since));
        }
    }
}

impl Missing {
    /// When it is to be asked for; `None` when it is given up.
    fn due_at(&self, round_trip: Duration, patience: Patience) -> Option<Instant> {
        match self.asked {
            Asked::NotYet => Some(self.since + patience.0),
            Asked::Times(_, _, latest) => Some(latest + retry_after(round_trip)),
            Asked::GivenUp => None,
        }
    }

    /// Whether another request would be of no use.
    fn is_hopeless(&self, now: Instant, due: Instant) -> bool {
        let exhausted = matches!(self.asked, Asked::Times(MAX_REQUESTS.., ..)) && due <= now;
        exhausted || now.saturating_duration_since(self.since) > MAX_AGE
    }

    /// Which request was answered is clear after one (Karn's rule), and where the answer is there too soon to
    /// be one to the latest: then it is one to the first, which nobody thought to be on its way so long.
    fn answered_after(&self, round_trip: Duration, now: Instant) -> Option<Duration> {
        let Asked::Times(times, first, latest) = self.asked else {
            return None;
        };
        let since = |at: Instant| now.saturating_duration_since(at);
        let clear = times == 1 || since(latest) < round_trip / 2;
        clear.then(|| since(first))
    }
}

impl Asked {
    fn again(self, now: Instant) -> Self {
        match self {
            Self::NotYet => Self::Times(1, now, now),
            Self::Times(times, first, _) => Self::Times(times.saturating_add(1), first, now),
            Self::GivenUp => Self::GivenUp,
        }
    }
}

impl Patience {
    /// At once as long as was needed.
    fn grow(&mut self, needed: Duration) {
        self.0 = self.0.max(needed).min(MAX_PATIENCE);
    }

    /// A little at a time.
    fn shrink(&mut self) {
        self.0 = (self.0 - self.0 / 32).max(MIN_PATIENCE);
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self(MIN_PATIENCE)
    }
}

fn waiting(missing: impl IntoIterator<Item = Missing>) -> u64 {
    let waits = |missing: &Missing| !matches!(missing.asked, Asked::GivenUp);
    missing.into_iter().filter(waits).count() as u64
}

/// An answer that is not there by then is lost, or its request was: one too many is small, and answered by nobody who
/// keeps to the same rule.
fn retry_after(round_trip: Duration) -> Duration {
    round_trip + (round_trip / 8).max(MIN_PATIENCE)
}

/// Wider gaps are not closed: at 4 Mbit/s this is more than half a second, after which a keyframe is there
/// sooner, and costs less.
const MAX_GAP: i64 = 256;

/// The packet after the widest gap.
const MAX_AHEAD: i64 = MAX_GAP + 1;

/// So many numbers are missing at most; the oldest are given up.
const MAX_MISSING: usize = 512;

/// Numbers further behind are nobody's business: no SRTP receiver takes them any more
/// (RFC 3711 §3.3.2; ours remember 1024), so no subscriber could be sent them.
const WINDOW: i64 = 1024;

/// How far behind the highest the oldest is that still counts.
const FURTHEST_BEHIND: i64 = 1 - WINDOW;

/// Requests for one packet. At 20 % loss either way one in a million is still missing then.
const MAX_REQUESTS: u8 = 10;

/// What is not there by then is too late for any player that is to keep up.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Packets of one frame overtake each other by less.
const MIN_PATIENCE: Duration = Duration::from_millis(5);

/// On no path is it better to wait longer than to get a packet twice.
const MAX_PATIENCE: Duration = Duration::from_millis(100);

/// When to ask for what found no room.
const NO_ROOM: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
