//! What a target that plays a game reads its moves from.

/// Bytes of the fuzzer, from which a game takes its choices. Where they end, all choices are 0 and all texts empty, so that every
/// input is a whole game.
pub(crate) struct Input<'a> {
    left: &'a [u8],
    moves: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self {
            left: data,
            moves: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether another move of the game can be read; no game has more than `most`.
    pub(crate) fn has_move(&mut self, most: usize) -> bool {
        self.moves += 1;
        self.moves <= most && !self.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Bytes behind their length of one byte, or as many as are left.
    pub(crate) fn block(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.bytes(length)
    }

    /// The same with a length of two bytes.
    pub(crate) fn long_block(&mut self) -> &'a [u8] {
        let length = usize::from(self.number());
        self.bytes(length)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    fn bytes(&mut self, at_most: usize) -> &'a [u8] {
        let (taken, rest) = self.left.split_at(at_most.min(self.left.len()));
        self.left = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let taken = self.bytes(N);
        let mut array = [0; N];
        array[..taken.len()].copy_from_slice(taken);
        array
    }
}
