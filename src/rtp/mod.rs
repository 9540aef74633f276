//! RTP and RTCP: packets, header extensions, reports. Pure values; told the time where they need it.

mod extension;
mod packet;
mod rtcp;
mod types;

pub(crate) use self::extension::ExtensionMap;
pub use self::extension::HeaderExtension;
pub use self::packet::{RtpBatch, RtpPacket};
pub use self::rtcp::{
    FullIntraRequest, Goodbye, Nack, OtherRtcp, PictureLossIndication, ReceiverReport,
    ReceptionReport, Remb, RtcpPacket, SenderReport, SourceDescriptionChunk, TransportCc,
};
pub use self::types::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};
