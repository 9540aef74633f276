//! RTP and RTCP: packets, header extensions, reports. Pure values; told the time where they need it.

mod batch;
mod credit;
mod demuxer;
mod element;
mod extension;
mod packet;
mod receiver;
mod rtcp;
mod sender;
mod types;

pub use self::batch::RtpBatch;
pub(crate) use self::batch::RtpSource;
pub(crate) use self::credit::{CreditLimit, Load};
pub(crate) use self::demuxer::{Route, RtpDemuxer};
pub(crate) use self::extension::ExtensionMap;
pub use self::extension::{AudioLevel, HeaderExtension};
pub use self::packet::{RtpError, RtpPacket};
pub use self::rtcp::{
    FullIntraRequest, Goodbye, Nack, OtherRtcp, PictureLossIndication, ReceiverReport,
    ReceptionReport, Remb, RtcpError, RtcpPacket, SenderReport, SourceDescriptionChunk,
    TransportCc,
};
pub(crate) use self::sender::{RtpStreamSender, ntp_of_unix_time};
pub use self::types::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};
