//! RTP and RTCP: packets, header extensions, reports. Pure values; told the time where they need it.

mod batch;
mod credit;
mod element;
mod extension;
mod packet;
mod rtcp;
mod types;

pub use self::batch::RtpBatch;
pub(crate) use self::batch::RtpSource;
pub(crate) use self::credit::{Credit, CreditLimit, Load};
pub(crate) use self::extension::ExtensionMap;
pub use self::extension::{AudioLevel, HeaderExtension};
pub use self::packet::{RtpError, RtpPacket};
pub use self::rtcp::{
    FullIntraRequest, Goodbye, Nack, OtherRtcp, PictureLossIndication, ReceiverReport,
    ReceptionReport, Remb, RtcpPacket, SenderReport, SourceDescriptionChunk, TransportCc,
};
pub use self::types::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};
