//! What one half does about congestion: hears how packets arrive, sends what had to wait, fills up probes.

use std::time::Instant;

use super::congestion::{ArrivalReport, Delayed, Waiting};
use super::machine::{Sender, SendingHalf};
use super::message::SendingEvent;
use super::outbox::Outbox;
use super::way_out::{Sealing, WayOut};
use crate::rtp::{Repeat, Ssrc};

impl Sender {
    /// Sends a packet once more.
    pub(super) fn repeat(&mut self, repeat: &Repeat, now: Instant, way: &mut WayOut<'_>) {
        let stream = &mut self.stream;
        let counts = stream.counts_for_transport() && !repeat.is_plain();
        let sent = way.append(counts, now, |number, slab| {
            stream.write_repeat(repeat, number, slab);
            if repeat.is_plain() {
                Sealing::Again
            } else {
                Sealing::First
            }
        });
        if let Some(whole) = sent {
            way.counters.retransmitted.add(1);
            stream.count_repeat(repeat, whole, now);
        }
    }

    /// Sends a packet of padding, of about so many bytes. Says how many; `None` where there is no such packet.
    fn pad(&mut self, bytes: usize, now: Instant, way: &mut WayOut<'_>) -> Option<usize> {
        let stream = &mut self.stream;
        if !stream.counts_for_transport() || !stream.can_pad() {
            return None;
        }
        let whole = way.append(true, now, |number, slab| {
            stream.write_padding(bytes, number, slab);
            Sealing::First
        })?;
        stream.count_padding(whole, now);
        way.counters.padding_sent.add(1);
        Some(whole)
    }
}

impl SendingHalf {
    /// The remote side has told how packets arrived.
    pub(super) fn handle_arrivals(
        &mut self,
        report: &ArrivalReport,
        now: Instant,
        events: &mut Vec<SendingEvent>,
    ) {
        if let Some(congestion) = &mut self.congestion {
            congestion.handle_report(report, now);
            congestion.poll(now, events);
            congestion.count(&self.counters);
        }
    }

    /// So much would be sent if the path took it.
    pub(super) fn set_desired_bitrate(&mut self, bits_per_second: u64) {
        self.desired_bps = bits_per_second;
        if let Some(congestion) = &mut self.congestion {
            congestion.set_desired(bits_per_second);
        }
    }

    /// When [`pace`](Self::pace) is to be called; to be asked again after packets were sent.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.congestion.as_ref()?.wakes_at()
    }

    /// Sends what has waited long enough. Says whether pictures were given up, so that a keyframe is wanted.
    pub(super) fn pace(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        events: &mut Vec<SendingEvent>,
    ) -> bool {
        let Some(congestion) = &mut self.congestion else {
            return false;
        };
        congestion.poll(now, events);
        let (mut released, mut dropped) = (Vec::new(), Vec::new());
        let padding = congestion.release(now, &mut released, &mut dropped);
        let mut given_up: Vec<_> = dropped.iter().filter_map(Waiting::picture).collect();
        if let Some((senders, mut way)) = self.way_out(outbox) {
            for Waiting { ssrc, packet } in released {
                // What was renegotiated away meanwhile goes with its stream.
                let Some(sender) = senders.iter_mut().find(|it| it.stream.ssrc() == ssrc) else {
                    continue;
                };
                match packet {
                    Delayed::Media(media) => sender.transmit(&media.placed(), now, &mut way),
                    Delayed::Repeat(repeat) => sender.repeat(&repeat, now, &mut way),
                }
            }
            given_up.append(&mut way.given_up);
        }
        if padding > 0 {
            self.pad(padding, now, outbox);
        }
        if let Some(congestion) = &mut self.congestion {
            congestion.count(&self.counters);
        }
        self.give_up(&given_up)
    }

    /// Sends so many bytes of padding, or what can be sent of it.
    fn pad(&mut self, bytes: usize, now: Instant, outbox: &mut Outbox) {
        let mut padded = 0;
        if let Some((senders, mut way)) = self.way_out(outbox) {
            for sender in senders {
                while padded < bytes
                    && let Some(whole) = sender.pad(bytes - padded, now, &mut way)
                {
                    padded += whole;
                }
            }
        }
        if let Some(congestion) = &mut self.congestion {
            congestion.note_padding(padded);
        }
    }

    /// The senders, and the way out for their packets; `None` without keys.
    pub(super) fn way_out<'a>(
        &'a mut self,
        outbox: &'a mut Outbox,
    ) -> Option<(&'a mut [Sender], WayOut<'a>)> {
        let way = WayOut {
            protector: self.protector.as_mut()?,
            congestion: self.congestion.as_deref_mut(),
            outbox,
            counters: &self.counters,
            given_up: Vec::new(),
        };
        Some((&mut self.senders, way))
    }

    /// Pictures of these streams were not sent. Those of routes go on with a keyframe: says whether there are any.
    pub(super) fn give_up(&mut self, streams: &[Ssrc]) -> bool {
        let mut wants_keyframe = false;
        for ssrc in streams {
            let mut senders = self.senders.iter_mut();
            let Some(sender) = senders.find(|it| it.stream.ssrc() == *ssrc) else {
                continue;
            };
            if sender.track.is_some_and(|track| self.feeds.contains(track)) {
                sender.wants_keyframe = true;
                wants_keyframe = true;
                if let Some(congestion) = &mut self.congestion {
                    congestion.discard(*ssrc);
                }
            }
        }
        wants_keyframe
    }
}
