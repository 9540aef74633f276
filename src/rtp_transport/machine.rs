//! The rules of the media path, without task, socket or clock.

use std::mem;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::audio_levels::AudioLevels;
use super::congestion::ArrivalInbox;
use super::delivery::Delivery;
use super::feedback::FeedbackInbox;
use super::inbound::Inbound;
use super::keyframes::note_keyframe;
use super::layers::Layers;
use super::maximum_bitrate::MaximumBitrate;
use super::message::EncodedRtcp;
use super::observed::Observed;
use super::publishing::{Publishing, RtpDelivery};
use super::speakers::Speakers;
use super::stats::MediaStats;
use crate::egress::{PublisherRequest, ReportRequest, SendingCommand, SentTrack};
use crate::jsep::MediaPlan;
use crate::lane::{LaneDrops, Weigh};
use crate::peer_connection::Event;
use crate::rtp::{
    Asked, CreditLimit, ExtendedReportBlock, KeyframeRequests, Load, ReceptionReport,
    ReferenceTimes, RtcpPacket, SentCommands, Speaker, Ssrc,
};
use crate::srtp::{SrtpError, SrtpMasterKey, SrtpProfile, Unprotector};
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
    /// A source is to be asked for a keyframe, perhaps once more.
    KeyframeRequest,
    /// Lost packets are to be asked for.
    Repair,
    /// A track of which nothing comes may have paused.
    Layers,
}

/// What the shell must do, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    Arm(RtpTransportTimer, Instant),
    Tell(Event),
    /// The sending half is to do this.
    Send(SendingCommand),
    /// This source was asked for a keyframe as often as makes sense.
    NoteSilentSource(Asked),
}

/// What the machine is made with.
#[derive(Debug)]
pub(super) struct MachineArguments {
    /// Bounds the media in the owner's mailbox.
    pub(super) credit: CreditLimit,
    /// Bounds the media that waits for the mailbox.
    pub(super) waiting: Load,
    /// How many packets travel together at most.
    pub(super) batch_packets: usize,
    /// How many streams of the remote side are known at a time.
    pub(super) ssrcs: usize,
    /// Between two events about how loud a track is.
    pub(super) audio_levels: Option<Duration>,
    /// Where the randomness of SSRC and report times comes from.
    pub(super) seed: u64,
}

#[derive(Debug)]
pub(super) struct RtpTransportMachine {
    ssrcs: usize,
    pub(super) inbound: Inbound,
    pub(super) delivery: Delivery,
    feedback: FeedbackInbox,
    arrivals: ArrivalInbox,
    pub(super) observed: Observed,
    pub(super) maximum_bitrate: MaximumBitrate,
    /// Those of the remote side that wait for an answer.
    reference_times: ReferenceTimes,
    /// Both sides have agreed on extended reports that measure the round trip of who only receives (RFC 3611 §5.1).
    receiver_round_trip: bool,
    pub(super) publishing: Publishing,
    layers: Layers,
    pub(super) keyframes: KeyframeRequests,
    /// Numbers of the full intra requests among them.
    pub(super) commands: SentCommands,
    pub(super) speakers: Speakers,
    /// Every m-line takes RTCP of reduced size (RFC 5506).
    pub(super) reduced_size: bool,
    reports_armed: bool,
    /// No report has been sent yet.
    reports_begin: bool,
    /// Packets came since the last report.
    heard: bool,
    /// The sending half has something to report.
    sending: bool,
    unannounced: LaneDrops,
    notice_armed: bool,
    random: StdRng,
    pub(super) stats: MediaStats,
    /// Datagrams that came, and their bytes.
    pub(super) received: (u64, u64),
}

impl RtpTransportMachine {
    pub(super) fn new(arguments: MachineArguments) -> Self {
        let mut random = StdRng::seed_from_u64(arguments.seed);
        Self {
            ssrcs: arguments.ssrcs,
            inbound: Inbound::new(
                arguments.batch_packets,
                arguments.ssrcs,
                AudioLevels::new(arguments.audio_levels),
            ),
            delivery: Delivery::new(arguments.credit, arguments.waiting),
            feedback: FeedbackInbox::default(),
            arrivals: ArrivalInbox::default(),
            observed: Observed::default(),
            maximum_bitrate: MaximumBitrate::default(),
            reference_times: ReferenceTimes::default(),
            receiver_round_trip: false,
            publishing: Publishing::default(),
            layers: Layers::default(),
            keyframes: KeyframeRequests::default(),
            commands: SentCommands::default(),
            speakers: Speakers::new(Speaker {
                ssrc: Ssrc(random.random()),
                cname: format!("{:032x}", random.random::<u128>()).into(),
            }),
            reduced_size: false,
            reports_armed: false,
            reports_begin: true,
            heard: false,
            sending: false,
            unannounced: LaneDrops::default(),
            notice_armed: false,
            random,
            stats: MediaStats::default(),
            received: (0, 0),
        }
    }

    /// Takes the key of a finished handshake. Until then nothing comes in.
    pub(super) fn install_key(
        &mut self,
        profile: SrtpProfile,
        remote: &SrtpMasterKey,
    ) -> Result<(), SrtpError> {
        // RTP and RTCP, retransmissions, and what comes and goes.
        let known = self.ssrcs.saturating_mul(SRTP_SSRCS);
        let unprotector = Unprotector::new(profile, remote)?.with_max_ssrcs(known);
        self.inbound.install(unprotector);
        Ok(())
    }

    /// Takes over what was negotiated. Streams that stay keep their counts.
    pub(super) fn apply(&mut self, plan: &MediaPlan) {
        self.inbound.demuxer.apply(plan);
        self.inbound.arrivals.apply(plan);
        self.layers.apply(&self.inbound.demuxer);
        for (track, rids) in self.inbound.demuxer.pictures() {
            self.publishing.keep_encodings(track, rids);
        }
        self.speakers.apply(plan);
        self.maximum_bitrate.apply(plan);
        self.observed.retain(|ssrc| self.speakers.are(ssrc));
        self.reduced_size = plan.sections.iter().all(|it| it.reduced_size_rtcp);
        self.receiver_round_trip = plan.sections.iter().any(|it| it.receiver_round_trip);
    }

    /// Takes one read's datagrams; [`finish_inbound`](Self::finish_inbound) ends the drain.
    pub(super) fn handle_datagrams(&mut self, datagrams: Datagrams) {
        let Self {
            inbound,
            feedback,
            arrivals,
            observed,
            maximum_bitrate,
            reference_times,
            speakers,
            stats,
            received,
            ..
        } = self;
        let received_at = datagrams.received_at;
        received.0 += datagrams.packets() as u64;
        received.1 += datagrams.bytes() as u64;
        let before = stats.rtp_received;
        let mut wishes = 0;
        inbound.handle_datagrams(datagrams, stats, |demuxer, packets, length| {
            wishes += packets.iter().filter(|it| it.asks_for_keyframe()).count() as u64;
            observed.handle_rtcp(&packets, received_at, |ssrc| speakers.are(ssrc));
            arrivals.handle_rtcp(&packets, received_at, |ssrc| speakers.are(ssrc));
            maximum_bitrate.handle_rtcp(&packets);
            reference_times.handle_rtcp(&packets, received_at);
            let is_ours = |ssrc| speakers.are(ssrc) || speakers.general().ssrc == ssrc;
            for (ssrc, trip) in observed.round_trips(&packets, received_at, is_ours) {
                if let Some(stream) = demuxer.stream_mut(ssrc) {
                    stream.round_trips.add(trip);
                }
            }
            let sender = |ssrc| speakers.place_of(ssrc);
            feedback.handle(demuxer, packets, length, received_at, sender);
        });
        self.stats.keyframe_requests_received += wishes;
        self.heard |= self.stats.rtp_received != before;
    }

    /// Hands on what the drain brought, to subscribers and owner, and tells how much was lost
    /// before it.
    pub(super) fn finish_inbound(
        &mut self,
        lost: LaneDrops,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.stats.inbound_overflow += lost.packets;
        self.received.0 += lost.packets;
        self.received.1 += lost.bytes;
        self.add_unannounced(lost);
        let (publishing, delivery) = (&mut self.publishing, &mut self.delivery);
        let keyframes = &mut self.keyframes;
        self.inbound.finish(|arrival| {
            note_keyframe(keyframes, &arrival);
            if let Some(arrival) = publishing.hand_on(arrival) {
                delivery.push(arrival);
            }
        });
        self.deliver(now, effects);
        effects.extend(self.inbound.levels.take_due(now).map(Effect::Tell));
        let (arrivals, unread) = self.arrivals.take(self.inbound.repairs.round_trip());
        self.stats.transport_feedback_overflow += unread;
        effects.extend(arrivals.map(|report| Effect::Send(SendingCommand::Arrivals(report))));
        self.stats.feedback_overflow += self.feedback.finish(|event| {
            effects.push(Effect::Tell(event));
        });
        let news = self.maximum_bitrate.take_news(now);
        effects.extend(news.map(|bits_per_second| {
            Effect::Tell(Event::AvailableOutgoingBitrate { bits_per_second })
        }));
        let wishes = self.feedback.take_wishes();
        effects.extend(wishes.map(|(track, rid)| {
            let track = SentTrack::new(track, rid.as_ref());
            Effect::Send(SendingCommand::RequestKeyframe(track))
        }));
        if self.heard {
            self.arm_reports(now, effects);
        }
        self.send_arrivals(now, effects);
        self.repair(now, effects);
        self.check_layers(now, effects);
    }

    /// Tells which encodings come and which have paused; routes go on with what comes.
    fn check_layers(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (track_id, layers) in self.layers.check(now, &self.inbound.demuxer) {
            for asked in self.publishing.choose(track_id, &layers) {
                self.request_keyframe(asked.track, asked.rid, now, effects);
            }
            effects.push(Effect::Tell(Event::LayersChanged { track_id, layers }));
        }
        let due = self.layers.arm(now);
        effects.extend(due.map(|at| Effect::Arm(RtpTransportTimer::Layers, at)));
    }

    /// Sends the feedback on arrival times that is due, and comes back for the rest.
    fn send_arrivals(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let speaker = self.speakers.general();
        for feedback in self.inbound.arrivals.take_due(now, speaker.ssrc) {
            let packets = speaker.feedback([feedback], self.reduced_size);
            effects.push(send_rtcp(packets));
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
        self.note_drops(drops, now, effects);
    }

    /// Announces drops with all others of the same second.
    fn note_drops(&mut self, drops: LaneDrops, now: Instant, effects: &mut Vec<Effect>) {
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

    /// Packets were thrown away on their way to the sending half.
    pub(super) fn handle_outbound_drops(
        &mut self,
        lost: LaneDrops,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.stats.outbound_overflow += lost.packets;
        self.note_drops(lost, now, effects);
    }

    /// The sending half has something to report from now on, or no longer.
    pub(super) fn handle_activity(
        &mut self,
        active: bool,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.sending = active;
        if active {
            self.arm_reports(now, effects);
        }
    }

    /// A sending actor wants what arrives here, or speaks of what it got.
    pub(super) fn handle_publisher_request(
        &mut self,
        request: PublisherRequest,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        match request {
            PublisherRequest::Subscribe(subscription) => {
                let layers = self.layers.told(subscription.track);
                if let Some(asked) = self.publishing.subscribe(subscription, layers) {
                    self.request_keyframe(asked.track, asked.rid, now, effects);
                }
            }
            PublisherRequest::Unsubscribe { stream } => self.publishing.unsubscribe(stream),
            PublisherRequest::RequestKeyframe { stream } => {
                if let Some(asked) = self.publishing.source(stream) {
                    self.request_keyframe(asked.track, asked.rid, now, effects);
                }
            }
            PublisherRequest::Overflowed(lost) => {
                self.stats.route_overflow += lost.packets;
                self.note_drops(lost, now, effects);
            }
        }
    }

    /// Whether the owner gets the media of a remote track.
    pub(super) fn set_delivery(&mut self, track: TrackId, delivery: RtpDelivery) {
        self.publishing.set_delivery(track, delivery);
    }

    /// No other tracks are received any more; what concerns them is forgotten.
    pub(super) fn keep_tracks(&mut self, received: &[TrackId]) {
        self.publishing.retain(|track| received.contains(&track));
        self.keyframes.retain(|track| received.contains(&track));
        self.inbound
            .levels
            .retain(|track| received.contains(&track));
    }

    /// Sends RTCP packets of the application.
    pub(super) fn handle_rtcp(&self, rtcp: EncodedRtcp, effects: &mut Vec<Effect>) {
        let missing = !self.reduced_size && !rtcp.begins_with_report;
        let introduction = missing.then(|| self.speakers.general().introduction());
        effects.push(Effect::Send(SendingCommand::Rtcp {
            packets: introduction.into_iter().flatten().collect(),
            encoded: rtcp.bytes,
        }));
    }

    /// A timer went off; `ntp` is the wall time of `now`.
    pub(super) fn handle_timer(
        &mut self,
        timer: RtpTransportTimer,
        now: Instant,
        ntp: u64,
        effects: &mut Vec<Effect>,
    ) {
        match timer {
            RtpTransportTimer::DropNotice => self.announce_drops(now, effects),
            RtpTransportTimer::ArrivalFeedback => {
                self.inbound.arrivals.disarm();
                self.send_arrivals(now, effects);
            }
            RtpTransportTimer::KeyframeRequest => self.send_due_requests(now, effects),
            RtpTransportTimer::Repair => {
                self.inbound.repairs.disarm();
                self.repair(now, effects);
            }
            RtpTransportTimer::Layers => {
                self.layers.disarm();
                self.check_layers(now, effects);
            }
            RtpTransportTimer::Report => {
                self.reports_armed = false;
                self.send_reports(now, ntp, effects);
            }
        }
    }

    /// Sends what is due. Silence on both sides ends the reports; the next packet begins them again.
    fn send_reports(&mut self, now: Instant, ntp: u64, effects: &mut Vec<Effect>) {
        self.heard = false;
        let blocks: Vec<ReceptionReport> = self
            .inbound
            .demuxer
            .streams_mut()
            .filter_map(|(_, stream)| stream.statistics.report(now))
            .collect();
        if !self.sending && blocks.is_empty() {
            return;
        }
        self.inbound.repairs.handle_report_sent(ntp, now);
        self.observed.handle_report_sent(ntp, now);
        effects.push(Effect::Send(SendingCommand::Report(ReportRequest {
            now,
            ntp,
            blocks,
            extended: self.extended_blocks(ntp, now),
            speaker: self.speakers.general().clone(),
        })));
        self.arm_reports(now, effects);
    }

    /// What a report says besides: our time, to be answered, where no sender report of ours is; and answers to theirs.
    fn extended_blocks(&mut self, ntp: u64, now: Instant) -> Vec<ExtendedReportBlock> {
        let asks = self.receiver_round_trip && !self.sending;
        let time = asks.then_some(ExtendedReportBlock::ReceiverReferenceTime(ntp));
        let answers = self.reference_times.take_answers(now);
        time.into_iter().chain(answers).collect()
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

    /// What was counted here; the sending half counts its own.
    pub(super) fn stats(&self) -> MediaStats {
        self.stats
    }
}

/// One datagram of RTCP.
pub(super) fn send_rtcp(packets: Vec<RtcpPacket>) -> Effect {
    Effect::Send(SendingCommand::Rtcp {
        packets,
        encoded: Vec::new(),
    })
}

/// Mean time between reports. RFC 3550 §6.2 would allow less often; browsers take about a second,
/// and round-trip times are measured with it.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two announcements of dropped media.
const DROP_NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// SRTP has seen so many times the SSRCs that are known at a time: one that is forgotten may come back, and its numbers must
/// not count anew.
const SRTP_SSRCS: usize = 4;
