//! RTCP that came in: what we learn from it, and what the owner hears.

use std::time::Instant;

use super::speakers::Place;
use crate::peer_connection::Event;
use crate::rtp::{Allowance, HeardCommands, RtcpPacket, RtpDemuxer, Ssrc};

/// RTCP packets of one drain, sorted by track, and how much of it the owner may still be told.
///
/// The owner's mailbox has no bound and these events carry no credit, so their rate is
/// bounded instead: no sound peer comes near it.
#[derive(Debug)]
pub(super) struct FeedbackInbox {
    groups: Vec<(Option<Place>, Vec<RtcpPacket>)>,
    /// What we send of which the remote side wants a keyframe, each once.
    wishes: Vec<Place>,
    commands: HeardCommands,
    /// Bytes that may still be told.
    bytes: Allowance,
    overflow: u64,
}

impl Default for FeedbackInbox {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            wishes: Vec::new(),
            commands: HeardCommands::default(),
            bytes: Allowance::new(BYTES_PER_SECOND, BURST_BYTES),
            overflow: 0,
        }
    }
}

impl FeedbackInbox {
    /// Takes the packets of one datagram. `sender` knows the tracks that we send.
    pub(super) fn handle(
        &mut self,
        demuxer: &mut RtpDemuxer,
        packets: Vec<RtcpPacket>,
        bytes: usize,
        received_at: Instant,
        sender: impl Fn(Ssrc) -> Option<Place>,
    ) {
        for packet in &packets {
            if let RtcpPacket::SenderReport(report) = packet
                && let Some(stream) = demuxer.stream_mut(report.ssrc)
            {
                stream.handle_sender_report(report, received_at);
            }
        }
        if !self.admit(bytes, received_at) {
            self.overflow += packets.len() as u64;
            return;
        }
        // Arrival times are for the estimate: twenty times a second there is nothing in them for the owner.
        let told = |it: &RtcpPacket| !matches!(it, RtcpPacket::TransportCc(_));
        for packet in packets.into_iter().filter(told) {
            self.note_wishes(&packet, received_at, &sender);
            let place = place_of(&packet, demuxer, &sender);
            match self.groups.iter_mut().find(|(known, _)| *known == place) {
                Some((_, group)) => group.push(packet),
                None => self.groups.push((place, vec![packet])),
            }
        }
    }

    /// Gives out one event for each track and encoding; says how many packets were left out.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(Event)) -> u64 {
        for (place, packets) in self.groups.drain(..) {
            let (track_id, rid) = place.unzip();
            tell(Event::Rtcp {
                track_id,
                rid: rid.flatten(),
                packets,
            });
        }
        std::mem::take(&mut self.overflow)
    }

    /// What the drain has brought wishes for.
    pub(super) fn take_wishes(&mut self) -> impl Iterator<Item = Place> {
        std::mem::take(&mut self.wishes).into_iter()
    }

    /// Of what we send a packet asks for a keyframe.
    fn note_wishes(
        &mut self,
        packet: &RtcpPacket,
        received_at: Instant,
        sender: &impl Fn(Ssrc) -> Option<Place>,
    ) {
        let wishes = &mut self.wishes;
        let mut want = |ssrc| {
            let unknown = |place: &Place| !wishes.contains(place);
            let place = sender(ssrc).filter(unknown);
            wishes.extend(place);
        };
        match packet {
            RtcpPacket::PictureLossIndication(request) => want(request.media_ssrc),
            RtcpPacket::FullIntraRequest(fir) => {
                for (ssrc, number) in &fir.requests {
                    let commands = &mut self.commands;
                    if commands.is_due(fir.sender_ssrc, *ssrc, *number, received_at) {
                        want(*ssrc);
                    }
                }
            }
            RtcpPacket::SenderReport(_)
            | RtcpPacket::ReceiverReport(_)
            | RtcpPacket::SourceDescription(_)
            | RtcpPacket::Goodbye(_)
            | RtcpPacket::Nack(_)
            | RtcpPacket::TransportCc(_)
            | RtcpPacket::Remb(_)
            | RtcpPacket::ExtendedReport(_)
            | RtcpPacket::Other(_) => {}
        }
    }

    fn admit(&mut self, bytes: usize, now: Instant) -> bool {
        let admitted = bytes <= self.bytes.left(now);
        if admitted {
            self.bytes.spend(bytes);
        }
        admitted
    }
}

/// The track and encoding that a packet speaks of, when all of it speaks of one.
fn place_of(
    packet: &RtcpPacket,
    demuxer: &RtpDemuxer,
    sender: &impl Fn(Ssrc) -> Option<Place>,
) -> Option<Place> {
    match packet {
        RtcpPacket::SenderReport(report) => demuxer.place_of(report.ssrc),
        RtcpPacket::SourceDescription(chunks) => {
            only(chunks.iter().map(|chunk| demuxer.place_of(chunk.ssrc)))
        }
        RtcpPacket::Goodbye(goodbye) => {
            only(goodbye.ssrcs.iter().map(|ssrc| demuxer.place_of(*ssrc)))
        }
        RtcpPacket::ReceiverReport(report) => {
            only(report.reports.iter().map(|block| sender(block.ssrc)))
        }
        RtcpPacket::PictureLossIndication(request) => sender(request.media_ssrc),
        RtcpPacket::Nack(nack) => sender(nack.media_ssrc),
        RtcpPacket::FullIntraRequest(request) => {
            only(request.requests.iter().map(|(ssrc, _)| sender(*ssrc)))
        }
        RtcpPacket::Remb(remb) => only(remb.ssrcs.iter().map(|ssrc| sender(*ssrc))),
        // Speaks of the whole transport, whatever source it names.
        RtcpPacket::TransportCc(_) | RtcpPacket::ExtendedReport(_) | RtcpPacket::Other(_) => None,
    }
}

fn only(mut places: impl Iterator<Item = Option<Place>>) -> Option<Place> {
    let first = places.next()?;
    places.all(|place| place == first).then_some(first)?
}

/// Ten times what the feedback of a 10 Mbit/s session takes.
const BYTES_PER_SECOND: u32 = 64 * 1024;

/// A lane full of it after a stall.
const BURST_BYTES: u32 = 128 * 1024;
