//! What a sending half shows of itself for statistics.

use std::collections::HashMap;
use std::sync::Arc;

use super::machine::SendingHalf;
use crate::codec::RtpCodec;
use crate::rtp::{
    Mid, PayloadType, RequestCounts, RequestTally, RetransmissionCache, Rid, RtcpPacket, Ssrc,
    Traffic,
};
use crate::track::TrackId;

/// A sending half at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendingSnapshot {
    pub(crate) streams: Vec<SentStream>,
    /// What we have asked of these streams of the remote side.
    pub(crate) requests: HashMap<Ssrc, RequestCounts>,
    /// What the path takes, in bits a second, once there is feedback.
    pub(crate) estimate_bps: Option<u64>,
}

/// One stream that is sent, or was and may be again.
#[derive(Clone, Debug)]
pub(crate) struct SentStream {
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx_ssrc: Option<Ssrc>,
    pub(crate) mid: Mid,
    pub(crate) track: Option<TrackId>,
    /// Which of several encodings.
    pub(crate) rid: Option<Rid>,
    /// Of the latest packet; of what was negotiated first before one was sent.
    pub(crate) codec: Option<(PayloadType, Arc<RtpCodec>)>,
    /// What was sent first.
    pub(crate) traffic: Traffic,
    /// What was sent again.
    pub(crate) repeated: Traffic,
    /// Packets of padding alone.
    pub(crate) padding: Traffic,
    /// What is kept to be sent again; `None` where nobody may ask for it.
    pub(crate) cache: Option<RetransmissionCache>,
    /// Its m-line sends now.
    pub(crate) active: bool,
    /// A route feeds it.
    pub(crate) routed: bool,
}

impl SendingHalf {
    /// Copies the counts of at most as many streams as there are m-lines; takes some microseconds.
    pub(crate) fn snapshot(&self) -> SendingSnapshot {
        let all = self
            .senders
            .iter()
            .map(|it| (it, true))
            .chain(self.paused.iter().map(|it| (it, false)));
        let streams = all.map(|(sender, active)| {
            let [traffic, repeated, padding] = sender.stream.traffic();
            SentStream {
                ssrc: sender.stream.ssrc(),
                rtx_ssrc: sender.stream.rtx_ssrc(),
                mid: sender.mid.clone(),
                track: sender.track,
                rid: sender.rid.clone(),
                codec: sender
                    .stream
                    .codec_of(traffic.latest.map(|(_, latest)| latest)),
                traffic,
                repeated,
                padding,
                cache: sender.stream.retransmission_cache(),
                active: active && sender.track.is_some(),
                routed: sender.source().is_some_and(|it| self.feed(it).is_some()),
            }
        });
        SendingSnapshot {
            streams: streams.collect(),
            requests: self.requests.all(),
            estimate_bps: (self.congestion.as_ref()).and_then(|it| it.estimate_bps()),
        }
    }
}

/// Notes what a datagram of RTCP asks of the remote side's streams.
pub(super) fn count_requests(tally: &mut RequestTally, packets: &[RtcpPacket], encoded: &[u8]) {
    for packet in packets {
        tally.count(packet);
    }
    if encoded.is_empty() {
        return;
    }
    // What the application sends was written by us, so it can be read.
    let encoded = RtcpPacket::parse_compound(&encoded.to_vec().into());
    for packet in encoded.into_iter().flatten() {
        tally.count(&packet);
    }
}
