//! Datagrams that nobody should have to read.

/// Everything of the list of known panics that fits on the wire, and some garbage beside it.
pub(crate) fn poison() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = RTP
        .iter()
        .chain(SRTCP)
        .chain(AUTHENTICATED_RTCP)
        .chain(STUN)
        .chain(DTLS)
        .map(|hex| bytes(hex))
        .collect();
    all.extend((4..=13).map(|length| {
        let mut short = vec![0; length];
        short[0] = 0x81;
        short
    }));
    // Handshake messages whose cipher-suite or compression lists run past their end.
    for (kind, zeros) in [(1, 52), (2, 51)] {
        let mut hello = bytes("16fefd00000000000000000000");
        hello.push(kind);
        hello.extend(vec![0; zeros]);
        hello.extend([1, 0]);
        all.push(hello);
    }
    all.extend(first_bytes());
    all
}

/// One datagram of each first byte, long and short.
fn first_bytes() -> impl Iterator<Item = Vec<u8>> {
    (0..=255_u8).flat_map(|first| [1, 2, 12, 1_400].map(|length| vec![first; length]))
}

/// The datagram with each byte changed in turn, and cut at each length.
pub(crate) fn damaged(datagram: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let changed = (0..datagram.len()).map(|place| {
        let mut changed = datagram.to_vec();
        changed[place] ^= 1 << (place % 8);
        changed
    });
    let cut = (0..datagram.len()).map(|length| datagram[..length].to_vec());
    changed.chain(cut)
}

/// The same packet under another sequence number: its tag is wrong now.
pub(crate) fn renumbered(packet: &[u8], ahead: u16) -> Vec<u8> {
    let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(ahead);
    let mut forged = packet.to_vec();
    forged[2..4].copy_from_slice(&number.to_be_bytes());
    forged
}

/// Records of epoch 0: alerts, application data, change of cipher, handshake, unknown types.
pub(crate) fn plaintext_records() -> Vec<Vec<u8>> {
    let record = |kind: u8, number: u8, body: &[u8]| {
        let mut record = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, number, 0];
        record.push(body.len() as u8);
        record.extend(body);
        record
    };
    let mut all = Vec::new();
    for number in [0, 1, 200] {
        all.push(record(21, number, &[2, 40]));
        all.push(record(21, number, &[1, 0]));
        all.push(record(23, number, b"hello"));
        all.push(record(20, number, &[1]));
        all.push(record(22, number, &[1; 12]));
        all.push(record(63, number, &[0; 2]));
    }
    all
}

/// One byte of a ClientHello of 60 000.
pub(crate) fn fragment(offset: u32) -> Vec<u8> {
    let mut datagram = bytes("16fefd0000");
    datagram.extend(&u64::from(offset).to_be_bytes()[2..]);
    datagram.extend([0, 13, 1]);
    datagram.extend(&FRAGMENTS.to_be_bytes()[1..]);
    datagram.extend([0, 0]);
    datagram.extend(&offset.to_be_bytes()[1..]);
    datagram.extend([0, 0, 1, 0]);
    datagram
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap())
        .collect()
}

/// The fragments that [`fragment`] belongs to.
pub(crate) const FRAGMENTS: u32 = 60_000;

/// Extensions that run past the packet, in one-byte and two-byte form, and headers longer than
/// the packet: panics of rtp 0.17.2 and webrtc-srtp 0.17.2.
pub(crate) const RTP: &[&str] = &[
    "b00000000000000000000000bede000100000009",
    "9000000000000000000000001000000100000901",
    "900000000000000000000000100000020000000000000005",
    "900000000000000000000000100000010000000100",
    "900000000000000000000000bede0002000000000300000000",
];

/// Too short for what every SRTCP packet ends with: panics of webrtc-srtp 0.17.2.
const SRTCP: &[&str] = &["81000000", "81000000000000", "81c90001", "80c8000600000000"];

/// Feedback whose lengths lie: panics of rtcp 0.17.2.
pub(crate) const AUTHENTICATED_RTCP: &[&str] = &[
    "84ce000100000000",
    "84ce0003000000000000000000000000",
    "8fce0004000000000000000052454d4202000000",
    "8fce0006000000000000000052454d4200ff00000000000000000000",
    "81cd000100000000",
    "8100ff0000000000",
    "9fc8ffff00000000",
    "81ca000100000000",
    "bfcb000100000001",
];

/// Truncated, overlong and unauthenticated STUN.
const STUN: &[&str] = &[
    "00",
    "0001",
    "000100002112a442",
    "0001ffff2112a442000102030405060708090a0b",
    "000100042112a442000102030405060708090a0b0006ffff",
    "000100082112a442000102030405060708090a0b0006000061626364",
    "010100002112a442000102030405060708090a0b",
    "011100082112a442000102030405060708090a0b0009000400000457",
    "0101000c2112a442000102030405060708090a0b002000080001a147e112a643",
    "001100002112a442000102030405060708090a0b",
    "000100082112a442000102030405060708090a0b80280004deadbeef",
];

/// Handshake records of no content, records of lying length, of unknown type and epoch: panics and
/// early ends of dtls 0.17.2.
const DTLS: &[&str] = &[
    "16fefd00000000000000000000100000000000000000000000",
    "16fefd000000000000000000000c0000000000000000000000",
    "16fefd000000000000000000000b0000030000000000000003ffffff",
    "16fefd00000000000000000000",
    "16fefd0000000000000000ffff",
    "16fefd0000000000000000000c010000000000000000ffffff",
    "17fefd00010000000000000000",
    "17fefd0001000000000000001000000000000000000000000000000000",
    "15fefd00010000000000000002020a",
    "14fefd0000000000000000000101",
    "3ffefd0000000000000000000000",
    "14",
    "3f",
];
