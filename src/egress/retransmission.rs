//! Answers to requests for lost packets (RFC 4585 §6.2.1).

use std::time::{Duration, Instant};

use super::machine::SendingHalf;
use super::outbox::Outbox;
use crate::rtp::{Refused, SequenceNumber, Ssrc};

/// What the remote side asks for. Its length is the asker's business: it is to be bounded before.
#[derive(Debug)]
pub(crate) struct RetransmissionRequest {
    pub(crate) ssrc: Ssrc,
    pub(crate) lost: Vec<SequenceNumber>,
    /// Within it nothing is sent twice.
    pub(crate) round_trip: Duration,
}

impl SendingHalf {
    /// Sends packets again that are kept, as far as limits allow; counts the others.
    pub(crate) fn retransmit(
        &mut self,
        request: &RetransmissionRequest,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let counters = &*self.counters;
        let named = |stream: &Ssrc| *stream == request.ssrc;
        let mut senders = self.senders.iter_mut().map(|sender| &mut sender.stream);
        let Some(stream) = senders.find(|stream| named(&stream.ssrc())) else {
            counters.retransmission_unknown.add(request.lost.len());
            return;
        };
        let Some(protector) = &mut self.protector else {
            counters.not_connected.add(request.lost.len());
            return;
        };
        for sequence in &request.lost {
            let repeat = match stream.repeat(*sequence, request.round_trip, now) {
                Ok(repeat) => repeat,
                Err(refused) => {
                    match refused {
                        Refused::NeverSent => &counters.retransmission_unknown,
                        Refused::NotKept => &counters.retransmission_missed,
                        Refused::TooMuch => &counters.retransmission_suppressed,
                    }
                    .add(1);
                    continue;
                }
            };
            let mut whole = 0;
            let sealed = outbox.append(|slab, start| {
                stream.write_repeat(&repeat, slab);
                whole = slab.len() - start;
                if repeat.is_plain() {
                    protector.protect_rtp_again(slab, start)
                } else {
                    protector.protect_rtp(slab, start)
                }
            });
            match sealed {
                Ok(()) => {
                    counters.retransmitted.add(1);
                    stream.count_repeat(&repeat, whole, now);
                }
                Err(_) => counters.protect_failed.add(1),
            }
        }
    }
}
