//! RTP and RTCP (RFC 3550): packets, header extensions (RFC 8285), reports and feedback (RFC 4585).
//!
//! Pure values: no task, no socket, no clock; told the time where they need it. What reads bytes
//! from the network checks every length before it looks at what is there, never panics and
//! never keeps more than it was given.
//!
//! Applications meet [`RtpPacket`], [`RtpBatch`] and [`RtcpPacket`], and [`Rewriter`] where they forward by hand. The rest works for the
//! media path: it finds the place of incoming packets (by MID, RID and SSRC), keeps the
//! statistics that receiver reports tell, and gives outgoing packets their negotiated numbers.
//!
//! ```
//! use ractor_webrtc::rtp::{PayloadType, RtpBatch, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
//!
//! # fn main() -> Result<(), ractor_webrtc::rtp::RtpError> {
//! let vp8 = PayloadType::new(96).expect("below 128");
//! let frame = [b"first half".as_slice(), b"second half"];
//! let batch: RtpBatch = frame
//!     .iter()
//!     .enumerate()
//!     .map(|(index, payload)| {
//!         let number = SequenceNumber(7).plus(index as u16);
//!         let is_last = index + 1 == frame.len();
//!         RtpPacket::new(vp8, number, RtpTimestamp(90_000), Ssrc(1), is_last, payload.to_vec())
//!     })
//!     .collect();
//! assert_eq!(batch.len(), 2);
//! assert!(batch[1].marker());
//!
//! let received = RtpPacket::parse(vec![0x80, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, b'x'].into())?;
//! assert_eq!(received.sequence_number(), SequenceNumber(7));
//! assert_eq!(received.payload(), b"x");
//! # Ok(())
//! # }
//! ```

mod allowance;
mod bandwidth;
mod batch;
mod clock;
mod compound;
mod continuity;
mod credit;
mod demuxer;
mod descriptor;
mod element;
mod error;
mod extension;
mod full_intra;
mod insistence;
mod keyframe;
mod keyframe_requests;
mod layers;
mod nack;
mod own_elements;
mod pacer;
mod packet;
mod pictures;
mod playout_delay;
mod receiver;
mod reference_times;
mod remote_clock;
mod retransmission;
mod rewriter;
mod round_trip;
mod rtcp;
mod sender;
mod sent_reports;
mod simulcast;
mod traffic;
mod twcc;
mod types;

pub(crate) use self::allowance::Allowance;
pub(crate) use self::bandwidth::{
    BandwidthConfig, BandwidthCounters, BandwidthEffect, BandwidthEstimator,
};
pub use self::batch::RtpBatch;
pub(crate) use self::batch::RtpSource;
pub(crate) use self::clock::ntp_of_unix_time;
pub(crate) use self::compound::{MAX_BLOCKS, Report, Speaker, compound_reports};
pub(crate) use self::continuity::Numbers;
pub(crate) use self::credit::{CreditLimit, Load};
pub(crate) use self::demuxer::{HeardStream, RtpDemuxer};
pub use self::error::RtpError;
pub(crate) use self::extension::ExtensionMap;
pub use self::extension::{AudioLevel, HeaderExtension};
pub(crate) use self::full_intra::{HeardCommands, SentCommands};
pub(crate) use self::keyframe::KeyframeMark;
pub(crate) use self::keyframe_requests::{Asked, KeyframeRequests};
pub(crate) use self::layers::LayerFilter;
pub use self::layers::{LayerLimit, LayerLimitError, LimitedRate};
pub(crate) use self::nack::{Arrived, MissingPackets};
pub(crate) use self::pacer::{Pacer, PacerCounters, Urgency};
pub use self::packet::RtpPacket;
pub use self::playout_delay::PlayoutDelay;
pub(crate) use self::reference_times::ReferenceTimes;
pub(crate) use self::remote_clock::{MediaTime, RemoteClock};
pub(crate) use self::retransmission::{Refused, Repeat, RetransmissionCache, Why};
pub use self::rewriter::Rewriter;
pub(crate) use self::round_trip::RoundTrip;
pub use self::rtcp::{
    ExtendedReport, ExtendedReportBlock, FullIntraRequest, Goodbye, LastReceiverReport, Nack,
    OtherBlock, OtherRtcp, PictureLossIndication, ReceiverReport, ReceptionReport, Remb, RtcpError,
    RtcpPacket, SenderReport, SourceDescriptionChunk, TransportCc,
};
pub(crate) use self::sender::{Rewrite, RtpStreamSender};
pub(crate) use self::sent_reports::SentReports;
pub use self::simulcast::SimulcastLayer;
pub(crate) use self::simulcast::{LayerWatch, WINDOW as LAYER_WINDOW};
pub(crate) use self::traffic::{RequestCounts, RequestTally, SenderReportSeen, Traffic};
pub(crate) use self::twcc::TwccRecorder;
pub use self::types::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};
