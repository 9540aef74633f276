//! Arrival times of packets with transport-wide numbers, and when to report them.

use std::time::Instant;

use crate::codec::RtcpFeedback;
use crate::jsep::{MediaPlan, ReceivePlan};
use crate::rtp::{HeaderExtension, RtcpPacket, RtpPacket, Ssrc, TwccRecorder};

/// Keeps what feedback for the remote side's congestion control is made of.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Identifiers of the number: normally one, since all sections of a bundle share it.
    ids: Vec<u8>,
    recorder: TwccRecorder,
    /// Of the latest numbered packet; the feedback has to name some source.
    source: Option<Ssrc>,
    armed: bool,
}

impl Arrivals {
    /// Numbers count where the extension and the feedback on it were both negotiated.
    pub(super) fn apply(&mut self, plan: &MediaPlan) {
        self.ids.clear();
        for receive in plan.sections.iter().filter_map(|it| it.receive.as_ref()) {
            if let Some(id) = numbered(receive)
                && !self.ids.contains(&id)
            {
                self.ids.push(id);
            }
        }
    }

    /// Every numbered packet counts, routed or not: probes of the bandwidth carry no media.
    pub(super) fn record(&mut self, packet: &RtpPacket, received_at: Instant) {
        let value = self.ids.iter().find_map(|id| packet.extension(*id));
        if let Some(Ok(number)) = value.map(<[u8; 2]>::try_from) {
            self.source = Some(packet.ssrc());
            let number = u16::from_be_bytes(number);
            self.recorder.record(number, received_at);
        }
    }

    /// What is due, each to be sent in a datagram of its own.
    pub(super) fn take_due(&mut self, now: Instant, speaker: Ssrc) -> Vec<RtcpPacket> {
        let feedback = match self.source {
            Some(source) if self.recorder.due(now) => self.recorder.take_feedback(speaker, source),
            Some(_) | None => Vec::new(),
        };
        feedback.into_iter().map(RtcpPacket::TransportCc).collect()
    }

    /// When to look again; `None` while nothing waits, or when that was said already.
    pub(super) fn arm(&mut self) -> Option<Instant> {
        if self.armed {
            return None;
        }
        let at = self.recorder.due_at();
        self.armed = at.is_some();
        at
    }

    /// The time that was said has come.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }
}

fn numbered(receive: &ReceivePlan) -> Option<u8> {
    let answered = receive
        .codecs
        .iter()
        .any(|it| it.codec.feedback.contains(&RtcpFeedback::TransportCc));
    let id = receive.extensions.id(&HeaderExtension::TransportWideCc);
    id.filter(|_| answered)
}
