//! What was sent, until feedback tells what became of it.

/// The latest packets by their transport-wide numbers, the latest [`MOST`] of the last
/// [`LONGEST_US`] at most.
///
/// Adding is a plain write of eight bytes. The room begins small and doubles where the product of
/// bandwidth and delay asks for it, a few times in a life.
#[derive(Debug)]
pub(super) struct SentHistory {
    /// A power of two; a packet stands at its unwrapped number modulo that.
    entries: Vec<Entry>,
    /// Unwrapped numbers from this one...
    first: u64,
    /// ...to before this one are there.
    next: u64,
    /// When the latest was sent, or the time was told last.
    latest_us: i64,
}

/// A packet that feedback speaks of for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at_us: i64,
    pub(super) bytes: u32,
    /// Zero without one.
    pub(super) cluster: u16,
    /// It was reported as missing before.
    pub(super) was_missing: bool,
}

/// Why feedback on a packet says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoNews {
    /// Never sent, or so long ago that it is forgotten.
    Unknown,
    /// Reported as received before.
    Repeated,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The lower half of microseconds; the upper is known, as all are young.
    sent_us: u32,
    bytes: u16,
    /// Below, and the probe cluster above.
    tag: u16,
}

impl SentHistory {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![Entry::HOLE; LEAST],
            // Above zero, so that numbers before the first one can be spoken of.
            first: 1 << 16,
            next: 1 << 16,
            latest_us: 0,
        }
    }

    /// A packet leaves. Numbers are expected one after another; left out ones are taken as never sent, and
    /// one that lies behind or far ahead begins anew.
    pub(super) fn add(&mut self, number: u16, bytes: usize, cluster: u16, now_us: i64) {
        let now_us = self.note_time(now_us);
        let ahead = number.wrapping_sub(self.next as u16);
        if ahead != 0 {
            self.leave_out(ahead);
        }
        if self.next - self.first >= self.entries.len() as u64 {
            self.make_room();
        }
        let place = self.place(self.next);
        self.entries[place] = Entry {
            sent_us: now_us as u32,
            bytes: u16::try_from(bytes).unwrap_or(u16::MAX),
            tag: cluster << TAG_BITS | OUTSTANDING,
        };
        self.next += 1;
    }

    /// Feedback says that it was received.
    pub(super) fn receive(&mut self, number: u16, now_us: i64) -> Result<Sent, NoNews> {
        self.note_time(now_us);
        let place = self.find(number).ok_or(NoNews::Unknown)?;
        let entry = self.entries[place];
        let state = entry.tag & STATE;
        match state {
            HOLE => return Err(NoNews::Unknown),
            RECEIVED => return Err(NoNews::Repeated),
            _ => {}
        }
        self.entries[place].tag |= RECEIVED;
        Ok(Sent {
            at_us: self.sent_us(entry),
            bytes: u32::from(entry.bytes),
            cluster: entry.tag >> TAG_BITS,
            was_missing: state == MISSING,
        })
    }

    /// Feedback says that these have not come. Tells the size of each that was sent and is missed for the
    /// first time, and how many were never sent.
    pub(super) fn miss(&mut self, first: u16, count: u16, mut missed: impl FnMut(Sent)) -> u16 {
        let back = u64::from((self.next as u16).wrapping_sub(first));
        let back = if back == 0 { 1 << 16 } else { back };
        let begin = self.next - back;
        let end = (begin + u64::from(count)).min(self.next);
        let known = begin.max(self.first)..end;
        let mut unknown = u64::from(count) - known.end.saturating_sub(known.start);
        for number in known {
            let place = self.place(number);
            let entry = self.entries[place];
            unknown += u64::from(entry.tag & STATE == HOLE);
            if entry.tag & STATE == OUTSTANDING {
                self.entries[place].tag ^= OUTSTANDING ^ MISSING;
                missed(Sent {
                    at_us: self.sent_us(entry),
                    bytes: u32::from(entry.bytes),
                    cluster: entry.tag >> TAG_BITS,
                    was_missing: true,
                });
            }
        }
        unknown as u16
    }

    fn place(&self, number: u64) -> usize {
        number as usize & (self.entries.len() - 1)
    }

    fn find(&self, number: u16) -> Option<usize> {
        let back = u64::from((self.next as u16).wrapping_sub(number));
        let held = self.next - self.first;
        (back != 0 && back <= held).then(|| self.place(self.next - back))
    }

    fn sent_us(&self, entry: Entry) -> i64 {
        let age = (self.latest_us as u32).wrapping_sub(entry.sent_us);
        self.latest_us - i64::from(age)
    }

    /// Forgets what is too old. Time never goes back here.
    fn note_time(&mut self, now_us: i64) -> i64 {
        let now_us = now_us.max(self.latest_us);
        if now_us - self.latest_us > LONGEST_US {
            self.first = self.next;
        }
        self.latest_us = now_us;
        while self.first < self.next
            && now_us - self.sent_us(self.entries[self.place(self.first)]) > LONGEST_US
        {
            self.first += 1;
        }
        now_us
    }

    fn leave_out(&mut self, ahead: u16) {
        if ahead > FARTHEST || self.first == self.next {
            self.next += u64::from(ahead);
            self.first = self.next;
            return;
        }
        let hole = Entry {
            sent_us: self.latest_us as u32,
            ..Entry::HOLE
        };
        for _ in 0..ahead {
            if self.next - self.first >= self.entries.len() as u64 {
                self.make_room();
            }
            let place = self.place(self.next);
            self.entries[place] = hole;
            self.next += 1;
        }
    }

    /// Lets the oldest go as far as feedback has spoken of them; doubles where it has not.
    fn make_room(&mut self) {
        let before = self.first;
        while self.first < self.next
            && self.entries[self.place(self.first)].tag & STATE != OUTSTANDING
        {
            self.first += 1;
        }
        if self.first > before {
            return;
        }
        if self.entries.len() >= MOST {
            self.first += 1;
            return;
        }
        let mut larger = vec![Entry::HOLE; self.entries.len() * 2];
        let mask = larger.len() - 1;
        for number in self.first..self.next {
            larger[number as usize & mask] = self.entries[self.place(number)];
        }
        self.entries = larger;
    }
}

impl Entry {
    const HOLE: Self = Self {
        sent_us: 0,
        bytes: 0,
        tag: HOLE,
    };
}

const TAG_BITS: u16 = 2;
const STATE: u16 = 0b11;
const HOLE: u16 = 0b00;
const OUTSTANDING: u16 = 0b01;
const MISSING: u16 = 0b10;
const RECEIVED: u16 = 0b11;

const LEAST: usize = 256;

/// 64 KiB. Two seconds of 40 Mbit/s.
const MOST: usize = 8192;

/// Feedback on what is older comes from another time. Far below the 71 minutes of the shortened time.
const LONGEST_US: i64 = 10_000_000;

/// Numbers that may be left out at once.
const FARTHEST: u16 = 1024;

#[cfg(test)]
#[path = "tests/history.rs"]
mod tests;
