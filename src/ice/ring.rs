//! A few things by transaction, the newest of them.

use std::collections::VecDeque;

use crate::udp::TransactionId;

/// Keeps the latest `capacity` values; the oldest goes.
#[derive(Debug)]
pub(super) struct Ring<T> {
    capacity: usize,
    items: VecDeque<(TransactionId, T)>,
}

impl<T: Copy> Ring<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            items: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, id: TransactionId, value: T) {
        self.take(id);
        if self.items.len() == self.capacity {
            self.items.pop_front();
        }
        self.items.push_back((id, value));
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<T> {
        let found = self.items.iter().rev().find(|(known, _)| *known == id);
        found.map(|(_, value)| *value)
    }

    pub(super) fn take(&mut self, id: TransactionId) -> Option<T> {
        let at = self.items.iter().rposition(|(known, _)| *known == id)?;
        self.items.remove(at).map(|(_, value)| value)
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_a_value_is_taken_once() {
        let mut ring = Ring::new(2);
        for number in 0..3 {
            ring.push(TransactionId([number; 12]), number);
        }
        assert_eq!(ring.get(TransactionId([0; 12])), None);
        assert_eq!(ring.take(TransactionId([1; 12])), Some(1));
        assert_eq!(ring.take(TransactionId([1; 12])), None);
        ring.push(TransactionId([2; 12]), 9);
        assert_eq!(ring.get(TransactionId([2; 12])), Some(9));
        assert_eq!(ring.items.len(), 1);
    }
}
