//! Changes seeds at random: a poor man's fuzzer, without an eye for what the changes reach, for a toolchain without one.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// One of the seeds, changed in a few places, perhaps with a part of another one.
pub(super) fn mutated(seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut data = seeds.choose(random).cloned().unwrap_or_default();
    for _ in 0..1 << random.random_range(0..4) {
        mutate(&mut data, seeds, random);
    }
    data.truncate(LONGEST);
    data
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=data.len());
    let end = random.random_range(at..=data.len().min(at + 64));
    match random.random_range(0..9) {
        0 => change(data, at, |byte| byte ^ 1 << (at % 8)),
        1 => {
            let value = random.random();
            change(data, at, |_| value);
        }
        2 => {
            let value = *EDGES.choose(random).expect("there are some");
            change(data, at, |_| value);
        }
        3 => {
            let step = random.random_range(1..32);
            change(data, at, |byte| byte.wrapping_add(step));
        }
        4 => drop(data.drain(at..end)),
        5 => {
            let repeated = data[at..end].to_vec();
            data.splice(at..at, repeated);
        }
        6 => {
            let inserted: Vec<u8> = (0..random.random_range(1..9))
                .map(|_| random.random())
                .collect();
            data.splice(at..at, inserted);
        }
        7 => data.truncate(at),
        _ => {
            let other = seeds.choose(random).map_or(&[][..], |other| &other[..]);
            let from = random.random_range(0..=other.len());
            let to = random.random_range(from..=other.len());
            data.splice(at..end, other[from..to].iter().copied());
        }
    }
}

fn change(data: &mut [u8], at: usize, how: impl FnOnce(u8) -> u8) {
    if let Some(byte) = data.get_mut(at) {
        *byte = how(*byte);
    }
}

/// Where lengths and signs end.
const EDGES: [u8; 10] = [0, 1, 2, 4, 0x0f, 0x10, 0x7f, 0x80, 0xfe, 0xff];

/// As long as libFuzzer's inputs are where it is not told otherwise.
const LONGEST: usize = 4096;
