//! Offers, answers and what they decide (RFC 9429). Pure.

mod description;
mod plan;

pub use self::description::{SdpType, SessionDescription};
pub(crate) use self::plan::{MediaPlan, MediaSection, NegotiatedCodec, ReceivePlan, SendPlan};
