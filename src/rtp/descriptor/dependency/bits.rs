//! Bits, the highest of a byte first.

use super::DependencyError;

/// Reads bits of a header extension; never beyond its end.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Of the next bit.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A number of so many bits, 32 at most (AV1 RTP §A.8.1, `f(n)`).
    pub(super) fn number(&mut self, bits: u32) -> Result<u32, DependencyError> {
        let mut number = 0;
        for _ in 0..bits {
            number = number << 1 | u32::from(self.flag()?);
        }
        Ok(number)
    }

    pub(super) fn flag(&mut self) -> Result<bool, DependencyError> {
        let byte = self.bytes.get(self.at / 8);
        let byte = byte.ok_or(DependencyError::Truncated)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// A number below `values`, in as few bits as tell it (`ns(n)`); `values` is not 0.
    pub(super) fn below(&mut self, values: u32) -> Result<u32, DependencyError> {
        let width = u32::BITS - values.leading_zeros();
        let short = (1 << width) - values;
        let number = self.number(width - 1)?;
        if number < short {
            return Ok(number);
        }
        Ok((number << 1) - short + self.number(1)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_from_the_highest_bit_on() {
        let mut bits = Bits::new(&[0b1011_0001, 0b1000_0000]);
        assert_eq!(bits.flag(), Ok(true));
        assert_eq!(bits.number(3), Ok(0b011));
        assert_eq!(bits.number(0), Ok(0));
        assert_eq!(bits.number(6), Ok(0b00_0110));
        assert_eq!(bits.number(7), Err(DependencyError::Truncated));
    }

    /// The table of AV1's own specification §4.10.7: five values in two or three bits.
    #[test]
    fn a_number_below_five_takes_two_or_three_bits() {
        for (byte, value, taken) in [
            (0b0000_0000, 0, 2),
            (0b0100_0000, 1, 2),
            (0b1000_0000, 2, 2),
            (0b1100_0000, 3, 3),
            (0b1110_0000, 4, 3),
        ] {
            let bytes = [byte];
            let mut bits = Bits::new(&bytes);
            assert_eq!((bits.below(5), bits.at), (Ok(value), taken));
        }
    }

    proptest! {
        #[test]
        fn a_number_below_another_is(bytes: [u8; 2], values in 1_u32..=33) {
            prop_assert!(Bits::new(&bytes).below(values).unwrap() < values);
        }
    }
}
