//! The sending half of one peer: which packets go out under which numbers, protected with its keys.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::congestion::Congestion;
use super::counters::SendingCounters;
use super::feeds::Feeds;
use super::held_back::HeldBack;
use super::layers::LayerLimits;
use super::message::{Outgoing, SendingEvent, StreamId};
use super::outbox::Outbox;
use super::routes::Role;
use super::sent_track::SentTrack;
use super::snapshot::count_requests;
use super::way_out::{Placed, Sealing, WayOut};
use crate::codec::RtpCodec;
use crate::jsep::{MediaPlan, SendPlan};
use crate::limits::PeerLimits;
use crate::rtp::{
    ExtendedReportBlock, KeyframeMark, LayerFilter, MAX_BLOCKS, Mid, Numbers, ReceptionReport,
    Report, RequestTally, Rewrite, Rid, RtcpPacket, RtpBatch, RtpPacket, RtpStreamSender, Speaker,
    Why, compound_reports,
};
use crate::srtp::{Protector, SrtpError, SrtpMasterKey, SrtpProfile};
use crate::track::{MediaKind, TrackId};

/// Rewrites and protects all that one peer sends. Nothing leaves before there are keys.
#[derive(Debug)]
pub(crate) struct SendingHalf {
    /// How much of each stream is kept to be sent again.
    retransmission_bytes: usize,
    /// How many packets may wait for their turn, in each queue.
    paced_packets: usize,
    pub(super) protector: Option<Protector>,
    pub(super) senders: Vec<Sender>,
    /// Of m-lines that may not send now. SRTP remembers what was sent with their SSRCs, so their
    /// numbers go on when they may again.
    pub(super) paused: Vec<Sender>,
    /// Indices into `senders`.
    by_track: HashMap<SentTrack, Vec<usize>>,
    /// Which streams feed a track; the others are sent by hand.
    pub(super) feeds: Feeds,
    /// Of the tracks that have one.
    pub(super) layer_limits: HashMap<TrackId, LayerLimits>,
    /// From the first packet on of whose arrival the remote side tells.
    pub(super) congestion: Option<Box<Congestion>>,
    /// What would be sent if the path took it.
    pub(super) desired_bps: u64,
    /// The receiving half knows that something is sent, and asks for reports.
    reporting: bool,
    pub(super) counters: Arc<SendingCounters>,
    /// What we have asked of the remote side's streams.
    pub(super) requests: RequestTally,
}

/// What one m-line sends, or one encoding of it.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) mid: Mid,
    pub(super) track: Option<TrackId>,
    pub(super) rid: Option<Rid>,
    pub(super) stream: RtpStreamSender,
    pub(super) layers: LayerFilter,
    /// What a route brings is held back until a picture begins that stands for itself: what the decoder
    /// has is of another source, or it has nothing.
    pub(super) wants_keyframe: bool,
    /// What that was, lately.
    held_back: HeldBack,
    /// The codec of the route that the remote side has not agreed to, once that has been told.
    refused: Option<Arc<RtpCodec>>,
    /// Packets sent at the last report and at the one before it.
    reported: [u32; 2],
}

impl Sender {
    /// What it is fed as, if it has a track.
    pub(super) fn source(&self) -> Option<SentTrack> {
        Some(SentTrack::new(self.track?, self.rid.as_ref()))
    }

    fn speaker(&self) -> Speaker {
        Speaker {
            ssrc: self.stream.ssrc(),
            cname: Arc::clone(self.stream.cname()),
        }
    }

    /// What comes next continues nothing of what was sent before.
    fn begin_anew(&mut self) {
        self.stream.change_source();
        self.layers.begin_anew();
        self.wants_keyframe = true;
    }

    /// Whether a routed packet has to wait for a keyframe. Without a sign to know keyframes by, as for sound,
    /// none has.
    fn holds_back(&mut self, mark: Option<KeyframeMark>, packet: &RtpPacket) -> bool {
        self.wants_keyframe &= mark.is_some_and(|mark| !mark.begins_keyframe(packet.payload()));
        self.wants_keyframe
    }

    /// Notes that a codec cannot be sent; gives it back when that is news.
    fn refuse(&mut self, codec: &Arc<RtpCodec>) -> Option<Arc<RtpCodec>> {
        if self.refused.as_ref() == Some(codec) {
            return None;
        }
        self.refused.replace(Arc::clone(codec));
        self.refused.clone()
    }

    /// Numbers and sends packets of a codec that was negotiated. Says how many wait for a keyframe.
    fn send(
        &mut self,
        departure: &Departure<'_>,
        rewrite: &Arc<Rewrite>,
        way: &mut WayOut<'_>,
    ) -> usize {
        let Departure {
            batch, origin, now, ..
        } = *departure;
        let gate = origin == Origin::Route && self.wants_keyframe;
        let codec = batch.codec().filter(|_| gate);
        let mark = codec.and_then(KeyframeMark::of);
        let mut held_back = 0;
        for (index, packet) in batch.iter().enumerate() {
            let waited = gate && self.wants_keyframe;
            if waited && self.holds_back(mark, packet) {
                held_back += 1;
                self.held_back.keep(batch, index, now);
                continue;
            }
            self.forward(departure, index, rewrite, way);
            if waited {
                self.follow_up(departure, index, rewrite, way);
            }
        }
        held_back
    }

    /// Numbers and sends one packet.
    fn forward(
        &mut self,
        departure: &Departure<'_>,
        index: usize,
        rewrite: &Arc<Rewrite>,
        way: &mut WayOut<'_>,
    ) {
        let Departure {
            batch,
            origin,
            at,
            now,
        } = *departure;
        let packet = &batch[index];
        let Some(numbers) = origin.number(&mut self.stream, rewrite, packet, at) else {
            way.counters.before_switch.add(1);
            return;
        };
        let placed = Placed {
            batch,
            index,
            rewrite,
            numbers,
            at,
        };
        let late = batch.is_repaired() && !self.stream.is_newest(numbers);
        if late && self.pass_on(&placed, now, way) {
            return;
        }
        if way.admits(&self.stream, &placed, now) {
            self.transmit(&placed, now, way);
        }
    }

    /// A keyframe has begun with this packet: what has come of it already follows.
    fn follow_up(
        &mut self,
        departure: &Departure<'_>,
        first: usize,
        rewrite: &Arc<Rewrite>,
        way: &mut WayOut<'_>,
    ) {
        let now = departure.now;
        for held in self.held_back.take_after(departure.batch, first, now) {
            let departure = Departure {
                batch: &held.batch,
                at: held.batch.received_at().unwrap_or(now),
                ..*departure
            };
            self.forward(&departure, held.index, rewrite, way);
        }
    }

    /// Writes and protects a packet.
    pub(super) fn transmit(&mut self, placed: &Placed<'_>, now: Instant, way: &mut WayOut<'_>) {
        let Placed {
            batch,
            index,
            rewrite,
            numbers,
            at,
        } = *placed;
        let packet = &batch[index];
        let stream = &mut self.stream;
        let sent = way.append(stream.counts_for_transport(), now, |number, slab| {
            stream.write_outgoing(rewrite, packet, numbers, number, slab);
            Sealing::First
        });
        if let Some(whole) = sent {
            stream.count(rewrite, packet, numbers, at, || batch.made_at(packet));
            stream.keep(batch, index, rewrite, numbers, now);
            stream.count_bytes(rewrite, packet, whole, now);
            if packet.marker() && stream.kind() == Some(MediaKind::Video) {
                self.send_second((rewrite, packet, numbers), Why::EndsPicture, now, way);
            }
        }
    }

    /// Whether it has sent during the last two intervals (RFC 3550 §6.4).
    fn is_active(&self) -> bool {
        self.stream.packet_count() != self.reported[1]
    }
}

/// What the receiving half adds to a report.
#[derive(Debug)]
pub(crate) struct ReportRequest {
    pub(crate) now: Instant,
    /// The wall time of `now`.
    pub(crate) ntp: u64,
    /// What was received.
    pub(crate) blocks: Vec<ReceptionReport>,
    /// What there is to say besides.
    pub(crate) extended: Vec<ExtendedReportBlock>,
    /// Who reports on it when nobody sends.
    pub(crate) speaker: Speaker,
}

impl SendingHalf {
    pub(crate) fn new(counters: Arc<SendingCounters>, limits: &PeerLimits) -> Self {
        Self {
            retransmission_bytes: limits.retransmission_bytes,
            paced_packets: limits.paced_packets,
            protector: None,
            senders: Vec::new(),
            paused: Vec::new(),
            by_track: HashMap::new(),
            feeds: Feeds::default(),
            layer_limits: HashMap::new(),
            congestion: None,
            desired_bps: 0,
            reporting: false,
            counters,
            requests: RequestTally::default(),
        }
    }

    /// Takes the key of a finished handshake.
    pub(crate) fn install_key(
        &mut self,
        profile: SrtpProfile,
        local: &SrtpMasterKey,
    ) -> Result<(), SrtpError> {
        self.protector = Some(Protector::new(profile, local)?);
        Ok(())
    }

    /// Takes over what was negotiated. Streams that stay, or come back, keep their counts and
    /// numbers; senders that are gone, perhaps for a while, say goodbye.
    pub(crate) fn apply(&mut self, plan: &MediaPlan, outbox: &mut Outbox) {
        let mut before = mem::take(&mut self.senders);
        let sections = plan.sections.iter();
        for (section, send) in sections.flat_map(|it| it.sends().map(move |send| (it, send))) {
            let known = take(&mut before, &section.mid, send);
            let sender = match known.or_else(|| take(&mut self.paused, &section.mid, send)) {
                Some(mut sender) => {
                    if sender.stream.ssrc() != send.ssrc {
                        sender.reported = [0; 2];
                    }
                    sender.stream.apply(&section.mid, send);
                    if mem::replace(&mut sender.track, send.track) != send.track {
                        sender.begin_anew();
                    }
                    sender
                }
                None => Sender {
                    mid: section.mid.clone(),
                    track: send.track,
                    rid: send.rid.clone(),
                    stream: RtpStreamSender::new(&section.mid, send, self.retransmission_bytes),
                    layers: LayerFilter::default(),
                    wants_keyframe: true,
                    held_back: HeldBack::default(),
                    refused: None,
                    reported: [0; 2],
                },
            };
            self.senders.push(sender);
        }
        let mut senders = self.senders.iter();
        if !senders.any(|it| it.stream.counts_for_transport()) {
            self.congestion = None;
        }
        self.index_senders();
        self.limit_layers();
        self.say_goodbye(&before, outbox);
        for sender in &mut before {
            // What comes meanwhile is not lost on the way.
            sender.begin_anew();
            sender.stream.pause();
        }
        self.paused.append(&mut before);
        let sections = &plan.sections;
        self.paused
            .retain(|sender| sections.iter().any(|it| it.mid == sender.mid));
    }

    fn index_senders(&mut self) {
        self.by_track.clear();
        for (index, sender) in self.senders.iter().enumerate() {
            if let Some(track) = sender.source() {
                self.by_track.entry(track).or_default().push(index);
            }
        }
    }

    /// From now on this stream feeds the track. Where another one plays, the remote side goes
    /// on seeing that until this one can be seen. Says which role it has, and which streams no longer feed the track.
    pub(super) fn set_feed(&mut self, track: SentTrack, stream: StreamId) -> (Role, Vec<StreamId>) {
        let before: Vec<_> = self.feeds.streams(track).collect();
        let role = if self.feeds.playing(track) == Some(stream) {
            self.feeds.prepare(track, stream);
            Role::Playing
        } else if self.plays_pictures(track) {
            self.feeds.prepare(track, stream);
            Role::Next
        } else {
            self.feeds.set(track, stream);
            self.begin_anew(track);
            Role::Playing
        };
        let feeds = &self.feeds;
        let is_left = |old: &StreamId| feeds.streams(track).all(|now| now != *old);
        (role, before.into_iter().filter(is_left).collect())
    }

    /// From now on the application feeds the track by hand. Says which streams no longer do.
    pub(super) fn end_feeds(&mut self, track: SentTrack) -> Vec<StreamId> {
        let left = self.feeds.clear(track);
        if !left.is_empty() {
            self.begin_anew(track);
        }
        left
    }

    /// The next stream takes its place, if there is one. Says which it was that played before.
    pub(super) fn promote(&mut self, track: SentTrack) -> Option<StreamId> {
        let before = self.feeds.promote(track)?;
        self.begin_anew(track);
        Some(before)
    }

    /// A stream is over.
    pub(super) fn end_feed(&mut self, track: SentTrack, stream: StreamId) {
        if self.feeds.end(track, stream) {
            self.begin_anew(track);
        }
    }

    fn begin_anew(&mut self, track: SentTrack) {
        for index in self.by_track.get(&track).into_iter().flatten() {
            let sender = &mut self.senders[*index];
            sender.begin_anew();
            sender.refused = None;
        }
    }

    /// Whether the remote side has a picture that goes on.
    fn plays_pictures(&self, track: SentTrack) -> bool {
        let mut senders = self.by_track.get(&track).into_iter().flatten();
        self.feeds.contains(track)
            && senders.any(|index| {
                let sender = &self.senders[*index];
                sender.stream.kind() == Some(MediaKind::Video) && !sender.wants_keyframe
            })
    }

    /// The stream that feeds a track in the end.
    pub(super) fn feed(&self, track: SentTrack) -> Option<StreamId> {
        self.feeds.goal(track)
    }

    /// All streams that feed a track.
    pub(super) fn feeds(&self, track: SentTrack) -> Vec<StreamId> {
        self.feeds.streams(track).collect()
    }

    /// The streams of which nothing can be sent before a keyframe begins.
    pub(super) fn wanted_keyframes(&self) -> Vec<StreamId> {
        if self.protector.is_none() {
            return Vec::new();
        }
        let waiting = self.senders.iter().filter(|it| it.wants_keyframe);
        waiting
            .filter_map(|it| self.feeds.playing(it.source()?))
            .collect()
    }

    /// The tracks that a stream feeds.
    pub(super) fn fed_tracks(&self) -> Vec<SentTrack> {
        self.feeds.tracks()
    }

    /// Looks at packets of the stream that is next on a track: whether it can take its place with them.
    pub(super) fn can_begin(&mut self, track: SentTrack, batch: &RtpBatch) -> bool {
        for index in self.by_track.get(&track).into_iter().flatten() {
            let stream = &mut self.senders[*index].stream;
            if stream.rewrite_for(batch.source()).is_none() {
                self.counters.not_negotiated.add(batch.len());
                return false;
            }
        }
        let mark = batch.codec().and_then(KeyframeMark::of);
        let begins =
            |packet: &RtpPacket| mark.is_none_or(|mark| mark.begins_keyframe(packet.payload()));
        let begun = batch.iter().any(begins);
        if !begun {
            self.counters.before_keyframe.add(batch.len());
        }
        begun
    }

    /// Sends packets of the application. Those it has made are numbered by it, those it forwards by whoever sent them to us: where
    /// these change, nobody but us could number them on.
    pub(crate) fn send_by_hand(
        &mut self,
        outgoing: &Outgoing,
        now: Instant,
        outbox: &mut Outbox,
        events: &mut Vec<SendingEvent>,
    ) {
        if self.feeds.contains(outgoing.track) {
            self.counters.displaced.add(outgoing.batch.len());
            return;
        }
        let Outgoing { track, batch } = outgoing;
        let origin = match batch.source() {
            Some(_) => Origin::Forwarded,
            None => Origin::Application,
        };
        self.send(*track, batch, origin, now, outbox, events);
    }

    /// Sends packets of the stream that feeds this track, numbered on from what it sent before. Says whether a keyframe is wanted:
    /// some were held back, or left out that may be sent again.
    pub(crate) fn send_routed(
        &mut self,
        track: SentTrack,
        batch: &RtpBatch,
        now: Instant,
        outbox: &mut Outbox,
        events: &mut Vec<SendingEvent>,
    ) -> bool {
        self.counters.routed.add(batch.len());
        self.send(track, batch, Origin::Route, now, outbox, events)
    }

    /// Rewrites and protects packets of a track for every m-line that sends it.
    fn send(
        &mut self,
        track: SentTrack,
        batch: &RtpBatch,
        origin: Origin,
        now: Instant,
        outbox: &mut Outbox,
        events: &mut Vec<SendingEvent>,
    ) -> bool {
        let counters = &*self.counters;
        let Some(protector) = &mut self.protector else {
            counters.not_connected.add(batch.len());
            return false;
        };
        let Some(senders) = self.by_track.get(&track) else {
            counters.not_negotiated.add(batch.len());
            return false;
        };
        let departure = Departure {
            batch,
            origin,
            at: batch.received_at().unwrap_or(now),
            now,
        };
        let counts = |index: &usize| self.senders[*index].stream.counts_for_transport();
        if self.congestion.is_none() && senders.iter().any(counts) {
            let mut congestion = Congestion::new(self.paced_packets, now);
            congestion.set_desired(self.desired_bps);
            self.congestion = Some(Box::new(congestion));
        }
        let mut way = WayOut {
            protector,
            congestion: self.congestion.as_deref_mut(),
            outbox,
            counters,
            given_up: Vec::new(),
        };
        let mut held_back = 0;
        let mut wants_keyframe = false;
        for index in senders {
            let sender = &mut self.senders[*index];
            let Some(rewrite) = sender.stream.rewrite_for(batch.source()) else {
                counters.not_negotiated.add(batch.len());
                // What is left out is no gap in the numbers: nobody is to ask for it.
                sender.begin_anew();
                let codec = batch.source().and_then(|it| sender.refuse(&it.codec));
                if let (Origin::Route, Some(codec)) = (origin, codec) {
                    let track = track.track;
                    events.push(SendingEvent::CodecMismatch { track, codec });
                }
                continue;
            };
            sender.refused = None;
            let filtered = sender.layers.filter(batch);
            counters.above_layer_limit.add(filtered.left_out);
            wants_keyframe |= sender.layers.wants_keyframe();
            let departure = Departure {
                batch: filtered.changed.as_ref().unwrap_or(batch),
                ..departure
            };
            held_back += sender.send(&departure, &rewrite, &mut way);
        }
        let given_up = way.given_up;
        if held_back > 0 {
            counters.before_keyframe.add(held_back);
        }
        if !mem::replace(&mut self.reporting, true) {
            events.push(SendingEvent::ActivityChanged { active: true });
        }
        self.give_up(&given_up) || held_back > 0 || wants_keyframe
    }

    /// Sends a compound packet, and after it what is written already.
    pub(crate) fn send_rtcp(
        &mut self,
        packets: &[RtcpPacket],
        encoded: &[u8],
        outbox: &mut Outbox,
    ) {
        let Some(protector) = &mut self.protector else {
            self.counters.not_connected.add(1);
            return;
        };
        let outcome = outbox.append(|slab, start| {
            for packet in packets {
                packet.write(slab).map_err(|_| Unsendable)?;
            }
            slab.extend_from_slice(encoded);
            protector.protect_rtcp(slab, start).map_err(|_| Unsendable)
        });
        match outcome {
            Ok(()) => count_requests(&mut self.requests, packets, encoded),
            Err(_) => self.counters.protect_failed.add(1),
        }
    }

    /// Reports on what is sent, and carries the reports on what is received.
    pub(crate) fn send_reports(
        &mut self,
        request: ReportRequest,
        outbox: &mut Outbox,
        events: &mut Vec<SendingEvent>,
    ) {
        let mut blocks = request.blocks;
        let mut reports = Vec::new();
        for sender in &mut self.senders {
            sender.stream.forget_old(request.now);
            if !sender.is_active() {
                continue;
            }
            sender.reported = [sender.stream.packet_count(), sender.reported[0]];
            // The first one reports on what we receive, as far as it has room.
            let rest = blocks.split_off(blocks.len().min(MAX_BLOCKS));
            let taken = mem::replace(&mut blocks, rest);
            if let Some(report) = sender.stream.report(request.now, request.ntp, taken) {
                reports.push((Report::Sender(report), sender.speaker()));
            }
        }
        let active = !reports.is_empty();
        if self.reporting && !active {
            events.push(SendingEvent::ActivityChanged { active });
        }
        self.reporting = active;
        let speaker = request.speaker;
        let rest = speaker.receiver_reports(&blocks).into_iter();
        reports.extend(rest.map(|report| (report, speaker.clone())));
        for compound in compound_reports(reports, &speaker, request.extended) {
            self.send_rtcp(&compound, &[], outbox);
        }
    }

    /// Says that all leave.
    pub(crate) fn goodbye(&mut self, outbox: &mut Outbox) {
        let senders = mem::take(&mut self.senders);
        self.index_senders();
        self.say_goodbye(&senders, outbox);
    }

    fn say_goodbye(&mut self, leaving: &[Sender], outbox: &mut Outbox) {
        let leaving: Vec<_> = leaving
            .iter()
            .filter(|sender| sender.stream.packet_count() > 0)
            .collect();
        let Some(first) = leaving.first() else { return };
        let ssrcs: Vec<_> = leaving.iter().map(|it| it.stream.ssrc()).collect();
        for compound in first.speaker().goodbye(&ssrcs) {
            self.send_rtcp(&compound, &[], outbox);
        }
    }
}

/// Packets that are to go out together.
#[derive(Clone, Copy, Debug)]
struct Departure<'a> {
    batch: &'a RtpBatch,
    origin: Origin,
    /// When their media was there.
    at: Instant,
    now: Instant,
}

/// Who gave a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The application has made it.
    Application,
    /// The application had it from another peer.
    Forwarded,
    Route,
}

impl Origin {
    /// The numbers that a packet goes out under; `None` for one whose time is over.
    fn number(
        self,
        stream: &mut RtpStreamSender,
        rewrite: &Rewrite,
        packet: &RtpPacket,
        at: Instant,
    ) -> Option<Numbers> {
        match self {
            Self::Application => stream.keep_or_place(rewrite, packet, at),
            Self::Forwarded | Self::Route => stream.place(rewrite, packet, at),
        }
    }
}

fn take(senders: &mut Vec<Sender>, mid: &Mid, plan: &SendPlan) -> Option<Sender> {
    let is_its = |sender: &Sender| sender.mid == *mid && sender.rid == plan.rid;
    let index = senders.iter().position(is_its)?;
    Some(senders.swap_remove(index))
}

/// Not written, for a reason that only the count tells.
struct Unsendable;
