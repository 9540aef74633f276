//! webrtc-srtp's `Context` as the other side, in both directions.

use webrtc_srtp::context::Context;

use super::*;

/// Our two contexts and theirs, all with the same key.
fn both(profile: SrtpProfile) -> (Protector, Unprotector, Context, Context) {
    let key = master_key(profile);
    let theirs = || Context::new(&key.key, &key.salt, profile.to_webrtc(), None, None).unwrap();
    let (protector, unprotector) = contexts(profile);
    (protector, unprotector, theirs(), theirs())
}

/// Everything that a header may have in front of `payload` bytes: `csrcs` contributing sources and
/// an extension block of this profile and these words.
fn full_rtp(
    sequence_number: u16,
    csrcs: u8,
    extension: Option<(u16, &[u8])>,
    payload: usize,
) -> Vec<u8> {
    let flags = 0x80 | csrcs | if extension.is_some() { 0x10 } else { 0 };
    let mut packet = vec![flags, 0xe0];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend([1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44]);
    for csrc in 0..csrcs {
        packet.extend([csrc; 4]);
    }
    if let Some((profile, words)) = extension {
        packet.extend(profile.to_be_bytes());
        packet.extend(((words.len() / 4) as u16).to_be_bytes());
        packet.extend(words);
    }
    packet.extend((0..payload).map(|i| i as u8));
    packet
}

#[test]
fn rtp_with_every_kind_of_header_goes_both_ways() {
    let one_byte: &[u8] = &[0x10, 0xaa, 0x22, 1, 2, 3, 0x51, 0x77, 0x88, 0, 0, 0];
    let two_byte: &[u8] = &[1, 1, 0xaa, 0, 2, 3, 1, 2, 3, 0, 0, 0];
    let extensions = [
        None,
        Some((0xbede, one_byte)),
        Some((0x1000, two_byte)),
        Some((0x1234, &[1, 2, 3, 4][..])),
    ];
    for profile in PROFILES {
        let (mut protector, mut unprotector, mut encrypt, mut decrypt) = both(profile);
        let mut sequence_number = 100;
        for extension in extensions {
            for csrcs in [0, 1, 15] {
                for payload in [0, 1, 15, 16, 17, 160, 1200] {
                    let plain = full_rtp(sequence_number, csrcs, extension, payload);
                    sequence_number += 1;

                    let ours = protect_rtp(&mut protector, &plain);
                    let theirs = encrypt.encrypt_rtp(&plain).unwrap();
                    assert_eq!(ours, theirs, "{profile:?} {csrcs} {payload}");
                    assert_eq!(decrypt.decrypt_rtp(&ours).unwrap(), plain);
                    assert_eq!(unprotect_rtp(&mut unprotector, &theirs).unwrap(), plain);
                }
            }
        }
    }
}

#[test]
fn rtcp_goes_both_ways() {
    for profile in PROFILES {
        let (mut protector, mut unprotector, mut encrypt, mut decrypt) = both(profile);
        for round in 0..300 {
            for ssrc in [1, 0xffff_ffff] {
                let mut plain = rtcp(ssrc);
                plain.truncate(if round % 3 == 0 { 8 } else { plain.len() });

                let ours = protect_rtcp(&mut protector, &plain);
                assert_eq!(decrypt.decrypt_rtcp(&ours).unwrap(), plain);
                let theirs = encrypt.encrypt_rtcp(&plain).unwrap();
                assert_eq!(unprotect_rtcp(&mut unprotector, &theirs).unwrap(), plain);
            }
        }
    }
}

#[test]
fn the_rollover_counter_is_followed_through_three_wraps() {
    for profile in PROFILES {
        let (mut protector, mut unprotector, mut encrypt, mut decrypt) = both(profile);
        for index in (65_000_u32..230_000).step_by(97) {
            let plain = rtp(7, index as u16);
            let ours = protect_rtp(&mut protector, &plain);
            let theirs = encrypt.encrypt_rtp(&plain).unwrap();
            assert_eq!(ours, theirs, "{profile:?} {index}");
            assert_eq!(decrypt.decrypt_rtp(&ours).unwrap(), plain);
            assert_eq!(unprotect_rtp(&mut unprotector, &theirs).unwrap(), plain);
        }
    }
}

#[test]
fn disorder_across_the_wrap_is_followed_both_ways() {
    for profile in PROFILES {
        let (mut protector, mut unprotector, mut encrypt, mut decrypt) = both(profile);
        // In order up to each of two wraps, and across it runs of 16 backwards.
        let across = |wrap: u32| {
            let runs = (wrap - 80..wrap + 80).step_by(16);
            runs.flat_map(|run| (run..run + 16).rev())
        };
        let first = (65_000..65_456).chain(across(65_536));
        let second = (66_000..130_000).step_by(97).chain(across(131_072));
        for index in first.chain(second) {
            let plain = rtp(7, index as u16);
            let ours = protect_rtp(&mut protector, &plain);
            assert_eq!(decrypt.decrypt_rtp(&ours).unwrap(), plain, "{index}");
            let theirs = encrypt.encrypt_rtp(&plain).unwrap();
            assert_eq!(unprotect_rtp(&mut unprotector, &theirs).unwrap(), plain);
        }
    }
}

#[test]
fn many_streams_keep_counters_of_their_own() {
    for profile in PROFILES {
        let (mut protector, mut unprotector, mut encrypt, mut decrypt) = both(profile);
        for step in 0..80_u16 {
            for ssrc in 1..=20_u32 {
                let sequence_number = (65_000 + ssrc as u16 * 25).wrapping_add(step);
                let plain = rtp(ssrc, sequence_number);
                let ours = protect_rtp(&mut protector, &plain);
                assert_eq!(decrypt.decrypt_rtp(&ours).unwrap(), plain);
                let theirs = encrypt.encrypt_rtp(&plain).unwrap();
                assert_eq!(unprotect_rtp(&mut unprotector, &theirs).unwrap(), plain);
            }
        }
    }
}
