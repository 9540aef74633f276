//! Faults on purpose, for tests: an actor of this crate panics, fails, hangs or is killed where a test says.
//!
//! Every actor of the crate is started by `start.rs`, and runs inside a wrapper that asks, before and after each of its
//! hooks, whether something is to go wrong there. Without the feature `fault-injection` there is no wrapper, and `faults/off.rs`
//! stands in the place of this module.
//!
//! An actor goes by the name of its type without `Actor`: `PeerConnection`, `Ice`, `Relay`, `Dtls`, `RtpTransport`, `Udp`, `Egress`,
//! `Forwarder`, `Subscriber`, `Room`, `Participant`, `PerfectNegotiation`, `Broadcaster`, `Stream`, `Session`. A message goes by the name
//! of its variant, and where another enum is inside it, by both: `Close`, `Command/SetPath`, `Transceiver/AddTrack`.
//!
//! ```
//! use ractor::ActorRef;
//! use ractor_webrtc::faults::{Fault, Hook, part};
//!
//! async fn try_it<M>(owner: &ActorRef<M>) {
//!     let injected = Fault::panic()
//!         .in_part("Ice")
//!         .below(owner)
//!         .at(Hook::Handle)
//!         .message("Gather")
//!         .inject();
//!     // … gather …
//!     injected.struck().await;
//!
//!     part(owner, "Dtls").kill();
//! }
//! ```

mod breakable;
mod fault;
mod kind;
mod register;

pub(crate) use self::breakable::breakable;
pub use self::fault::{Fault, Hook, Injected, Seen};
pub use self::register::{RunningPart, part, running_below};
