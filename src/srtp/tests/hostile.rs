//! Bytes that a stranger may send. Nothing of it may panic, end a session, or leave a trace.

use proptest::prelude::*;

use super::*;

/// A packet with all that a header can have.
fn rich_rtp(sequence_number: u16) -> Vec<u8> {
    let mut packet = vec![0x92, 0xe0];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend([0, 0, 0, 5, 0, 0, 0, 1]);
    packet.extend([1, 1, 1, 1, 2, 2, 2, 2]);
    packet.extend([0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x22, 1, 2, 3, 0, 0]);
    packet.extend([0x55; 33]);
    packet
}

#[test]
fn c113_a_packet_cut_at_any_length_is_refused_and_the_session_goes_on() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        for sequence_number in 0..3 {
            let packet = protect_rtp(&mut protector, &rich_rtp(sequence_number));
            for end in 0..packet.len() {
                assert!(unprotect_rtp(&mut unprotector, &packet[..end]).is_err());
            }
            let plain = unprotect_rtp(&mut unprotector, &packet);
            assert_eq!(plain, Ok(rich_rtp(sequence_number)), "{profile:?}");

            let packet = protect_rtcp(&mut protector, &rtcp(1));
            for end in 0..packet.len() {
                assert!(unprotect_rtcp(&mut unprotector, &packet[..end]).is_err());
            }
            assert_eq!(unprotect_rtcp(&mut unprotector, &packet), Ok(rtcp(1)));
        }
    }
}

#[test]
fn c113_a_packet_with_any_byte_changed_is_refused_and_the_session_goes_on() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        for sequence_number in 0..2 {
            let packet = protect_rtp(&mut protector, &rich_rtp(sequence_number));
            for changed in changes(&packet) {
                assert!(unprotect_rtp(&mut unprotector, &changed).is_err());
            }
            let plain = unprotect_rtp(&mut unprotector, &packet);
            assert_eq!(plain, Ok(rich_rtp(sequence_number)), "{profile:?}");

            let packet = protect_rtcp(&mut protector, &rtcp(1));
            for changed in changes(&packet) {
                assert!(unprotect_rtcp(&mut unprotector, &changed).is_err());
            }
            assert_eq!(unprotect_rtcp(&mut unprotector, &packet), Ok(rtcp(1)));
        }
    }
}

/// The packet with each byte in turn set to each other value.
fn changes(packet: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..packet.len()).flat_map(move |position| {
        (1..=255).map(move |difference| {
            let mut changed = packet.to_vec();
            changed[position] ^= difference;
            changed
        })
    })
}

#[test]
fn c114_srtcp_without_the_encryption_flag_is_refused() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        let packet = protect_rtcp(&mut protector, &rtcp(1));
        let flag = match profile {
            SrtpProfile::Aes128CmHmacSha1_80 => packet.len() - 14,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => packet.len() - 4,
        };
        let mut cleared = packet.clone();
        cleared[flag] &= 0x7f;
        let refused = Err(SrtpError::NotEncrypted);
        assert_eq!(unprotect_rtcp(&mut unprotector, &cleared), refused);

        // A plain PLI with a trailer of zeros, as anyone could send it.
        let mut forged = rtcp(1);
        forged.resize(forged.len() + profile.rtcp_overhead(), 0);
        assert_eq!(unprotect_rtcp(&mut unprotector, &forged), refused);
        assert_eq!(unprotect_rtcp(&mut unprotector, &packet), Ok(rtcp(1)));
    }
}

#[test]
fn c114_a_forged_first_packet_does_not_mute_the_stream() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        // Any number of the forger's choice, also one that would move the window or the counter.
        for number in [0, 1, 0x7fff, 0x8000, 0xffff] {
            let mut forged = rtp(1, number);
            forged.resize(forged.len() + profile.rtp_overhead(), 0);
            let refused = Err(SrtpError::AuthenticationFailed);
            assert_eq!(unprotect_rtp(&mut unprotector, &forged), refused);
        }
        let accepted = (1000..1100)
            .filter(|number| {
                let packet = protect_rtp(&mut protector, &rtp(1, *number));
                unprotect_rtp(&mut unprotector, &packet) == Ok(rtp(1, *number))
            })
            .count();
        assert_eq!(accepted, 100);
    }
}

#[test]
fn c114_forged_packets_never_move_the_counter_or_the_window() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        for index in 65_400..65_700_u32 {
            let packet = protect_rtp(&mut protector, &rtp(1, index as u16));
            for ahead in [0_u16, 1, 100, 2000, 0x7fff, 0x8000, 0xff00] {
                let mut forged = rtp(1, (index as u16).wrapping_add(ahead));
                forged.resize(forged.len() + profile.rtp_overhead(), 0);
                assert!(unprotect_rtp(&mut unprotector, &forged).is_err());
            }
            let plain = unprotect_rtp(&mut unprotector, &packet);
            assert_eq!(plain, Ok(rtp(1, index as u16)), "{profile:?} {index}");
        }
    }
}

#[test]
fn c114_200_000_forged_ssrcs_make_no_state() {
    for (profile, strangers) in PROFILES.into_iter().zip([200_000, 5_000, 5_000]) {
        let (mut protector, mut unprotector) = contexts(profile);
        let genuine = protect_rtp(&mut protector, &rtp(1, 1));
        assert!(unprotect_rtp(&mut unprotector, &genuine).is_ok());
        let before = format!("{unprotector:?}");
        let mut forged = BytesMut::new();
        for ssrc in 2..2 + strangers {
            forged.clear();
            forged.extend_from_slice(&rtp(ssrc, 1)[..12]);
            forged.resize(12 + profile.rtp_overhead(), 0);
            assert!(unprotector.unprotect_rtp(&mut forged).is_err());
            forged.clear();
            forged.extend_from_slice(&rtcp(ssrc)[..8]);
            forged.resize(8 + profile.rtcp_overhead(), 0xff);
            assert!(unprotector.unprotect_rtcp(&mut forged).is_err());
        }
        assert_eq!(
            format!("{unprotector:?}"),
            before,
            "as many ssrcs as before"
        );
        let genuine = protect_rtp(&mut protector, &rtp(1, 2));
        assert!(unprotect_rtp(&mut unprotector, &genuine).is_ok());
    }
}

/// With each of these webrtc-srtp 0.17.2 or the parser before it panics.
const PANICS_OF_WEBRTC_SRTP: [&str; 7] = [
    "b00000000000000000000000bede000100000009",
    "9000000000000000000000001000000100000901",
    "900000000000000000000000100000020000000000000005",
    "900000000000000000000000100000010000000100",
    "900000000000000000000000bede0002000000000300000000",
    "81000000",
    "81000000000000",
];

#[test]
fn what_makes_webrtc_srtp_panic_is_refused_or_carried() {
    for profile in PROFILES {
        for bytes in PANICS_OF_WEBRTC_SRTP.map(hex) {
            let (mut protector, mut unprotector) = contexts(profile);
            assert!(unprotect_rtp(&mut unprotector, &bytes).is_err());
            assert!(unprotect_rtcp(&mut unprotector, &bytes).is_err());

            let mut packet = bytes.clone();
            if protector.protect_rtp(&mut packet, 0).is_ok() {
                assert_eq!(unprotect_rtp(&mut unprotector, &packet), Ok(bytes.clone()));
            }
            let mut packet = bytes.clone();
            if protector.protect_rtcp(&mut packet, 0).is_ok() {
                assert_eq!(unprotect_rtcp(&mut unprotector, &packet), Ok(bytes.clone()));
            }
        }
    }
}

#[test]
fn what_webrtc_srtp_decrypts_at_the_wrong_offset_is_carried() {
    // Identifier 15 stops the elements of a block; an element that runs past its block.
    for block in ["f0000000", "1f000000"] {
        for profile in PROFILES {
            let (mut protector, mut unprotector) = contexts(profile);
            let header = hex("908000070000000000000001bede0001");
            let plain = [&header[..], &hex(block), &[0x77; 50]].concat();
            let packet = protect_rtp(&mut protector, &plain);
            assert_eq!(packet[..20], plain[..20], "the header stays in the clear");
            assert_eq!(unprotect_rtp(&mut unprotector, &packet), Ok(plain));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic_and_none_are_believed(
        first in prop::sample::select(vec![0x80_u8, 0x81, 0x90, 0x9f, 0xb0, 0x00, 0xff]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let bytes: Vec<u8> = [first].into_iter().chain(rest).collect();
        for profile in PROFILES {
            let (mut protector, mut unprotector) = contexts(profile);
            prop_assert!(unprotect_rtp(&mut unprotector, &bytes).is_err());
            prop_assert!(unprotect_rtcp(&mut unprotector, &bytes).is_err());
            let mut packet = bytes.clone();
            if protector.protect_rtp(&mut packet, 0).is_ok() {
                prop_assert_eq!(unprotect_rtp(&mut unprotector, &packet), Ok(bytes.clone()));
            }
            let mut packet = bytes.clone();
            if protector.protect_rtcp(&mut packet, 0).is_ok() {
                prop_assert_eq!(unprotect_rtcp(&mut unprotector, &packet), Ok(bytes.clone()));
            }
        }
    }
}
