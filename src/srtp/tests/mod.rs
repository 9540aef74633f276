//! The contexts as a whole: against published vectors, against webrtc-srtp, against hostile bytes.

mod against_webrtc_srtp;
mod contexts;
mod hostile;
mod vectors;

use bytes::BytesMut;

use super::{Protector, SrtpError, SrtpMasterKey, SrtpProfile, Unprotector};

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::Aes128CmHmacSha1_80,
];

fn master_key(profile: SrtpProfile) -> SrtpMasterKey {
    SrtpMasterKey {
        key: (1..).take(profile.key_len()).collect(),
        salt: (101..).take(profile.salt_len()).collect(),
    }
}

fn contexts(profile: SrtpProfile) -> (Protector, Unprotector) {
    let key = master_key(profile);
    (
        Protector::new(profile, &key).unwrap(),
        Unprotector::new(profile, &key).unwrap(),
    )
}

/// A plain RTP packet without CSRCs and extension, with a payload that depends on its number.
fn rtp(ssrc: u32, sequence_number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x60];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend([0, 0, 0x10, 0]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..40).map(|i: u8| i ^ sequence_number.to_be_bytes()[1]));
    packet
}

/// A plain compound RTCP packet: an empty receiver report and a PLI.
fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 206, 0, 2]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet
}

fn protect_rtp(protector: &mut Protector, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    protector.protect_rtp(&mut packet, 0).unwrap();
    packet
}

fn protect_rtcp(protector: &mut Protector, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    protector.protect_rtcp(&mut packet, 0).unwrap();
    packet
}

fn unprotect_rtp(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = BytesMut::from(packet);
    unprotector.unprotect_rtp(&mut packet)?;
    Ok(packet.to_vec())
}

fn unprotect_rtcp(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = BytesMut::from(packet);
    unprotector.unprotect_rtcp(&mut packet)?;
    Ok(packet.to_vec())
}

/// Bytes from hexadecimal digits; white space between them is free.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks_exact(2).map(|p| p[0] << 4 | p[1]).collect()
}
