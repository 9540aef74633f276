//! What SRTP costs: ours, the bare cipher that no SRTP can beat, and webrtc-srtp, in the same
//! run.
//!
//! `cargo bench --bench srtp` prints nanoseconds and allocations per packet. All subjects of a
//! row take turns within one process, in rounds shorter than a scheduler's time slice, so that
//! the lowest round is a clean one even on a busy machine. Without the argument `--bench` (as
//! `cargo test --all-targets` calls it) every subject runs a round or two, only to see that it
//! works.

use std::alloc::System;
use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::Aes128;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use bytes::BytesMut;
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::srtp_replay_protection;
use webrtc_srtp::protection_profile::ProtectionProfile;

use ractor_webrtc::srtp::{Protector, SrtpMasterKey, SrtpProfile, Unprotector};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let rounds = if env::args().any(|argument| argument == "--bench") {
        401
    } else {
        2
    };
    println!(
        "ns per packet: lowest and median of {rounds} rounds; x: lowest by the bare cipher's \
         lowest; allocations per packet"
    );
    println!(
        "{:<24}{:>6}  {:>21}  {:>31}  {:>31}",
        "", "bytes", "bare cipher", "ractor_webrtc", "webrtc-srtp"
    );
    for profile in PROFILES {
        for size in [1200, 160] {
            print_row("protect", profile, size, rounds, sealing(profile, size));
            print_row("unprotect", profile, size, rounds, opening(profile, size));
        }
    }
}

/// Runs one round; tells how long it took without what it had to prepare.
type Round = Box<dyn FnMut() -> Timed>;

struct Timed {
    duration: Duration,
    allocations: usize,
}

/// Bare cipher, ours, webrtc-srtp.
type Subjects = [Round; 3];

fn sealing(profile: Profile, size: usize) -> Subjects {
    [
        bare_sealing(profile, size),
        our_sealing(profile, size),
        their_sealing(profile, size),
    ]
}

fn opening(profile: Profile, size: usize) -> Subjects {
    [
        bare_opening(profile, size),
        our_opening(profile, size),
        their_opening(profile, size),
    ]
}

/// The packet stays where it is: after each turn it is cut to its plain length and gets the next
/// number. What is encrypted does not matter to any of the ciphers.
fn our_sealing(profile: Profile, size: usize) -> Round {
    let mut protector = Protector::new(profile.ours, &master_key(profile)).expect("the key fits");
    let mut packet = plain_packet(size);
    let mut number = 0_u16;
    Box::new(move || {
        timed(|| {
            for _ in 0..PACKETS {
                packet.truncate(size);
                number_packet(&mut packet, &mut number);
                protector.protect_rtp(&mut packet, 0).expect("a new number");
            }
        })
    })
}

fn their_sealing(profile: Profile, size: usize) -> Round {
    let mut context = their_context(profile);
    let mut packet = plain_packet(size);
    let mut number = 0_u16;
    Box::new(move || {
        timed(|| {
            for _ in 0..PACKETS {
                number_packet(&mut packet, &mut number);
                black_box(context.encrypt_rtp(&packet).expect("a new number"));
            }
        })
    })
}

fn bare_sealing(profile: Profile, size: usize) -> Round {
    let mut packet = plain_packet(size);
    let cipher = BareCipher::new(profile);
    Box::new(move || {
        timed(|| {
            for _ in 0..PACKETS {
                packet.truncate(size);
                cipher.seal(&mut packet);
            }
        })
    })
}

/// Packets are slices of one slab, as a batched receive gives them.
fn our_opening(profile: Profile, size: usize) -> Round {
    let key = master_key(profile);
    let mut unprotector = Unprotector::new(profile.ours, &key).expect("the key fits");
    let mut sender = Sender::new(profile, size);
    Box::new(move || {
        let mut packets = sender.send();
        timed(|| {
            for packet in &mut packets {
                unprotector.unprotect_rtp(packet).expect("genuine");
            }
        })
    })
}

fn their_opening(profile: Profile, size: usize) -> Round {
    let mut context = their_context(profile);
    let mut sender = Sender::new(profile, size);
    Box::new(move || {
        let packets = sender.send();
        timed(|| {
            for packet in &packets {
                black_box(context.decrypt_rtp(packet).expect("genuine"));
            }
        })
    })
}

fn bare_opening(profile: Profile, size: usize) -> Round {
    let cipher = BareCipher::new(profile);
    let mut sealed = plain_packet(size);
    cipher.seal(&mut sealed);
    Box::new(move || {
        let slab = BytesMut::from(&sealed.repeat(PACKETS)[..]);
        let mut packets = split(slab, sealed.len());
        timed(|| {
            for packet in &mut packets {
                cipher.open(packet);
            }
        })
    })
}

fn timed(round: impl FnOnce()) -> Timed {
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    round();
    let duration = start.elapsed();
    let change = region.change();
    Timed {
        duration,
        allocations: change.allocations + change.reallocations,
    }
}

/// Makes genuine packets, each once.
struct Sender {
    protector: Protector,
    plain: Vec<u8>,
    number: u16,
}

impl Sender {
    fn new(profile: Profile, size: usize) -> Self {
        Self {
            protector: Protector::new(profile.ours, &master_key(profile)).expect("the key fits"),
            plain: plain_packet(size),
            number: 0,
        }
    }

    fn send(&mut self) -> Vec<BytesMut> {
        let mut slab = Vec::new();
        for _ in 0..PACKETS {
            number_packet(&mut self.plain, &mut self.number);
            let start = slab.len();
            slab.extend_from_slice(&self.plain);
            self.protector
                .protect_rtp(&mut slab, start)
                .expect("a new number");
        }
        let length = slab.len() / PACKETS;
        split(BytesMut::from(&slab[..]), length)
    }
}

fn split(mut slab: BytesMut, length: usize) -> Vec<BytesMut> {
    (0..PACKETS).map(|_| slab.split_to(length)).collect()
}

/// What has to be computed whatever the code around it: GCM with a ready key, or AES-CTR and
/// HMAC-SHA1 with ready keys.
enum BareCipher {
    Gcm(Box<LessSafeKey>),
    Cm(Box<BareCm>),
}

struct BareCm {
    aes: Aes128,
    hmac: Hmac<Sha1>,
}

impl BareCipher {
    fn new(profile: Profile) -> Self {
        if let Some(algorithm) = profile.gcm {
            let key = UnboundKey::new(algorithm, &[7; 32][..algorithm.key_len()]);
            let key = LessSafeKey::new(key.expect("the key fits"));
            return Self::Gcm(Box::new(key));
        }
        Self::Cm(Box::new(BareCm {
            aes: Aes128::new(&[7; 16].into()),
            hmac: <Hmac<Sha1> as Mac>::new_from_slice(&[7; 20]).expect("any length"),
        }))
    }

    fn seal(&self, packet: &mut Vec<u8>) {
        let (header, body) = packet.split_at_mut(HEADER);
        match self {
            Self::Gcm(key) => {
                let tag = key
                    .seal_in_place_separate_tag(nonce(), Aad::from(header), body)
                    .expect("short enough");
                packet.extend_from_slice(tag.as_ref());
            }
            Self::Cm(cm) => {
                keystream(&cm.aes, body);
                let tag = mac(&cm.hmac, packet);
                packet.extend_from_slice(&tag[..10]);
            }
        }
    }

    fn open(&self, packet: &mut BytesMut) {
        match self {
            Self::Gcm(key) => {
                let (header, body) = packet.split_at_mut(HEADER);
                key.open_in_place(nonce(), Aad::from(header), body)
                    .expect("genuine");
            }
            Self::Cm(cm) => {
                let end = packet.len() - 10;
                assert_eq!(mac(&cm.hmac, &packet[..end])[..10], packet[end..]);
                keystream(&cm.aes, &mut packet[HEADER..end]);
            }
        }
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([9; 12])
}

fn keystream(aes: &Aes128, body: &mut [u8]) {
    let core = CtrCore::<&Aes128, Ctr32BE>::inner_iv_init(aes, &[9; 16].into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(body);
}

fn mac(hmac: &Hmac<Sha1>, covered: &[u8]) -> [u8; 20] {
    let mut hmac = hmac.clone();
    hmac.update(covered);
    hmac.finalize().into_bytes().into()
}

fn master_key(profile: Profile) -> SrtpMasterKey {
    SrtpMasterKey {
        key: vec![3; profile.ours.key_len()],
        salt: vec![5; profile.ours.salt_len()],
    }
}

/// With the replay window that it has by default in a session, since ours has one as well.
fn their_context(profile: Profile) -> Context {
    let key = master_key(profile);
    let replay = Some(srtp_replay_protection(64));
    Context::new(&key.key, &key.salt, profile.theirs, replay, None).expect("the key fits")
}

/// A header without CSRCs and extension, and payload up to `size` bytes; with room for a tag.
fn plain_packet(size: usize) -> Vec<u8> {
    let mut packet = Vec::with_capacity(size + 16);
    packet.extend([0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 42]);
    packet.resize(size, 0x5a);
    packet
}

fn number_packet(packet: &mut [u8], number: &mut u16) {
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    *number = number.wrapping_add(1);
}

fn print_row(what: &str, profile: Profile, size: usize, rounds: usize, mut subjects: Subjects) {
    // The first round makes the entry of the SSRC.
    for subject in &mut subjects {
        subject();
    }
    let mut samples: [Vec<Timed>; 3] = [vec![], vec![], vec![]];
    for _ in 0..rounds {
        for (subject, samples) in subjects.iter_mut().zip(&mut samples) {
            samples.push(subject());
        }
    }
    let [bare, ours, theirs] = samples.map(Figures::of);
    println!(
        "{:<24}{size:>6}  {:>7.0} {:>7.0}        {:>7.0} {:>7.0}  x{:<5.2} {:>6.2}  {:>7.0} {:>7.0}  x{:<5.1} {:>6.2}",
        format!("{} {what}", profile.name),
        bare.lowest,
        bare.median,
        ours.lowest,
        ours.median,
        ours.lowest / bare.lowest,
        ours.allocations,
        theirs.lowest,
        theirs.median,
        theirs.lowest / bare.lowest,
        theirs.allocations,
    );
}

struct Figures {
    lowest: f64,
    median: f64,
    allocations: f64,
}

impl Figures {
    fn of(samples: Vec<Timed>) -> Self {
        let packets = PACKETS as f64;
        let allocations: usize = samples.iter().map(|sample| sample.allocations).sum();
        let allocations = allocations as f64 / (packets * samples.len() as f64);
        let mut times: Vec<f64> = samples
            .iter()
            .map(|sample| sample.duration.as_nanos() as f64 / packets)
            .collect();
        times.sort_by(f64::total_cmp);
        Self {
            lowest: times[0],
            median: times[times.len() / 2],
            allocations,
        }
    }
}

/// One protection profile, by its three names.
#[derive(Clone, Copy)]
struct Profile {
    name: &'static str,
    ours: SrtpProfile,
    theirs: ProtectionProfile,
    /// The bare cipher, if it is not AES-CTR with HMAC-SHA1.
    gcm: Option<&'static Algorithm>,
}

const PROFILES: [Profile; 3] = [
    Profile {
        name: "GCM 128",
        ours: SrtpProfile::AeadAes128Gcm,
        theirs: ProtectionProfile::AeadAes128Gcm,
        gcm: Some(&AES_128_GCM),
    },
    Profile {
        name: "GCM 256",
        ours: SrtpProfile::AeadAes256Gcm,
        theirs: ProtectionProfile::AeadAes256Gcm,
        gcm: Some(&AES_256_GCM),
    },
    Profile {
        name: "CM SHA1_80",
        ours: SrtpProfile::Aes128CmHmacSha1_80,
        theirs: ProtectionProfile::Aes128CmHmacSha1_80,
        gcm: None,
    },
];

const HEADER: usize = 12;

/// Packets of a round: a quarter of a millisecond or less of our work.
const PACKETS: usize = 256;
