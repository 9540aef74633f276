//! State per SSRC, bounded, with the stream of the packet before found without hashing.

use std::collections::HashMap;

use super::error::SrtpError;

/// A bounded map from SSRC to the state of its stream. Entries are never removed: forgetting a
/// receiver's window lets old packets in again, forgetting a sender's lets a nonce be used twice.
#[derive(Debug)]
pub(super) struct SsrcTable<T> {
    slots: HashMap<u32, Slot>,
    streams: Vec<T>,
    /// Packets come in runs of one stream (a video frame), so the last one found is tried first.
    last: Option<(u32, Slot)>,
    limit: usize,
}

/// Where the state of a known SSRC is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(usize);

impl<T> SsrcTable<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: HashMap::new(),
            streams: Vec::new(),
            last: None,
            limit,
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// The slot of an SSRC that has one.
    pub(super) fn find(&mut self, ssrc: u32) -> Option<Slot> {
        match self.last {
            Some((last, slot)) if last == ssrc => Some(slot),
            Some(_) | None => {
                let slot = *self.slots.get(&ssrc)?;
                self.last = Some((ssrc, slot));
                Some(slot)
            }
        }
    }

    pub(super) fn get(&self, slot: Slot) -> &T {
        &self.streams[slot.0]
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut T {
        &mut self.streams[slot.0]
    }

    /// Whether one more SSRC may be inserted.
    pub(super) fn check_room(&self) -> Result<(), SrtpError> {
        if self.streams.len() < self.limit {
            Ok(())
        } else {
            Err(SrtpError::TooManySsrcs { limit: self.limit })
        }
    }

    /// Makes the entry of an SSRC that has none.
    pub(super) fn insert(&mut self, ssrc: u32, stream: T) -> Result<(), SrtpError> {
        self.check_room()?;
        let slot = Slot(self.streams.len());
        self.streams.push(stream);
        self.slots.insert(ssrc, slot);
        self.last = Some((ssrc, slot));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_found_in_any_order() {
        let mut table = SsrcTable::new(3);
        for ssrc in [7, 8, 9] {
            assert_eq!(table.insert(ssrc, ssrc * 10), Ok(()));
        }
        for ssrc in [7, 7, 9, 8, 9, 7] {
            let slot = table.find(ssrc).expect("inserted above");
            assert_eq!(*table.get(slot), ssrc * 10);
        }
        assert!(table.find(10).is_none());
    }

    #[test]
    fn one_more_than_the_limit_is_refused_and_the_others_stay() {
        let mut table = SsrcTable::new(1);
        assert_eq!(table.insert(1, 'a'), Ok(()));
        let refused = SrtpError::TooManySsrcs { limit: 1 };
        assert_eq!(table.insert(2, 'b'), Err(refused));
        assert!(table.find(2).is_none());
        assert!(table.find(1).is_some());
    }
}
