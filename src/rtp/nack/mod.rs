//! Which packets of a stream are missing, and when to ask for them (RFC 4585 §6.2.1).

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use super::insistence::Insistence;
use super::types::SequenceNumber;

/// What has not arrived of one stream.
///
/// A number is missing from the moment at which a higher one comes. It is asked for after a little
/// patience, for packets overtake each other on the way, and then once a round trip, until it
/// comes or nobody would wait for it any more; twice in a row where requests or answers get lost, too. A gap that is wider than `MAX_GAP` is a jump: nothing of it is
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
    /// Whether one request is enough.
    insistence: Insistence,
    /// What would follow the highest, while that is not the last of its picture.
    tail: Option<Tail>,
    /// How much longer than expected neighbours of one picture come after each other.
    tail_patience: Patience,
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
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    NotYet,
    Asked(Requests),
    /// Nobody waits for it any more.
    GivenUp,
}

/// A packet that must follow, though nothing shows that it was sent.
#[derive(Clone, Copy, Debug)]
struct Tail {
    since: Instant,
    requests: Option<Requests>,
}

/// The requests for one packet.
#[derive(Clone, Copy, Debug)]
struct Requests {
    times: u8,
    first: Instant,
    latest: Instant,
    /// The latest is to go once more.
    twice: bool,
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
        self.arrive_by(Way::Own, number, round_trip, now)
    }

    /// The same of a packet after which others of its picture must follow, if it is the highest: where requests get lost
    /// as well, the next is asked for before its successor shows that it is missing.
    pub(crate) fn expect_next(&mut self, number: SequenceNumber, now: Instant) {
        if self.insistence.lasts() && self.highest.map(|it| it as u16) == Some(number.0) {
            let tail = Tail {
                since: now,
                requests: None,
            };
            self.note_due(tail.due_at(self.tail_patience));
            self.tail = Some(tail);
        }
    }

    fn arrive_by(
        &mut self,
        way: Way,
        number: SequenceNumber,
        round_trip: Duration,
        now: Instant,
    ) -> Arrived {
        let Some(highest) = self.highest else {
            self.begin(i64::from(number.0));
            return Arrived::Ahead;
        };
        let ahead = i64::from(number.distance_from(SequenceNumber(highest as u16)));
        if ahead > MAX_AHEAD {
            self.begin(highest + ahead);
            return Arrived::Jumped;
        }
        if ahead > 0 {
            self.after_jump = None;
            self.advance(way, highest, highest + ahead, now);
            return Arrived::Ahead;
        }
        if ahead >= FURTHEST_BEHIND {
            return self.close(highest + ahead, way, round_trip, now);
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
            Some(1..=MAX_AHEAD) => self.arrive_by(Way::Repair, number, round_trip, now),
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
        let patience = self.patience();
        for missing in &mut self.missing {
            let Some(mut due) = missing.due_at(round_trip, patience) else {
                continue;
            };
            if missing.is_hopeless(now, due) {
                missing.state = State::GivenUp;
                self.given_up += 1;
                continue;
            }
            if due <= now {
                if lost.len() < full {
                    lost.push(SequenceNumber(missing.number as u16));
                    due = missing.note_asked(&mut self.insistence, round_trip, now);
                    self.patience.shrink();
                } else {
                    due = now + NO_ROOM;
                }
            }
            self.due_at = Some(self.due_at.map_or(due, |earliest| earliest.min(due)));
        }
        self.ask_for_tail(now, round_trip, full, lost);
    }

    /// Gives up whatever is missing.
    pub(crate) fn forget(&mut self) {
        self.due_at = None;
        self.tail = None;
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

    /// There is a new highest number.
    fn advance(&mut self, way: Way, before: i64, after: i64, now: Instant) {
        self.highest = Some(after);
        let tail = self.tail.take().filter(|tail| tail.requests.is_some());
        if after > before + 1 {
            self.open_gap(before, after, tail, now);
        } else if let (Some(tail), Way::Own) = (tail, way) {
            let needed = now.saturating_duration_since(tail.since);
            let needed = needed.saturating_sub(TAIL_PATIENCE);
            self.tail_patience.grow(needed);
        }
    }

    /// All numbers between two that came one after the other are missing; the first of them was perhaps asked for
    /// already.
    fn open_gap(&mut self, before: i64, after: i64, tail: Option<Tail>, now: Instant) {
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
            state: match tail.and_then(|tail| tail.requests) {
                Some(requests) if number == before + 1 => State::Asked(requests),
                Some(_) | None => State::NotYet,
            },
        }));
        // Also for what was asked for already: the next look tells when that is due.
        self.note_due(now + self.patience());
    }

    /// How long to wait before the first request. Where repairs take long there is no time for the least of it.
    fn patience(&self) -> Duration {
        if self.insistence.lasts() && self.patience.0 <= MIN_PATIENCE {
            Duration::ZERO
        } else {
            self.patience.0
        }
    }

    fn note_due(&mut self, due: Instant) {
        self.due_at = Some(self.due_at.map_or(due, |earliest| earliest.min(due)));
    }

    /// Asks for what must follow the highest number, once.
    fn ask_for_tail(
        &mut self,
        now: Instant,
        round_trip: Duration,
        full: usize,
        lost: &mut Vec<SequenceNumber>,
    ) {
        let (Some(tail), Some(highest)) = (&mut self.tail, self.highest) else {
            return;
        };
        let due = tail.due_at(self.tail_patience);
        if due > now {
            self.note_due(due);
        } else if tail.requests.is_none() && lost.len() < full {
            lost.push(SequenceNumber((highest + 1) as u16));
            tail.requests = Some(Requests {
                times: 1,
                first: now,
                latest: now,
                twice: round_trip > 2 * SECOND_AFTER,
            });
            self.tail_patience.shrink();
        }
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
        if self.missing.is_empty() && self.tail.is_none() {
            self.due_at = None;
        }
        let mut late = Late {
            asked: !matches!(missing.state, State::NotYet),
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
        let overtaken = match missing.state {
            State::NotYet => true,
            State::Asked(Requests { times, latest, .. }) => {
                times == 1 && now.saturating_duration_since(latest) < round_trip / 2
            }
            State::GivenUp => false,
        };
        if overtaken {
            self.patience
                .grow(now.saturating_duration_since(missing.since));
        }
    }
}

impl Missing {
    /// When it is to be asked for; `None` when it is given up.
    fn due_at(&self, round_trip: Duration, patience: Duration) -> Option<Instant> {
        match self.state {
            State::NotYet => Some(self.since + patience),
            State::Asked(requests) => Some(requests.next_at(round_trip)),
            State::GivenUp => None,
        }
    }

    /// It is asked for now. Says when it is due next.
    fn note_asked(
        &mut self,
        insistence: &mut Insistence,
        round_trip: Duration,
        now: Instant,
    ) -> Instant {
        let requests = match self.state {
            State::Asked(before) if before.is_second_at(now, round_trip) => Requests {
                twice: false,
                ..before
            },
            State::Asked(Requests { times, first, .. }) => Requests {
                times: times.saturating_add(1),
                first,
                latest: now,
                twice: insistence.note(true),
            },
            State::NotYet | State::GivenUp => Requests {
                times: 1,
                first: now,
                latest: now,
                twice: insistence.note(false),
            },
        };
        // An answer may be there sooner.
        let twice = requests.twice && round_trip > 2 * SECOND_AFTER;
        let requests = Requests { twice, ..requests };
        self.state = State::Asked(requests);
        requests.next_at(round_trip)
    }

    /// Whether another request would be of no use.
    fn is_hopeless(&self, now: Instant, due: Instant) -> bool {
        let times = match self.state {
            State::Asked(requests) if !requests.twice => requests.times,
            State::Asked(_) | State::NotYet | State::GivenUp => 0,
        };
        let exhausted = times >= MAX_REQUESTS && due <= now;
        exhausted || now.saturating_duration_since(self.since) > MAX_AGE
    }

    /// Which request was answered is clear after one (Karn's rule), and where the answer is there too soon to
    /// be one to the latest: then it is one to those before, on its way for longer than anybody thought.
    fn answered_after(&self, round_trip: Duration, now: Instant) -> Option<Duration> {
        let State::Asked(requests) = self.state else {
            return None;
        };
        let since = |at: Instant| now.saturating_duration_since(at);
        match requests.times {
            1 => Some(since(requests.first)),
            // One of them may have been lost: no more than this is sure.
            times if since(requests.latest) < round_trip / 2 => {
                Some(since(requests.first) / u32::from(times - 1).max(1))
            }
            _ => None,
        }
    }
}

impl Tail {
    fn due_at(&self, patience: Patience) -> Instant {
        self.since + TAIL_PATIENCE + patience.0
    }
}

impl Requests {
    /// Whether a request goes with the latest, and is no further one.
    fn is_second_at(&self, now: Instant, round_trip: Duration) -> bool {
        self.twice && now < self.latest + retry_after(round_trip)
    }

    fn next_at(&self, round_trip: Duration) -> Instant {
        let after = if self.twice {
            SECOND_AFTER
        } else {
            retry_after(round_trip)
        };
        self.latest + after
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
    let waits = |missing: &Missing| !matches!(missing.state, State::GivenUp);
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

/// Whoever paces sends the packets of one picture a few milliseconds after each other.
const TAIL_PATIENCE: Duration = Duration::from_millis(10);

/// On no path is it better to wait longer than to get a packet twice.
const MAX_PATIENCE: Duration = Duration::from_millis(100);

/// Between a request and the same once more, so that one burst does not take both. Whoever answers keeps a packet back that went
/// less than a round trip ago, as a rule, and so answers once.
const SECOND_AFTER: Duration = Duration::from_millis(10);

/// When to ask for what found no room.
const NO_ROOM: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
