//! Published test vectors.

use crate::srtp::cipher::PacketId;
use crate::srtp::cm::CmCipher;
use crate::srtp::gcm::GcmCipher;
use crate::srtp::key_derivation::{Label, derive};

use super::*;

#[test]
fn rfc_3711_b2_the_aes_cm_keystream() {
    let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd");
    let cipher = CmCipher::from_session_keys(
        key.first_chunk().unwrap(),
        *salt.first_chunk().unwrap(),
        &[0; 20],
    );
    // The vector counts to block 0xff01: more than a datagram, yet the counter must not carry.
    let mut keystream = vec![0; 16 * 0xff02];
    cipher.apply_keystream(PacketId { ssrc: 0, index: 0 }, &mut keystream);
    for (block, expected) in [
        (0x0000, "e03ead0935c95e80e166b16dd92b4eb4"),
        (0x0001, "d23513162b02d0f72a43a2fe4a5f97ab"),
        (0x0002, "41e95b3bb0a2e8dd477901e4fca894c0"),
        (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
        (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
        (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
    ] {
        assert_eq!(keystream[16 * block..][..16], hex(expected), "{block:#x}");
    }
}

#[test]
fn rfc_3711_b3_the_key_derivation() {
    let master = SrtpMasterKey {
        key: hex("e1f97a0d3e018be0d64fa32c06de4139"),
        salt: hex("0ec675ad498afeebb6960b3aabe6"),
    };
    let encryption: [u8; 16] = derive(&master, Label::RtpEncryption);
    assert_eq!(encryption[..], hex("c61e7a93744f39ee10734afe3ff7a087"));
    let salt: [u8; 14] = derive(&master, Label::RtpSalt);
    assert_eq!(salt[..], hex("30cbbc08863d8c85d49db34a9ae1"));
    let authentication: [u8; 94] = derive(&master, Label::RtpAuthentication);
    let expected = hex("
        cebe321f6ff7716b6fd4ab49af256a15 6d38baa48f0a0acf3c34e2359e6cdbce
        e049646c43d9327ad175578ef7227098 6371c10c9a369ac2f94a8c5fbcdddc25
        6d6e919a48b610ef17c2041e47403576 6b68642c59bbfc2f34db60dbdfb2");
    assert_eq!(authentication[..], expected);
}

#[test]
fn rfc_6188_7_2_the_key_derivation_with_256_bits() {
    let master = SrtpMasterKey {
        key: hex("f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6"),
        salt: hex("3b04803de51ee7c96423ab5b78d2"),
    };
    let encryption: [u8; 32] = derive(&master, Label::RtpEncryption);
    let expected = hex("5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4");
    assert_eq!(encryption[..], expected);
    let salt: [u8; 14] = derive(&master, Label::RtpSalt);
    assert_eq!(salt[..], hex("fa31791685ca444a9e07c6c64e93"));
    let authentication: [u8; 20] = derive(&master, Label::RtpAuthentication);
    let expected = hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
    assert_eq!(authentication[..], expected);
}

/// RFC 7714 §16 and §17 give session keys: 16 or 32 of these bytes, and "Quid pro quo" as salt.
fn rfc_7714_cipher(key_len: u8) -> GcmCipher {
    let key: Vec<u8> = (0..key_len).collect();
    GcmCipher::from_session_keys(&key, *b"Quid pro quo")
}

#[test]
fn rfc_7714_16_rtp_with_128_and_256_bits() {
    let plain = hex("
        8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e6973
        206469766973612069 6e207061727465732074726573");
    let id = PacketId {
        ssrc: 0x5501_a0b2,
        index: 0xf17b,
    };
    for (key_len, expected) in [
        (
            16,
            "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bca
             be633bd50d294e6f42a5f47a51c7d19b36de3adf8833 899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aa
             b18012389a58e2f3b50b2a0276ffae0f1ba63799b87b 7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let cipher = rfc_7714_cipher(key_len);
        let mut packet = plain.clone();
        cipher.seal_rtp(&mut packet, 0, 12, id).unwrap();
        assert_eq!(packet, hex(expected));
        let length = cipher.open_rtp(&mut packet, 12, id).unwrap();
        assert_eq!(packet[..length], plain);
    }
}

#[test]
fn rfc_7714_17_rtcp_with_128_and_256_bits() {
    let plain = hex("
        81c8000d4d617273 4e5450314e5450325254502 00000042a0000e9304c756e61
        deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    let id = PacketId {
        ssrc: 0x4d61_7273,
        index: 0x5d4,
    };
    for (key_len, expected) in [
        (
            16,
            "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda
             4ce09b4686303ded0bb9275b c84aa45896cf4d2fc5abf87245d9eade 800005d4",
        ),
        (
            32,
            "81c8000d4d617273 d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be
             8415f658c61de0476f1b6fad 1d1eb30c4446839f57ff6f6cb26ac3be 800005d4",
        ),
    ] {
        let cipher = rfc_7714_cipher(key_len);
        let mut packet = plain.clone();
        cipher.seal_rtcp(&mut packet, 0, id).unwrap();
        assert_eq!(packet, hex(expected));
        let length = cipher.open_rtcp(&mut packet, id).unwrap();
        assert_eq!(packet[..length], plain);
    }
}

/// The packets that libsrtp checks itself with (cisco/libsrtp: test/srtp_driver.c): from the master
/// key on, with both protocols. Its SRTCP indices begin with 1.
#[test]
fn the_reference_packets_of_libsrtp() {
    struct Reference {
        profile: SrtpProfile,
        key: &'static str,
        salt: &'static str,
        rtp: &'static str,
        rtcp: &'static str,
    }
    for reference in [
        Reference {
            profile: SrtpProfile::Aes128CmHmacSha1_80,
            key: "e1f97a0d3e018be0d64fa32c06de4139",
            salt: "0ec675ad498afeebb6960b3aabe6",
            rtp: "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
            rtcp: "81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798",
        },
        Reference {
            profile: SrtpProfile::AeadAes128Gcm,
            key: "000102030405060708090a0b0c0d0e0f",
            salt: "a0a1a2a3a4a5a6a7a8a9aaab",
            rtp: "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e
                  d2976826f796b201df3131a127e8a392",
            rtcp: "81c8000bcafebabe c98b8b5df0392a55852b6c21ac8e7025
                   c52c6fbea2b3b446ea31123ba88ce61e 80000001",
        },
    ] {
        let key = SrtpMasterKey {
            key: hex(reference.key),
            salt: hex(reference.salt),
        };
        let mut unprotector = Unprotector::new(reference.profile, &key).unwrap();
        let mut protector = Protector::new(reference.profile, &key).unwrap();

        let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
        let protected = hex(reference.rtp);
        assert_eq!(protect_rtp(&mut protector, &plain), protected);
        assert_eq!(unprotect_rtp(&mut unprotector, &protected).unwrap(), plain);

        let plain = hex("81c8000bcafebabe abababababababababababababababab");
        let protected = hex(reference.rtcp);
        assert_eq!(unprotect_rtcp(&mut unprotector, &protected).unwrap(), plain);
        protect_rtcp(&mut protector, &plain);
        assert_eq!(protect_rtcp(&mut protector, &plain), protected);
    }
}
