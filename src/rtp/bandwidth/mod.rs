//! How much the path to a peer takes: congestion control by the sender, from transport-wide feedback, after
//! draft-ietf-rmcat-gcc-02 and what Chromium does since.
//!
//! Three things are watched. *Delay*: packets sent together are compared with those before them; a delay
//! that keeps growing means a queue that does, and the estimate goes below what arrives; else it grows.
//! *Loss* that goes with the rate bounds the estimate; loss that does not is the path's own. And
//! *probes*, short bursts above the estimate, show at once what growing would take a quarter of a minute to find.
//!
//! ```text
//! on_sent ──► SentHistory ◄── Feedback ◄── on_feedback
//!                  │ what arrived, sent when
//!     ┌────────────┼──────────────────┬───────────┐
//!  Groups          │                  │           │
//!     │       Acknowledged        LossBound     Prober ──► Probe
//! DelayTrend       │                  │           │
//!     └──────► RateControl ◄──────────┼───────────┘
//!                  └───── lower of both ──► EstimateChanged
//! ```
//!
//! # How the sending half uses it
//!
//! One [`BandwidthEstimator`] for each peer whose answer has the transport-wide number extension and its feedback.
//!
//! 1. Each packet that goes out, retransmissions and padding too, gets the next transport-wide number and is noted
//!    with [`on_sent`](BandwidthEstimator::on_sent), with its size on the wire. Numbers count for the whole
//!    transport, not for a stream; none may be left out because a socket refused the packet.
//! 2. Feedback goes to [`on_feedback`](BandwidthEstimator::on_feedback), loss and round-trip time of receiver
//!    reports to [`on_report`](BandwidthEstimator::on_report).
//! 3. After either, and at [`poll_at`](BandwidthEstimator::poll_at), comes
//!    [`poll`](BandwidthEstimator::poll), and its effects are done.
//! 4. [`BandwidthEffect::Probe`]: until so many bytes have gone, all that goes is noted with the probe's id, and
//!    retransmissions of what went lately, or padding, fill up to the bitrate that is asked for. To do nothing
//!    is to decline.
//! 5. Where more is to be had than is sent (a higher layer), [`set_desired_bps`](BandwidthEstimator::set_desired_bps)
//!    says how much, else probing goes on up to the maximum.
//!
//! # What a peer can do with it
//!
//! Feedback is a peer's word on its own path. Whatever it says, the estimate stays within its bounds; a probe
//! carries at most 20 ms of the maximum, and there is one in a round trip at the most, a few in a row. Memory is
//! bounded: 64 KiB of history, and half as much for the rest. Each packet that feedback names costs some tens of
//! nanoseconds, once.

mod acknowledged;
mod estimator;
mod feedback;
mod groups;
mod history;
mod limited;
mod loss;
mod probing;
mod rate;
mod trend;

pub(crate) use self::estimator::{
    BandwidthConfig, BandwidthCounters, BandwidthEffect, BandwidthEstimator,
};
pub(crate) use self::probing::{Probe, ProbeId};

#[cfg(test)]
mod tests;
