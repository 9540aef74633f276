//! Lost packets: which to ask for, and which the remote side asks for.

use std::time::{Duration, Instant};

use super::inbound::Inbound;
use super::machine::{Effect, RtpTransportMachine, RtpTransportTimer, send_rtcp};
use super::stats::MediaStats;
use crate::codec::RtcpFeedback;
use crate::egress::{RetransmissionRequest, SendingCommand};
use crate::rtp::{
    Allowance, Arrived, MissingPackets, Nack, RoundTrip, RtcpPacket, RtpDemuxer, RtpPacket,
    RtpSource, SequenceNumber, Ssrc,
};
use crate::track::{MediaKind, TrackId};

/// What the streams of one peer have in common.
#[derive(Debug)]
pub(super) struct Repairs {
    round_trip: RoundTrip,
    /// How many numbers we may ask for.
    asking: Allowance,
    /// How many numbers the remote side may ask for.
    answering: Allowance,
    /// What it has asked for in this drain; bounded by its allowance.
    requests: Vec<RetransmissionRequest>,
    /// Streams of which too much is missing, each once.
    jumped: Vec<Ssrc>,
    /// When to look again.
    due_at: Option<Instant>,
    armed_for: Option<Instant>,
}

/// Numbers of one stream that are to be asked for.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) track: TrackId,
    pub(super) ssrc: Ssrc,
    pub(super) numbers: Vec<SequenceNumber>,
}

impl Default for Repairs {
    fn default() -> Self {
        Self {
            round_trip: RoundTrip::default(),
            asking: Allowance::new(NUMBERS_PER_SECOND, NUMBERS_AT_ONCE),
            answering: Allowance::new(NUMBERS_PER_SECOND, NUMBERS_AT_ONCE),
            requests: Vec::new(),
            jumped: Vec::new(),
            due_at: None,
            armed_for: None,
        }
    }
}

impl Repairs {
    /// A packet of a stream itself has come. Says whether it was asked for.
    pub(super) fn handle_media(
        &mut self,
        missing: &mut MissingPackets,
        source: &RtpSource,
        packet: &RtpPacket,
        received_at: Instant,
        stats: &mut MediaStats,
    ) -> bool {
        if !asks_for_missing(source) {
            return false;
        }
        let (ssrc, number) = (packet.ssrc(), packet.sequence_number());
        let mut repaired = false;
        match missing.arrive(number, self.round_trip.current(), received_at) {
            Arrived::Late(late) => {
                repaired = late.asked;
                stats.repaired += u64::from(repaired);
            }
            Arrived::Jumped => {
                stats.jumps += 1;
                if !self.jumped.contains(&ssrc) {
                    self.jumped.push(ssrc);
                }
            }
            Arrived::Ahead | Arrived::Again => {}
        }
        if source.codec.kind == MediaKind::Video && !packet.marker() {
            missing.expect_next(number, received_at);
        }
        self.note_due(missing.due_at());
        repaired
    }

    /// The packet with this number has come as a retransmission. Says whether anybody waits for it.
    pub(super) fn handle_repair(
        &mut self,
        missing: Option<&mut MissingPackets>,
        source: &RtpSource,
        number: SequenceNumber,
        received_at: Instant,
        stats: &mut MediaStats,
    ) -> bool {
        let Some(missing) = missing.filter(|_| asks_for_missing(source)) else {
            stats.repaired += 1;
            return true;
        };
        match missing.repair(number, self.round_trip.current(), received_at) {
            Arrived::Late(late) => {
                if let Some(sample) = late.round_trip {
                    self.round_trip.handle_repair(sample);
                }
                stats.repaired += 1;
                true
            }
            Arrived::Ahead => {
                stats.repaired += 1;
                self.note_due(missing.due_at());
                true
            }
            Arrived::Again | Arrived::Jumped => {
                stats.repeated += 1;
                false
            }
        }
    }

    /// Takes what the packets of one datagram say of loss and of the time on the way.
    pub(super) fn handle_rtcp(
        &mut self,
        packets: &[RtcpPacket],
        received_at: Instant,
        stats: &mut MediaStats,
    ) {
        for packet in packets {
            for block in packet.reception_reports() {
                self.round_trip.handle_block(block, received_at);
            }
            for (_, answer) in packet.last_receiver_reports() {
                let (named, delay) = (
                    answer.last_receiver_report,
                    answer.delay_since_last_receiver_report,
                );
                self.round_trip.handle_answer(named, delay, received_at);
            }
            if let RtcpPacket::Nack(nack) = packet {
                self.handle_nack(nack, received_at, stats);
            }
        }
    }

    fn handle_nack(&mut self, nack: &Nack, received_at: Instant, stats: &mut MediaStats) {
        stats.nacks_received += 1;
        let taken = self.answering.take(nack.lost.len(), received_at);
        stats.retransmission_suppressed += (nack.lost.len() - taken) as u64;
        if taken > 0 {
            self.requests.push(RetransmissionRequest {
                ssrc: nack.media_ssrc,
                lost: nack.lost[..taken].to_vec(),
                round_trip: self.round_trip.current(),
            });
        }
    }

    /// How long a round trip takes, once it was measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.measured()
    }

    /// A report with this time goes out.
    pub(super) fn handle_report_sent(&mut self, ntp: u64, now: Instant) {
        self.round_trip.handle_report_sent(ntp, now);
    }

    /// What the remote side has asked for since this was asked.
    pub(super) fn take_requests(&mut self) -> Vec<RetransmissionRequest> {
        std::mem::take(&mut self.requests)
    }

    /// The streams of which too much is missing to be asked for.
    pub(super) fn take_jumped(&mut self) -> Vec<Ssrc> {
        std::mem::take(&mut self.jumped)
    }

    /// What is to be asked for now, each to be sent in a packet of its own. The numbers of a stream are so near to
    /// each other that they fit one.
    pub(super) fn take_lost(
        &mut self,
        demuxer: &mut RtpDemuxer,
        now: Instant,
        stats: &mut MediaStats,
    ) -> Vec<Lost> {
        if self.due_at.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.due_at = None;
        let round_trip = self.round_trip.current();
        let mut all = Vec::new();
        let mut missing = 0;
        for (ssrc, stream) in demuxer.streams_mut() {
            missing += stream.missing.len();
            if missing > MAX_MISSING {
                stream.missing.forget();
                self.jumped.push(ssrc);
            }
            let room = self.asking.left(now);
            let mut numbers = Vec::new();
            stream.missing.ask(now, round_trip, room, &mut numbers);
            self.asking.spend(numbers.len());
            stats.unrepaired += stream.missing.take_given_up();
            self.due_at = earlier(self.due_at, stream.missing.due_at());
            if !numbers.is_empty() {
                all.push((ssrc, numbers));
            }
        }
        stats.nacks_sent += all.len() as u64;
        let lost = all.into_iter().filter_map(|(ssrc, numbers)| {
            let track = demuxer.track_of(ssrc)?;
            Some(Lost {
                track,
                ssrc,
                numbers,
            })
        });
        lost.collect()
    }

    /// When to look again; `None` while nothing waits, or when that was said already.
    pub(super) fn arm(&mut self) -> Option<Instant> {
        let sooner = match (self.due_at, self.armed_for) {
            (Some(due), Some(armed)) => due < armed,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        };
        if !sooner {
            return None;
        }
        self.armed_for = self.due_at;
        self.due_at
    }

    /// The time that was said has come.
    pub(super) fn disarm(&mut self) {
        self.armed_for = None;
    }

    fn note_due(&mut self, due: Option<Instant>) {
        self.due_at = earlier(self.due_at, due);
    }
}

impl RtpTransportMachine {
    /// Asks for what was lost on the way to us, and answers who lost what was on its way from us.
    pub(super) fn repair(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Inbound {
            repairs, demuxer, ..
        } = &mut self.inbound;
        let requests = repairs.take_requests();
        effects.extend(
            requests
                .into_iter()
                .map(|request| Effect::Send(SendingCommand::Retransmit(request))),
        );
        for Lost {
            track,
            ssrc,
            numbers,
        } in repairs.take_lost(demuxer, now, &mut self.stats)
        {
            let speaker = self.speakers.about(track);
            let nack = RtcpPacket::Nack(Nack {
                sender_ssrc: speaker.ssrc,
                media_ssrc: ssrc,
                lost: numbers,
            });
            effects.push(send_rtcp(speaker.feedback([nack], self.reduced_size)));
        }
        effects.extend(
            repairs
                .arm()
                .map(|at| Effect::Arm(RtpTransportTimer::Repair, at)),
        );
        for ssrc in repairs.take_jumped() {
            self.ask_for_keyframe(ssrc, now, effects);
        }
    }

    /// Asks for a keyframe of the stream with this SSRC.
    fn ask_for_keyframe(&mut self, ssrc: Ssrc, now: Instant, effects: &mut Vec<Effect>) {
        let demuxer = &mut self.inbound.demuxer;
        if let Some(track) = demuxer.track_of(ssrc) {
            let rid = demuxer.stream_mut(ssrc).and_then(|it| it.rid.clone());
            self.request_keyframe(track, rid, now, effects);
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether both sides have agreed on requests for lost packets of this codec.
fn asks_for_missing(source: &RtpSource) -> bool {
    source.codec.feedback.contains(&RtcpFeedback::Nack)
}

/// Twice what a fifth of 40 Mbit/s comes to, each way.
const NUMBERS_PER_SECOND: u32 = 2048;

/// A burst of loss on all streams of a call.
const NUMBERS_AT_ONCE: u32 = 1024;

/// So many numbers of all streams of a peer are missing at most.
const MAX_MISSING: usize = 4096;
