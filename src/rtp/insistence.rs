//! Whether what repairs had better go twice.

/// Where a repair had to be tried again, requests or answers get lost as the packets do: then each goes twice for a while. On
/// a path that loses a tenth, a repair of one request and one answer fails one time in five, and each failure costs a
/// round trip; of two each, one time in fifty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Insistence {
    /// So many more go twice.
    left: u8,
}

impl Insistence {
    /// Something is asked for or answered, perhaps not for the first time. Says whether it should go twice.
    pub(crate) fn note(&mut self, again: bool) -> bool {
        self.left = if again {
            LONG
        } else {
            self.left.saturating_sub(1)
        };
        self.lasts()
    }

    /// Whether repairs should go twice now.
    pub(crate) fn lasts(self) -> bool {
        self.left > 0
    }
}

/// On a path that loses a hundredth, half of the repairs go twice; on one that loses a tenth, nearly all do.
const LONG: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_failed_makes_those_after_it_go_twice() {
        let mut insistence = Insistence::default();
        assert!(!insistence.note(false));
        assert!(insistence.note(true));
        for _ in 1..LONG {
            assert!(insistence.note(false));
        }
        assert!(!insistence.note(false));
    }
}
