//! RTCP: datagrams as they come out of SRTCP.

use bytes::Bytes;

use crate::rtp::RtcpPacket;

/// One datagram. What is read can be shown, and what can be written is read as the same again.
pub(super) fn rtcp(data: &[u8]) {
    let Ok(packets) = RtcpPacket::parse_compound(&Bytes::copy_from_slice(data)) else {
        return;
    };
    assert!(!packets.is_empty());
    for packet in packets {
        assert!(!format!("{packet:?}").is_empty());
        let mut once = Vec::new();
        if packet.write(&mut once).is_err() {
            // Padding of a stranger can leave a body that is no multiple of four bytes.
            assert!(matches!(
                packet,
                RtcpPacket::Other(_) | RtcpPacket::TransportCc(_)
            ));
            continue;
        }
        // The first writing brings it into our form; from then on nothing changes.
        let again = RtcpPacket::parse_compound(&Bytes::copy_from_slice(&once));
        let again = again.expect("we write sound packets");
        let mut twice = Vec::new();
        for packet in again {
            packet.write(&mut twice).expect("it was written before");
        }
        assert_eq!(once, twice);
    }
}
