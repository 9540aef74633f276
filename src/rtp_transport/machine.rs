//! The rules of the media path, without task, socket or clock.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::delivery::Delivery;
use super::feedback::FeedbackInbox;
use super::inbound::Inbound;
use super::message::{EncodedRtcp, Outgoing};
use super::outbox::Outbox;
use super::reports::{MAX_BLOCKS, Report, RtcpWriter, Speaker};
use super::stats::MediaStats;
use crate::jsep::MediaPlan;
use crate::lane::LaneDrops;
use crate::peer_connection::Event;
use crate::rtp::{
    CreditLimit, Load, Mid, PictureLossIndication, ReceptionReport, Rid, RtcpPacket,
    RtpStreamSender, Ssrc,
};
use crate::srtp::{Protector, SrtpError, SrtpKeys, Unprotector};
use crate::track::TrackId;
use crate::udp::Datagrams;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RtpTransportTimer {
    /// Reports are due.
    Report,
    /// A second has passed since drops were announced.
    DropNotice,
    /// Feedback on arrival times is due.
    ArrivalFeedback,
}

/// What the shell must do, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    Arm(RtpTransportTimer, Instant),
    Tell(Event),
}

/// What the machine is made with.
#[derive(Debug)]
pub(super) struct MachineArguments {
    /// Bounds the media in the owner's mailbox.
    pub(super) credit: CreditLimit,
    /// Bounds the media that waits for the mailbox.
    pub(super) waiting: Load,
    /// Where the randomness of SSRC and report times comes from.
    pub(super) seed: u64,
}

#[derive(Debug)]
pub(super) struct RtpTransportMachine {
    inbound: Inbound,
    delivery: Delivery,
    feedback: FeedbackInbox,
    protector: Option<Protector>,
    senders: Vec<Sender>,
    /// Indices into `senders`.
    by_track: HashMap<TrackId, Vec<usize>>,
    by_ssrc: HashMap<Ssrc, usize>,
    /// Whose SSRC asks for keyframes of a remote track: the sender of the same m-line.
    askers: HashMap<TrackId, usize>,
    /// Speaks when there is no sender, under a name that lasts one session (RFC 7022 §4.2).
    receiver: Speaker,
    /// Every m-line takes RTCP of reduced size (RFC 5506).
    reduced_size: bool,
    reports_armed: bool,
    /// No report has been sent yet.
    reports_begin: bool,
    /// Packets came since the last report.
    heard: bool,
    unannounced: LaneDrops,
    notice_armed: bool,
    random: StdRng,
    stats: MediaStats,
}

/// The sending half of an m-line.
#[derive(Debug)]
struct Sender {
    mid: Mid,
    track: Option<TrackId>,
    stream: RtpStreamSender,
    /// Packets sent at the last report and at the one before it.
    reported: [u32; 2],
}

impl Sender {
    fn speaker(&self) -> Speaker {
        Speaker {
            ssrc: self.stream.ssrc(),
            cname: Arc::clone(self.stream.cname()),
        }
    }

    /// Whether it has sent during the last two intervals (RFC 3550 §6.4).
    fn is_active(&self) -> bool {
        self.stream.packet_count() != self.reported[1]
    }
}

impl RtpTransportMachine {
    pub(super) fn new(arguments: MachineArguments) -> Self {
        let mut random = StdRng::seed_from_u64(arguments.seed);
        Self {
            inbound: Inbound::default(),
            delivery: Delivery::new(arguments.credit, arguments.waiting),
            feedback: FeedbackInbox::default(),
            protector: None,
            senders: Vec::new(),
            by_track: HashMap::new(),
            by_ssrc: HashMap::new(),
            askers: HashMap::new(),
            receiver: Speaker {
                ssrc: Ssrc(random.random()),
                cname: format!("{:032x}", random.random::<u128>()).into(),
            },
            reduced_size: false,
            reports_armed: false,
            reports_begin: true,
            heard: false,
            unannounced: LaneDrops::default(),
            notice_armed: false,
            random,
            stats: MediaStats::default(),
        }
    }

    /// Takes the keys of a finished handshake. Until then nothing comes in or goes out.
    pub(super) fn install_keys(&mut self, keys: &SrtpKeys) -> Result<(), SrtpError> {
        let protector = Protector::new(keys.profile, &keys.local)?;
        let unprotector = Unprotector::new(keys.profile, &keys.remote)?;
        self.protector = Some(protector);
        self.inbound.install(unprotector);
        Ok(())
    }

    /// Takes over what was negotiated. Streams that stay keep their counts; senders that are gone
    /// say goodbye.
    pub(super) fn apply(&mut self, plan: &MediaPlan, outbox: &mut Outbox) {
        self.inbound.demuxer.apply(plan);
        self.inbound.arrivals.apply(plan);
        self.reduced_size = plan.sections.iter().all(|it| it.reduced_size_rtcp);
        self.askers.clear();
        let mut before = mem::take(&mut self.senders);
        for section in &plan.sections {
            let Some(send) = &section.send else { continue };
            if let Some(receive) = &section.receive {
                self.askers.insert(receive.track, self.senders.len());
            }
            let known = before.iter().position(|it| it.mid == section.mid);
            let sender = match known.map(|index| before.swap_remove(index)) {
                Some(mut sender) => {
                    if sender.stream.ssrc() != send.ssrc {
                        sender.reported = [0; 2];
                    }
                    sender.stream.apply(&section.mid, send);
                    sender.track = send.track;
                    sender
                }
                None => Sender {
                    mid: section.mid.clone(),
                    track: send.track,
                    stream: RtpStreamSender::new(&section.mid, send),
                    reported: [0; 2],
                },
            };
            self.senders.push(sender);
        }
        self.index_senders();
        self.say_goodbye(&before, outbox);
    }

    fn index_senders(&mut self) {
        self.by_track.clear();
        self.by_ssrc.clear();
        for (index, sender) in self.senders.iter().enumerate() {
            if let Some(track) = sender.track {
                self.by_track.entry(track).or_default().push(index);
            }
            self.by_ssrc.insert(sender.stream.ssrc(), index);
        }
    }

    /// Takes one read's datagrams; [`finish_inbound`](Self::finish_inbound) ends the drain.
    pub(super) fn handle_datagrams(&mut self, datagrams: Datagrams) {
        let Self {
            inbound,
            feedback,
            senders,
            by_ssrc,
            stats,
            ..
        } = self;
        let received_at = datagrams.received_at;
        let before = stats.rtp_received;
        inbound.handle_datagrams(datagrams, stats, |demuxer, packets, length| {
            feedback.handle(demuxer, packets, length, received_at, |ssrc| {
                by_ssrc.get(&ssrc).and_then(|index| senders[*index].track)
            });
        });
        self.heard |= self.stats.rtp_received != before;
    }

    /// Tells the owner what the drain brought, and how much was lost before it.
    pub(super) fn finish_inbound(
        &mut self,
        lost: LaneDrops,
        now: Instant,
        outbox: &mut Outbox,
        effects: &mut Vec<Effect>,
    ) {
        self.stats.inbound_overflow += lost.packets;
        self.add_unannounced(lost);
        self.inbound.finish(&mut self.delivery);
        self.deliver(now, effects);
        self.stats.feedback_overflow += self.feedback.finish(|event| {
            effects.push(Effect::Tell(event));
        });
        if self.heard {
            self.arm_reports(now, effects);
        }
        self.send_arrivals(now, outbox, effects);
    }

    /// Sends the feedback on arrival times that is due, and comes back for the rest.
    fn send_arrivals(&mut self, now: Instant, outbox: &mut Outbox, effects: &mut Vec<Effect>) {
        let speaker = self.speaker(None);
        let reduced_size = self.reduced_size;
        for feedback in self.inbound.arrivals.take_due(now, speaker.ssrc) {
            if let Some(mut writer) = self.writer(outbox) {
                writer.write_feedback(vec![feedback], &speaker, reduced_size);
            }
        }
        let due = self.inbound.arrivals.arm();
        effects.extend(due.map(|at| Effect::Arm(RtpTransportTimer::ArrivalFeedback, at)));
    }

    /// The owner has caught up by half of what it may be behind.
    pub(super) fn handle_credit_returned(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.deliver(now, effects);
    }

    fn deliver(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(event) = self.delivery.next() {
            if let Event::Rtp { packets, .. } = &event {
                self.stats.delivered += packets.len() as u64;
            }
            effects.push(Effect::Tell(event));
        }
        let drops = self.delivery.trim();
        self.stats.owner_overflow += drops.packets;
        self.add_unannounced(drops);
        if !self.notice_armed {
            self.announce_drops(now, effects);
        }
    }

    fn add_unannounced(&mut self, drops: LaneDrops) {
        self.unannounced.packets += drops.packets;
        self.unannounced.bytes += drops.bytes;
    }

    /// At once when nothing was announced for a second, else at the end of that second.
    fn announce_drops(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let LaneDrops { packets, bytes } = mem::take(&mut self.unannounced);
        self.notice_armed = packets > 0;
        if packets > 0 {
            effects.push(Effect::Tell(Event::RtpDropped { packets, bytes }));
            let next = now + DROP_NOTICE_INTERVAL;
            effects.push(Effect::Arm(RtpTransportTimer::DropNotice, next));
        }
    }

    /// Rewrites and protects packets of a track for everyone who sends it.
    pub(super) fn handle_outgoing(
        &mut self,
        outgoing: &Outgoing,
        now: Instant,
        outbox: &mut Outbox,
        effects: &mut Vec<Effect>,
    ) {
        let batch = &outgoing.batch;
        let packets = batch.len() as u64;
        let Some(protector) = &mut self.protector else {
            self.stats.not_connected += packets;
            return;
        };
        let Some(senders) = self.by_track.get(&outgoing.track_id) else {
            self.stats.not_negotiated += packets;
            return;
        };
        for index in senders {
            let sender = &mut self.senders[*index].stream;
            let Some(rewrite) = sender.rewrite_for(batch.source()) else {
                self.stats.not_negotiated += packets;
                continue;
            };
            for packet in batch {
                let sealed = outbox.append(|slab, start| {
                    sender.write_outgoing(&rewrite, packet, slab);
                    protector.protect_rtp(slab, start)
                });
                match sealed {
                    Ok(()) => sender.count(&rewrite, packet, batch.received_at().unwrap_or(now)),
                    Err(_) => self.stats.protect_failed += 1,
                }
            }
        }
        self.arm_reports(now, effects);
    }

    /// Packets were thrown away before the machine saw them.
    pub(super) fn handle_outbound_drops(&mut self, lost: LaneDrops) {
        self.stats.outbound_overflow += lost.packets;
    }

    /// Packets had no path to go.
    pub(super) fn handle_no_path(&mut self, packets: usize) {
        self.stats.not_connected += packets as u64;
    }

    /// What became of datagrams that were handed to the socket.
    pub(super) fn handle_sent(&mut self, packets: usize, bytes: usize, taken: bool) {
        if taken {
            self.stats.sent += packets as u64;
            self.stats.bytes_sent += bytes as u64;
        } else {
            self.stats.send_failed += packets as u64;
        }
    }

    /// Sends RTCP packets of the application.
    pub(super) fn handle_rtcp(&mut self, rtcp: &EncodedRtcp, outbox: &mut Outbox) {
        let missing = !self.reduced_size && !rtcp.begins_with_report;
        let speaker = missing.then(|| self.speaker(None));
        match self.writer(outbox) {
            Some(mut writer) => writer.write_encoded(&rtcp.bytes, speaker.as_ref()),
            None => self.stats.not_connected += 1,
        }
    }

    /// Asks for a keyframe of this track: of one encoding, or of all.
    pub(super) fn send_pli(&mut self, track: TrackId, rid: Option<&Rid>, outbox: &mut Outbox) {
        let speaker = self.speaker(Some(track));
        let requests: Vec<_> = self
            .inbound
            .demuxer
            .media_ssrcs(track, rid)
            .into_iter()
            .map(|media_ssrc| {
                RtcpPacket::PictureLossIndication(PictureLossIndication {
                    sender_ssrc: speaker.ssrc,
                    media_ssrc,
                })
            })
            .collect();
        if requests.is_empty() {
            self.stats.feedback_without_stream += 1;
            return;
        }
        let reduced_size = self.reduced_size;
        match self.writer(outbox) {
            Some(mut writer) => writer.write_feedback(requests, &speaker, reduced_size),
            None => self.stats.not_connected += 1,
        }
    }

    /// A timer went off; `ntp` is the wall time of `now`.
    pub(super) fn handle_timer(
        &mut self,
        timer: RtpTransportTimer,
        now: Instant,
        ntp: u64,
        outbox: &mut Outbox,
        effects: &mut Vec<Effect>,
    ) {
        match timer {
            RtpTransportTimer::DropNotice => self.announce_drops(now, effects),
            RtpTransportTimer::ArrivalFeedback => {
                self.inbound.arrivals.disarm();
                self.send_arrivals(now, outbox, effects);
            }
            RtpTransportTimer::Report => {
                self.reports_armed = false;
                // Silence on both sides ends the reports; the next packet begins them again.
                if self.send_reports(now, ntp, outbox) {
                    self.arm_reports(now, effects);
                }
            }
        }
    }

    /// Sends what is due; says whether there was anything to report.
    fn send_reports(&mut self, now: Instant, ntp: u64, outbox: &mut Outbox) -> bool {
        self.heard = false;
        let mut blocks: Vec<ReceptionReport> = self
            .inbound
            .demuxer
            .streams_mut()
            .filter_map(|(_, stream)| stream.statistics.report(now))
            .collect();
        let mut reports = Vec::new();
        for sender in &mut self.senders {
            if !sender.is_active() {
                continue;
            }
            sender.reported = [sender.stream.packet_count(), sender.reported[0]];
            // The first one reports on what we receive, as far as it has room.
            let rest = blocks.split_off(blocks.len().min(MAX_BLOCKS));
            let taken = mem::replace(&mut blocks, rest);
            if let Some(report) = sender.stream.report(now, ntp, taken) {
                reports.push((Report::Sender(report), sender.speaker()));
            }
        }
        if !blocks.is_empty() {
            let speaker = self.speaker(None);
            let rest = speaker.receiver_reports(&blocks).into_iter();
            reports.extend(rest.map(|report| (report, speaker.clone())));
        }
        let due = !reports.is_empty();
        if let Some(mut writer) = self.writer(outbox) {
            writer.write_reports(reports);
        }
        due
    }

    /// Between half and one and a half of the interval, so that peers do not fall into step
    /// (RFC 3550 §6.3.1); the first in half the time (§6.2), for receivers need it to play sound
    /// and picture in time with each other.
    fn arm_reports(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !mem::replace(&mut self.reports_armed, true) {
            let mut factor = self.random.random_range(0.5..1.5);
            if mem::take(&mut self.reports_begin) {
                factor /= 2.0;
            }
            let at = now + REPORT_INTERVAL.mul_f64(factor);
            effects.push(Effect::Arm(RtpTransportTimer::Report, at));
        }
    }

    /// Says that all leave.
    pub(super) fn goodbye(&mut self, outbox: &mut Outbox) {
        let senders = mem::take(&mut self.senders);
        self.index_senders();
        self.askers.clear();
        self.say_goodbye(&senders, outbox);
    }

    fn say_goodbye(&mut self, leaving: &[Sender], outbox: &mut Outbox) {
        let leaving: Vec<_> = leaving
            .iter()
            .filter(|sender| sender.stream.packet_count() > 0)
            .collect();
        let Some(first) = leaving.first() else { return };
        let ssrcs: Vec<_> = leaving.iter().map(|it| it.stream.ssrc()).collect();
        let speaker = first.speaker();
        if let Some(mut writer) = self.writer(outbox) {
            writer.write_goodbye(&ssrcs, &speaker);
        }
    }

    pub(super) fn stats(&self) -> MediaStats {
        self.stats
    }

    /// Who speaks of a remote track, or in general.
    fn speaker(&self, of: Option<TrackId>) -> Speaker {
        let asker = of.and_then(|track| self.askers.get(&track));
        let sender = match asker {
            Some(index) => self.senders.get(*index),
            None => self.senders.first(),
        };
        sender.map_or_else(|| self.receiver.clone(), Sender::speaker)
    }

    /// Writes RTCP, once there are keys.
    fn writer<'a>(&'a mut self, outbox: &'a mut Outbox) -> Option<RtcpWriter<'a>> {
        Some(RtcpWriter {
            protector: self.protector.as_mut()?,
            outbox,
            stats: &mut self.stats,
        })
    }
}

/// Mean time between reports. RFC 3550 §6.2 would allow less often; browsers take about a second,
/// and round-trip times are measured with it.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two announcements of dropped media.
const DROP_NOTICE_INTERVAL: Duration = Duration::from_secs(1);
