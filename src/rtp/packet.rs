//! One RTP packet, and a batch of them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::extension::ExtensionMap;
use super::types::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use crate::codec::RtpCodec;

/// One RTP packet in the clear (RFC 3550 §5.1): a checked view into shared bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    // Parsed and bounds-checked once; see `parse`.
    pub(crate) buffer: Bytes,
    pub(crate) marker: bool,
    pub(crate) payload_type: PayloadType,
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) timestamp: RtpTimestamp,
    pub(crate) ssrc: Ssrc,
}

/// Packets of one track and one encoding that arrived together, shared and cheap to clone.
#[derive(Clone, Debug)]
pub struct RtpBatch {
    packets: Arc<[RtpPacket]>,
    /// Where they came from; `None` for packets made by the application.
    source: Option<Arc<RtpSource>>,
    received_at: Option<Instant>,
}

/// What a receiver knows of all packets of a batch, so that a sender can rewrite them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RtpSource {
    pub(crate) codec: Arc<RtpCodec>,
    pub(crate) extensions: ExtensionMap,
}

impl Deref for RtpBatch {
    type Target = [RtpPacket];

    fn deref(&self) -> &[RtpPacket] {
        &self.packets
    }
}
