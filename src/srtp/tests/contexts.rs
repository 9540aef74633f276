//! What the contexts promise to those who call them.

use super::*;

#[test]
fn a_packet_is_protected_where_it_lies_at_the_end_of_a_slab() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        let mut slab = Vec::with_capacity(4096);
        let before = slab.as_ptr();
        let mut starts = Vec::new();
        for sequence_number in 0..20 {
            starts.push(slab.len());
            slab.extend(rtp(1, sequence_number));
            protector
                .protect_rtp(&mut slab, starts[usize::from(sequence_number)])
                .unwrap();
        }
        starts.push(slab.len());
        assert_eq!(slab.as_ptr(), before, "the slab has not moved");
        for (sequence_number, ends) in (0..).zip(starts.windows(2)) {
            let plain = rtp(1, sequence_number);
            assert_eq!(ends[1] - ends[0], plain.len() + profile.rtp_overhead());
            let packet = &slab[ends[0]..ends[1]];
            assert_eq!(unprotect_rtp(&mut unprotector, packet).unwrap(), plain);
        }
    }
}

#[test]
fn overheads_are_what_packets_grow_by() {
    for profile in PROFILES {
        let (mut protector, _) = contexts(profile);
        let grown = protect_rtp(&mut protector, &rtp(1, 1)).len() - rtp(1, 1).len();
        assert_eq!(grown, profile.rtp_overhead());
        let grown = protect_rtcp(&mut protector, &rtcp(1)).len() - rtcp(1).len();
        assert_eq!(grown, profile.rtcp_overhead());
    }
}

#[test]
fn a_start_beyond_the_slab_is_an_error() {
    let (mut protector, _) = contexts(SrtpProfile::AeadAes128Gcm);
    let refused = SrtpError::TooShort {
        needed: 12,
        actual: 0,
    };
    assert_eq!(protector.protect_rtp(&mut rtp(1, 1), 1000), Err(refused));
    let refused = SrtpError::TooShort {
        needed: 8,
        actual: 0,
    };
    assert_eq!(protector.protect_rtcp(&mut rtcp(1), 1000), Err(refused));
}

#[test]
fn keys_of_another_length_make_no_context() {
    let key = master_key(SrtpProfile::AeadAes256Gcm);
    let profile = SrtpProfile::AeadAes128Gcm;
    assert!(matches!(
        Protector::new(profile, &key),
        Err(SrtpError::KeyLength { .. })
    ));
    assert!(matches!(
        Unprotector::new(profile, &key),
        Err(SrtpError::KeyLength { .. })
    ));
}

#[test]
fn no_index_is_protected_twice() {
    for profile in PROFILES {
        let (mut protector, _) = contexts(profile);
        protect_rtp(&mut protector, &rtp(1, 500));
        protect_rtp(&mut protector, &rtp(1, 502));
        protect_rtp(&mut protector, &rtp(1, 501));
        let mut again = rtp(1, 501);
        let refused = SrtpError::Repeated {
            ssrc: 1,
            index: 501,
        };
        assert_eq!(protector.protect_rtp(&mut again, 0), Err(refused));
        assert_eq!(again, rtp(1, 501), "left as it was");
        protect_rtp(&mut protector, &rtp(2, 501));
    }
}

#[test]
fn what_lies_before_the_first_packet_is_not_sealed_a_cycle_ahead() {
    let (mut protector, _) = contexts(SrtpProfile::AeadAes128Gcm);
    protect_rtp(&mut protector, &rtp(1, 0));
    let refused = SrtpError::TooOld {
        ssrc: 1,
        index: 0xffff,
    };
    assert_eq!(
        protector.protect_rtp(&mut rtp(1, 0xffff), 0),
        Err(refused),
        "not ahead by a cycle"
    );
    protect_rtp(&mut protector, &rtp(1, 40_000));
}

#[test]
fn a_replayed_packet_is_refused() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        let packets: Vec<_> = (0..2000)
            .map(|n| protect_rtp(&mut protector, &rtp(1, n)))
            .collect();
        for packet in &packets {
            assert!(unprotect_rtp(&mut unprotector, packet).is_ok());
        }
        for (index, packet) in (0_u64..).zip(&packets) {
            let refused = if index < 2000 - 1024 {
                SrtpError::TooOld { ssrc: 1, index }
            } else {
                SrtpError::Repeated { ssrc: 1, index }
            };
            assert_eq!(unprotect_rtp(&mut unprotector, packet), Err(refused));
        }
    }
}

#[test]
fn a_replayed_rtcp_packet_is_refused() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        let packets: Vec<_> = (0..200)
            .map(|_| protect_rtcp(&mut protector, &rtcp(1)))
            .collect();
        for packet in packets.iter().rev().take(100) {
            assert!(unprotect_rtcp(&mut unprotector, packet).is_ok());
        }
        for (index, packet) in (0_u64..).zip(&packets) {
            let refused = match index {
                0..72 => Err(SrtpError::TooOld { ssrc: 1, index }),
                72..100 => Ok(rtcp(1)),
                _ => Err(SrtpError::Repeated { ssrc: 1, index }),
            };
            assert_eq!(unprotect_rtcp(&mut unprotector, packet), refused);
        }
    }
}

#[test]
fn one_ssrc_too_many_is_refused_and_the_others_go_on() {
    for profile in PROFILES {
        let key = master_key(profile);
        let mut wide = Protector::new(profile, &key).unwrap();
        let mut protector = Protector::new(profile, &key).unwrap().with_max_ssrcs(2);
        let mut unprotector = Unprotector::new(profile, &key).unwrap().with_max_ssrcs(2);
        let refused = SrtpError::TooManySsrcs { limit: 2 };
        for ssrc in [1, 2] {
            let packet = protect_rtp(&mut protector, &rtp(ssrc, 1));
            assert!(unprotect_rtp(&mut unprotector, &packet).is_ok());
            let packet = protect_rtcp(&mut protector, &rtcp(ssrc));
            assert!(unprotect_rtcp(&mut unprotector, &packet).is_ok());
        }

        let mut third = rtp(3, 1);
        assert_eq!(protector.protect_rtp(&mut third, 0), Err(refused));
        assert_eq!(third, rtp(3, 1), "left as it was");
        assert_eq!(protector.protect_rtcp(&mut rtcp(3), 0), Err(refused));
        let packet = protect_rtp(&mut wide, &rtp(3, 1));
        assert_eq!(unprotect_rtp(&mut unprotector, &packet), Err(refused));
        let packet = protect_rtcp(&mut wide, &rtcp(3));
        assert_eq!(unprotect_rtcp(&mut unprotector, &packet), Err(refused));

        let packet = protect_rtp(&mut protector, &rtp(1, 2));
        assert!(unprotect_rtp(&mut unprotector, &packet).is_ok());
    }
}

#[test]
fn what_no_datagram_carries_is_refused() {
    for profile in PROFILES {
        let (mut protector, mut unprotector) = contexts(profile);
        let mut longest = rtp(1, 1);
        longest.resize(65_535 - profile.rtp_overhead(), 0);
        let packet = protect_rtp(&mut protector, &longest);
        assert_eq!(unprotect_rtp(&mut unprotector, &packet).unwrap(), longest);

        let refused = Err(SrtpError::TooLong { actual: 65_536 });
        let mut longer = rtp(1, 2);
        longer.resize(65_536 - profile.rtp_overhead(), 0);
        assert_eq!(protector.protect_rtp(&mut longer, 0), refused);
        let mut longer = BytesMut::from(&rtp(1, 2)[..]);
        longer.resize(65_536, 0);
        assert_eq!(unprotector.unprotect_rtp(&mut longer), refused);
        assert_eq!(unprotector.unprotect_rtcp(&mut longer), refused);
    }
}
