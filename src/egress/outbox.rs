//! Packets on their way out: one reused slab, sent in runs of equal size.

/// Protected packets, back to back, waiting for the socket.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    slab: Vec<u8>,
    runs: Vec<Run>,
}

/// Neighbours that one system call can send: all of `segment` bytes, but for a shorter last one.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    end: usize,
    segment: usize,
    packets: usize,
}

impl Outbox {
    /// Lets `write` append one packet to the slab. What a failing `write` appended is taken off.
    pub(crate) fn append<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.slab.len();
        let written = write(&mut self.slab, start);
        match written {
            Ok(()) => self.extend_runs(start),
            Err(_) => self.slab.truncate(start),
        }
        written
    }

    fn extend_runs(&mut self, start: usize) {
        let end = self.slab.len();
        let length = end - start;
        if let Some(run) = self.runs.last_mut()
            && run.is_open()
            && length <= run.segment
            && run.packets < MAX_SEGMENTS
            && end - run.start <= MAX_RUN_BYTES
        {
            run.end = end;
            run.packets += 1;
            return;
        }
        self.runs.push(Run {
            start,
            end,
            segment: length,
            packets: 1,
        });
    }

    /// Whether it is time to send before more is written, so that the slab stays small.
    pub(crate) fn is_large(&self) -> bool {
        self.slab.len() >= LARGE_BYTES
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What to send: bytes, size of the segments where there are several, and how many.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&[u8], Option<usize>, usize)> {
        self.runs.iter().map(|run| {
            let segment = (run.packets > 1).then_some(run.segment);
            (&self.slab[run.start..run.end], segment, run.packets)
        })
    }

    /// Forgets all packets and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.slab.clear();
        self.runs.clear();
    }
}

impl Run {
    /// A shorter packet ends a run.
    fn is_open(&self) -> bool {
        self.end - self.start == self.segment * self.packets
    }
}

/// What Linux segments in one call (UDP_MAX_SEGMENTS of older kernels).
const MAX_SEGMENTS: usize = 64;

/// What one UDP datagram over IPv4 may carry, and thereby one call.
const MAX_RUN_BYTES: usize = 65_507;

/// Four full calls.
const LARGE_BYTES: usize = 4 * MAX_RUN_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    fn append(outbox: &mut Outbox, length: usize) {
        let written: Result<(), ()> = outbox.append(|slab, start| {
            slab.resize(start + length, 0);
            Ok(())
        });
        assert_eq!(written, Ok(()));
    }

    fn runs(outbox: &Outbox) -> Vec<(usize, Option<usize>, usize)> {
        outbox
            .runs()
            .map(|(bytes, segment, packets)| (bytes.len(), segment, packets))
            .collect()
    }

    #[test]
    fn packets_of_equal_size_go_together_and_a_shorter_one_ends_the_run() {
        let mut outbox = Outbox::default();
        for length in [100, 100, 40, 40, 100, 120] {
            append(&mut outbox, length);
        }
        assert_eq!(
            runs(&outbox),
            [
                (240, Some(100), 3),
                (40, None, 1),
                (100, None, 1),
                (120, None, 1)
            ]
        );
    }

    #[test]
    fn a_run_is_bounded_in_packets_and_bytes() {
        let mut outbox = Outbox::default();
        for _ in 0..65 {
            append(&mut outbox, 10);
        }
        assert_eq!(runs(&outbox), [(640, Some(10), 64), (10, None, 1)]);
        outbox.clear();
        for _ in 0..55 {
            append(&mut outbox, 1200);
        }
        assert_eq!(
            runs(&outbox),
            [(54 * 1200, Some(1200), 54), (1200, None, 1)]
        );
    }

    #[test]
    fn a_packet_that_failed_leaves_nothing() {
        let mut outbox = Outbox::default();
        append(&mut outbox, 10);
        let failed = outbox.append(|slab, _| {
            slab.extend_from_slice(&[1, 2, 3]);
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        append(&mut outbox, 10);
        assert_eq!(runs(&outbox), [(20, Some(10), 2)]);
    }
}
