//! The short run: every seed, and for a moment what comes of changing them.

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::mutator::mutated;
use super::{TARGETS, Target};

#[test]
fn the_seeds_of_every_target_pass_and_so_does_what_a_moment_of_fuzzing_makes_of_them() {
    // The published package comes without them.
    if !corpus().exists() {
        return;
    }
    let seed = number("FUZZ_SEED", 1);
    let moment = Duration::from_millis(number("FUZZ_MILLISECONDS", 500));
    println!("FUZZ_SEED={seed}, {moment:?} for each target");
    let only = env::var("FUZZ_TARGET").ok();
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let left = Mutex::new(TARGETS.iter().filter(|(name, _)| is_wanted(name)));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let next = || left.lock().expect("nothing panics with it").next();
                while let Some((name, run)) = next() {
                    fuzz(name, *run, seed, moment);
                }
            });
        }
    });
}

#[test]
fn every_target_can_be_run_by_cargo_fuzz() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let Ok(manifest) = fs::read_to_string(fuzz.join("Cargo.toml")) else {
        return;
    };
    for (name, _) in TARGETS {
        let path = format!("fuzz_targets/{name}.rs");
        let named = format!("name = \"{name}\"\npath = \"{path}\"");
        assert!(
            manifest.contains(&named),
            "{name} is not in fuzz/Cargo.toml"
        );
        let target = fs::read_to_string(fuzz.join(path)).expect("it is named there");
        assert!(target.contains(&format!("run(\"{name}\", data)")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

fn fuzz(name: &str, run: Target, seed: u64, moment: Duration) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for (path, data) in &seeds {
        check(run, data, || format!("{name}: {path}"));
    }
    let seeds: Vec<_> = seeds.into_iter().map(|(_, data)| data).collect();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < moment {
        // Each run has a beginning of its own, so that it can be repeated without those before it.
        let mut random = StdRng::seed_from_u64(seed << 32 | count);
        let data = mutated(&seeds, &mut random);
        check(run, &data, || format!("{name}: run {count} of seed {seed}"));
        count += 1;
    }
    println!("{name}: {count} runs");
}

/// Shows the bytes where something does not hold, to be made a seed of.
fn check(run: Target, data: &[u8], what: impl FnOnce() -> String) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(data))) {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{}, bytes {hex}", what());
        resume_unwind(panic);
    }
}

/// In the order of their names, for the sake of repetition. Not what a fuzzer has left behind there.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(corpus().join(target)).expect("every target has seeds");
    let paths = files.map(|file| file.expect("the folder can be read").path());
    let mut paths: Vec<_> = paths
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("seed-"))
        })
        .collect();
    paths.sort();
    let read = |path: &Path| fs::read(path).expect("a seed can be read");
    paths
        .iter()
        .map(|path| (path.display().to_string(), read(path)))
        .collect()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let said = env::var(variable).ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(otherwise)
}
