//! Packets that were sent together, compared with those sent before them
//! (draft-ietf-rmcat-gcc-02 §5.2, §5.3).

/// How the distance of two groups changed on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GroupDelta {
    pub(super) sent_us: i64,
    pub(super) arrival_us: i64,
    /// When the later one was complete, by the receiver's clock.
    pub(super) at_us: i64,
}

/// Puts packets into groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    first_arrival: i64,
    last_arrival: i64,
}

impl Groups {
    /// A packet that arrived. Tells the difference when it is the first of another group.
    pub(super) fn add(&mut self, sent_us: i64, arrival_us: i64) -> Option<GroupDelta> {
        let begun = Group {
            first_sent: sent_us,
            last_sent: sent_us,
            first_arrival: arrival_us,
            last_arrival: arrival_us,
        };
        let Some(current) = &mut self.current else {
            self.current = Some(begun);
            return None;
        };
        // Overtaken on the way: it says more of the path's order than of its queue.
        if sent_us < current.first_sent {
            return None;
        }
        if current.takes(sent_us, arrival_us) {
            current.last_sent = current.last_sent.max(sent_us);
            current.last_arrival = current.last_arrival.max(arrival_us);
            return None;
        }
        let complete = *current;
        self.current = Some(begun);
        let previous = self.previous.replace(complete)?;
        let delta = GroupDelta {
            sent_us: complete.last_sent - previous.last_sent,
            arrival_us: complete.last_arrival - previous.last_arrival,
            at_us: complete.last_arrival,
        };
        // Overtaken as a whole, or the receiver's clock was set back.
        (delta.arrival_us >= 0).then_some(delta)
    }
}

impl Group {
    fn takes(&self, sent_us: i64, arrival_us: i64) -> bool {
        sent_us - self.first_sent <= GROUP_US || self.is_burst(sent_us, arrival_us)
    }

    /// It arrives at the heels of the others though it was sent later: all have waited for
    /// something else than a queue, a radio that was off or a scheduler.
    fn is_burst(&self, sent_us: i64, arrival_us: i64) -> bool {
        let sent = sent_us - self.last_sent;
        let arrived = arrival_us - self.last_arrival;
        arrived < sent
            && (0..=GROUP_US).contains(&arrived)
            && arrival_us - self.first_arrival < LONGEST_BURST_US
    }
}

/// Sent within (§5.2), and the distance of arrival within a burst.
const GROUP_US: i64 = 5_000;

const LONGEST_BURST_US: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn deltas(packets: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let mut groups = Groups::default();
        packets
            .iter()
            .filter_map(|(sent, arrival)| groups.add(sent * 1000, arrival * 1000))
            .map(|delta| (delta.sent_us / 1000, delta.arrival_us / 1000))
            .collect()
    }

    #[test]
    fn packets_within_five_milliseconds_are_one_group_measured_from_end_to_end() {
        let packets = [(0, 50), (5, 55), (20, 70), (24, 77), (40, 90), (60, 115)];
        assert_eq!(deltas(&packets), [(19, 22), (16, 13)]);
    }

    #[test]
    fn what_arrives_at_once_after_waiting_is_one_group() {
        let packets = [
            (0, 50),
            (20, 70),
            (40, 130),
            (60, 131),
            (80, 132),
            (100, 150),
        ];
        // The third to fifth waited for the same thing.
        assert_eq!(deltas(&packets), [(20, 20), (60, 62)]);
    }

    #[test]
    fn an_overtaken_packet_is_left_out_and_a_clock_set_back_is_no_delay() {
        assert_eq!(
            deltas(&[(0, 50), (20, 70), (10, 71), (40, 90), (60, 110)]),
            [(20, 20), (20, 20)]
        );
        let back = [
            (0, 1000),
            (20, 1020),
            (40, 20),
            (60, 40),
            (80, 60),
            (100, 80),
            (120, 100),
        ];
        assert_eq!(deltas(&back), [(20, 20); 4]);
    }
}
