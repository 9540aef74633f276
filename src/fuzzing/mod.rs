//! The door for `fuzz/`: one function per target, each taking whatever bytes come.
//!
//! Compiled for fuzzing (`--cfg fuzzing`, which cargo-fuzz sets) and for the tests of this
//! crate, which run the seeds of `fuzz/corpus/` through the same functions. No part of the API.
//!
//! A target that needs the insides of a room stands there, in its `fuzzing.rs`.

mod arrivals;
mod demux;
mod estimator;
mod input;
mod live;
mod message;
#[cfg(test)]
mod mutator;
mod negotiation;
mod pictures;
mod rtcp;
mod rtp;
mod sdp;
mod srtp;
#[cfg(test)]
mod tests;

pub(crate) use self::input::Input;

/// Takes whatever bytes come, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// Runs one target.
///
/// # Panics
///
/// Where something does not hold, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, run) = target.expect("fuzz/Cargo.toml names what is there");
    run(data);
}

/// All targets by name, which is also that of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("arrivals", arrivals::arrivals),
    ("candidate", sdp::candidate),
    ("demux", demux::demux),
    ("dtls", crate::dtls::fuzzing::dtls),
    ("estimator", estimator::estimator),
    ("live", live::live),
    ("mdns", crate::ice::fuzzing::mdns),
    ("media", crate::rtp_transport::fuzzing::media),
    ("message", message::message),
    ("missing", arrivals::missing),
    ("negotiation", negotiation::negotiation),
    ("pictures", pictures::pictures),
    ("rtcp", rtcp::rtcp),
    ("rtp", rtp::rtp),
    ("sdp", sdp::sdp),
    #[cfg(feature = "signaling")]
    (
        "sdp_fragment",
        crate::signaling::broadcaster::fuzzing::sdp_fragment,
    ),
    ("srtp", srtp::srtp),
    ("stun", crate::ice::fuzzing::stun),
    ("turn", crate::ice::fuzzing::turn),
];
