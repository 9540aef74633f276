//! From the 16 bits on the wire to the packet index of 48 bits (RFC 3711 §3.3.1).

/// One past the highest packet index: 2³² rollovers of 2¹⁶ packets.
pub(super) const INDEX_END: u64 = 1 << 48;

/// The index of the packet with this sequence number, given the newest authenticated one;
/// `None` where it would lie beyond the last rollover.
///
/// The rule of RFC 3711 §3.3.1 and its appendix A, with one departure: before the first
/// rollover there is no earlier counter to guess (the text's `ROC - 1` would be 2³² − 1, with
/// which nobody has ever sealed a packet), so that a number more than 2¹⁵ ahead counts as
/// ahead. That is how a jump of a sender in its first cycle is read by the implementations in
/// use.
pub(super) const fn guess_index(newest: u64, sequence_number: u16) -> Option<u64> {
    let last = newest & 0xffff;
    let sequence_number = sequence_number as u64;
    let cycle = newest - last;
    let cycle = if last < HALF {
        if sequence_number > last + HALF && cycle > 0 {
            cycle - CYCLE
        } else {
            cycle
        }
    } else if last - HALF > sequence_number {
        cycle + CYCLE
    } else {
        cycle
    };
    let index = cycle + sequence_number;
    if index < INDEX_END { Some(index) } else { None }
}

const CYCLE: u64 = 1 << 16;
const HALF: u64 = 1 << 15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_cycle_has_nothing_before_it() {
        assert_eq!(guess_index(0, 0), Some(0));
        assert_eq!(guess_index(10, 9), Some(9));
        // 2¹⁵ and more ahead is still ahead.
        assert_eq!(guess_index(10, 10 + 0x8000), Some(10 + 0x8000));
        assert_eq!(guess_index(10, 0xffff), Some(0xffff));
        assert_eq!(guess_index(0xfff0, 5), Some(0x1_0005));
        assert_eq!(guess_index(0x8000, 0), Some(0));
        assert_eq!(guess_index(0x8001, 0), Some(0x1_0000));
    }

    #[test]
    fn a_late_packet_belongs_to_the_cycle_before() {
        assert_eq!(guess_index(0x1_0002, 0xfffe), Some(0xfffe));
        assert_eq!(guess_index(0x5_0000, 0x8001), Some(0x4_8001));
        assert_eq!(guess_index(0x5_0000, 0x8000), Some(0x5_8000));
    }

    #[test]
    fn nothing_follows_the_last_rollover() {
        assert_eq!(guess_index(INDEX_END - 1, 0xfffe), Some(INDEX_END - 2));
        assert_eq!(guess_index(INDEX_END - 1, 0), None);
        assert_eq!(guess_index(INDEX_END - 1, 0x7ffe), None);
        assert_eq!(guess_index(INDEX_END - 1, 0x7fff), Some(INDEX_END - 0x8001));
    }

    /// RFC 3711 appendix A, word by word, on signed numbers wide enough not to wrap.
    fn appendix_a(newest: u64, sequence_number: u16) -> i64 {
        let (roc, s_l) = ((newest >> 16) as i64, (newest & 0xffff) as i64);
        let seq = i64::from(sequence_number);
        let v = if s_l < 32_768 {
            if seq - s_l > 32_768 { roc - 1 } else { roc }
        } else if s_l - 32_768 > seq {
            roc + 1
        } else {
            roc
        };
        v * 65_536 + seq
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_guess_is_that_of_the_rfc(newest in 0_u64..INDEX_END, sequence_number: u16) {
            let expected = appendix_a(newest, sequence_number);
            let guess = guess_index(newest, sequence_number);
            if expected < 0 {
                prop_assert_eq!(guess, Some(u64::from(sequence_number)));
            } else if expected >= INDEX_END as i64 {
                prop_assert_eq!(guess, None);
            } else {
                prop_assert_eq!(guess, Some(expected as u64));
            }
        }

        #[test]
        fn no_index_with_this_number_lies_nearer(newest in CYCLE..INDEX_END - CYCLE, number: u16) {
            let guess = guess_index(newest, number).expect("far from the end");
            prop_assert_eq!(guess & 0xffff, u64::from(number));
            prop_assert!(guess.abs_diff(newest) <= HALF);
        }

        #[test]
        fn any_disorder_below_half_a_cycle_is_followed(
            start in 0_u64..HALF,
            steps in prop::collection::vec(-500_i64..32_000, 1..200),
        ) {
            let mut newest = start;
            for step in steps {
                // What the sender sealed; nothing before its first packet.
                let sealed = newest.saturating_add_signed(step).max(start);
                prop_assert_eq!(guess_index(newest, sealed as u16), Some(sealed));
                newest = newest.max(sealed);
            }
        }
    }
}
