//! RTP and RTCP: packets, header extensions, reports. Pure values; told the time where they need it.

mod extension;
mod packet;
mod types;

pub(crate) use self::extension::ExtensionMap;
pub use self::extension::HeaderExtension;
pub use self::packet::{RtpBatch, RtpPacket};
pub use self::types::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};
