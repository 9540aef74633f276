//! Answers to requests for lost packets (RFC 4585 §6.2.1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::machine::{Sender, SendingHalf};
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
        let counters = Arc::clone(&self.counters);
        let asked = request.lost.len();
        let senders = &self.senders;
        let named = |it: &Sender| it.stream.ssrc() == request.ssrc;
        let Some(index) = senders.iter().position(named) else {
            counters.retransmission_unknown.add(asked);
            return;
        };
        let Some((senders, mut way)) = self.way_out(outbox) else {
            counters.not_connected.add(asked);
            return;
        };
        let sender = &mut senders[index];
        for sequence in &request.lost {
            match sender.stream.repeat(*sequence, request.round_trip, now) {
                Ok(repeat) => {
                    if let Some(repeat) = way.admits_repeat(request.ssrc, repeat, now) {
                        sender.repeat(&repeat, now, &mut way);
                    }
                }
                Err(refused) => {
                    match refused {
                        Refused::NeverSent => &counters.retransmission_unknown,
                        Refused::NotKept => &counters.retransmission_missed,
                        Refused::TooMuch => &counters.retransmission_suppressed,
                    }
                    .add(1);
                }
            }
        }
    }
}
