//! Keyframes: the remote side is asked for them in the form that was negotiated.

use std::time::Instant;

use super::delivery::Arrival;
use super::machine::{Effect, RtpTransportMachine, RtpTransportTimer, send_rtcp};
use crate::codec::{RtcpFeedback, RtpCodec};
use crate::rtp::{
    Asked, FullIntraRequest, KeyframeRequests, PictureLossIndication, Rid, RtcpPacket, Ssrc,
};
use crate::track::{MediaKind, TrackId};

impl RtpTransportMachine {
    /// Asks for a keyframe of this track, not too often, and again until one comes. Sound has none.
    pub(super) fn request_keyframe(
        &mut self,
        track: TrackId,
        rid: Option<Rid>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if self.inbound.demuxer.kind_of(track) != Some(MediaKind::Audio) {
            self.keyframes.want(Asked { track, rid });
            self.send_due_requests(now, effects);
        }
    }

    pub(super) fn send_due_requests(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (asked, repeats) in self.keyframes.take_due(now) {
            self.send_keyframe_request(&asked, repeats, effects);
        }
        for asked in self.keyframes.take_given_up() {
            self.stats.keyframes_given_up += 1;
            effects.push(Effect::NoteSilentSource(asked));
        }
        let next = self.keyframes.next_due(now);
        effects.extend(next.map(|at| Effect::Arm(RtpTransportTimer::KeyframeRequest, at)));
    }

    /// Asks for a keyframe of a track: of one encoding, or of all. `repeats` the request before it where the remote side is to
    /// take both for one.
    pub(super) fn send_keyframe_request(
        &mut self,
        asked: &Asked,
        repeats: bool,
        effects: &mut Vec<Effect>,
    ) {
        let demuxer = &self.inbound.demuxer;
        let media_ssrcs = demuxer.media_ssrcs(asked.track, asked.rid.as_ref());
        if media_ssrcs.is_empty() {
            self.stats.feedback_without_stream += 1;
            return;
        }
        let speaker = self.speakers.about(asked.track);
        let sender_ssrc = speaker.ssrc;
        let mut packets = Vec::new();
        let mut requests = Vec::new();
        for media_ssrc in media_ssrcs {
            match demuxer.codec_of(media_ssrc).and_then(Form::of) {
                Some(Form::PictureLoss) => packets.push(picture_loss(sender_ssrc, media_ssrc)),
                Some(Form::FullIntra) => {
                    let number = self.commands.number(sender_ssrc, media_ssrc, repeats);
                    requests.push((media_ssrc, number));
                }
                None => self.stats.keyframe_requests_impossible += 1,
            }
        }
        self.stats.keyframe_requests_sent += (packets.len() + requests.len()) as u64;
        if !requests.is_empty() {
            packets.push(RtcpPacket::FullIntraRequest(FullIntraRequest {
                sender_ssrc,
                requests,
            }));
        }
        if !packets.is_empty() {
            effects.push(send_rtcp(speaker.feedback(packets, self.reduced_size)));
        }
    }
}

/// How a source can be asked for a keyframe.
#[derive(Clone, Copy, Debug)]
enum Form {
    PictureLoss,
    FullIntra,
}

impl Form {
    /// What was negotiated for this codec. A lost picture is the truth where a decoder waits, and needs no number: it is
    /// preferred.
    fn of(codec: &RtpCodec) -> Option<Self> {
        let has = |feedback| codec.feedback.contains(&feedback);
        if has(RtcpFeedback::Pli) {
            Some(Self::PictureLoss)
        } else {
            has(RtcpFeedback::Fir).then_some(Self::FullIntra)
        }
    }
}

fn picture_loss(sender_ssrc: Ssrc, media_ssrc: Ssrc) -> RtcpPacket {
    RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc,
        media_ssrc,
    })
}

/// Whoever waits for a keyframe of this encoding waits no longer if one begins here, or if nobody could tell.
pub(super) fn note_keyframe(requests: &mut KeyframeRequests, arrival: &Arrival) {
    let rid = arrival.rid.as_ref();
    if !requests.is_awaited(arrival.track_id, rid) {
        return;
    }
    if arrival.batch.keyframe().is_some() {
        requests.note_arrival(arrival.track_id, rid);
    }
}
