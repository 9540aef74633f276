//! The door for `fuzz/`: one function per target, each taking whatever bytes come.
//!
//! Compiled for fuzzing (`--cfg fuzzing`, which cargo-fuzz sets) and for the tests of this
//! crate, which run the seeds of `fuzz/corpus/` through the same functions. No part of the API.

mod rtcp;
mod rtp;
mod sdp;
mod srtp;

pub use self::rtcp::rtcp;
pub use self::rtp::rtp;
pub use self::sdp::{candidate, sdp};
pub use self::srtp::srtp;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Runs every seed of a target. The published package comes without `fuzz/`.
    fn run_seeds(target: &str, run: fn(&[u8])) {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        if !fuzz.exists() {
            return;
        }
        let folder = fuzz.join("corpus").join(target);
        let seeds = fs::read_dir(folder).expect("every target has seeds");
        let mut count = 0;
        for seed in seeds {
            let path = seed.expect("the folder can be read").path();
            run(&fs::read(&path).expect("a seed can be read"));
            count += 1;
        }
        assert!(count > 0, "no seeds for {target}");
    }

    #[test]
    fn the_seeds_of_rtcp_pass() {
        run_seeds("rtcp", super::rtcp);
    }

    #[test]
    fn the_seeds_of_rtp_pass() {
        run_seeds("rtp", super::rtp);
    }

    #[test]
    fn the_seeds_of_srtp_pass() {
        run_seeds("srtp", super::srtp);
    }

    #[test]
    fn the_seeds_of_sdp_pass() {
        run_seeds("sdp", super::sdp);
    }

    #[test]
    fn the_seeds_of_candidate_pass() {
        run_seeds("candidate", super::candidate);
    }
}
