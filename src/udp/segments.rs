//! Batches of packets of one size, in as few system calls as the kernel allows.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn_udp::Transmit;

/// Where the kernel was asked to split a batch into packets and refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusals<'a> {
    /// On the way to the address in question. It may be the way's fault: a device or an IPsec policy.
    pub(super) here: &'a AtomicBool,
    /// On the way to any address of the socket.
    pub(super) anywhere: &'a AtomicBool,
}

/// Sends in as few calls as `send` allows: in chunks that the kernel takes, or one by one
/// where it refuses to split them. That is found out once for each way.
pub(super) fn send_segments(
    transmit: &Transmit<'_>,
    segment: usize,
    refused: Refusals<'_>,
    mut send: impl FnMut(&Transmit<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let chunk = segment * (MAX_SEGMENTS.min(MAX_PAYLOAD / segment)).max(1);
    for contents in transmit.contents.chunks(chunk) {
        let whole = Transmit {
            contents,
            segment_size: (contents.len() > segment).then_some(segment),
            ..transmit.clone()
        };
        if refused.here.load(Ordering::Relaxed) {
            send_one_by_one(&whole, segment, &mut send)?;
            continue;
        }
        match send(&whole) {
            Err(error) if whole.segment_size.is_some() && may_refuse_segmentation(&error) => {
                // A wrong address fails here as well; then segmentation is not to blame.
                send_one_by_one(&whole, segment, &mut send)?;
                refused.here.store(true, Ordering::Relaxed);
                if !refused.anywhere.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        destination = %transmit.destination, %error,
                        "no segmentation offload on the way to this address; packets go one by one"
                    );
                }
            }
            sent => sent?,
        }
    }
    Ok(())
}

fn send_one_by_one(
    transmit: &Transmit<'_>,
    segment: usize,
    send: &mut impl FnMut(&Transmit<'_>) -> io::Result<()>,
) -> io::Result<()> {
    transmit.contents.chunks(segment).try_for_each(|contents| {
        send(&Transmit {
            contents,
            segment_size: None,
            ..transmit.clone()
        })
    })
}

/// What Linux says where checksums or IPsec forbid to split later (EIO), or the socket's options do (EINVAL).
/// It says the latter of some addresses as well; any other error has nothing to do with it.
fn may_refuse_segmentation(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput || error.raw_os_error() == Some(EIO)
}

/// Input/output error, which has no kind of its own.
const EIO: i32 = 5;

/// Linux `UDP_MAX_SEGMENTS`.
const MAX_SEGMENTS: usize = 64;
/// Largest payload of one IPv4 datagram, which bounds a segmented send too.
const MAX_PAYLOAD: usize = 65_507;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A way on which packets of 100 bytes are sent, and what was sent: sizes and segment sizes.
    #[derive(Default)]
    struct Way {
        here: AtomicBool,
        anywhere: AtomicBool,
        calls: Vec<(usize, Option<usize>)>,
    }

    impl Way {
        fn send(
            &mut self,
            bytes: usize,
            mut verdict: impl FnMut(&Transmit<'_>) -> io::Result<()>,
        ) -> io::Result<()> {
            let transmit = Transmit {
                destination: SocketAddr::from(([192, 0, 2, 1], 9)),
                ecn: None,
                contents: &vec![0; bytes],
                segment_size: None,
                src_ip: None,
            };
            self.calls.clear();
            let refused = Refusals {
                here: &self.here,
                anywhere: &self.anywhere,
            };
            send_segments(&transmit, 100, refused, |transmit| {
                self.calls
                    .push((transmit.contents.len(), transmit.segment_size));
                verdict(transmit)
            })
        }

        fn refused(&self) -> [bool; 2] {
            [&self.here, &self.anywhere].map(|flag| flag.load(Ordering::Relaxed))
        }
    }

    fn refuse_to_split(transmit: &Transmit<'_>) -> io::Result<()> {
        match transmit.segment_size {
            Some(_) => Err(io::Error::from_raw_os_error(EIO)),
            None => Ok(()),
        }
    }

    #[test]
    fn a_batch_goes_in_chunks_that_the_kernel_takes() {
        let mut way = Way::default();
        way.send(6601, |_| Ok(())).unwrap();
        assert_eq!(way.calls, [(6400, Some(100)), (201, Some(100))]);
        // One packet is left: nothing to split.
        way.send(6450, |_| Ok(())).unwrap();
        assert_eq!(way.calls, [(6400, Some(100)), (50, None)]);
    }

    #[test]
    fn a_chunk_is_no_larger_than_a_datagram_may_be() {
        let mut largest = 0;
        let refused = AtomicBool::new(false);
        let refused = Refusals {
            here: &refused,
            anywhere: &refused,
        };
        let transmit = Transmit {
            destination: SocketAddr::from(([192, 0, 2, 1], 9)),
            ecn: None,
            contents: &[0; 1200 * 100 + 7],
            segment_size: None,
            src_ip: None,
        };
        let mut sent = 0;
        send_segments(&transmit, 1200, refused, |chunk| {
            largest = largest.max(chunk.contents.len());
            sent += chunk.contents.len();
            Ok(())
        })
        .unwrap();
        assert_eq!((largest, sent), (64_800, 120_007));
    }

    #[test]
    fn a_kernel_that_refuses_to_split_is_asked_once_on_each_way() {
        let mut way = Way::default();
        way.send(250, refuse_to_split).unwrap();
        assert_eq!(
            way.calls,
            [(250, Some(100)), (100, None), (100, None), (50, None)]
        );
        assert_eq!(way.refused(), [true, true]);
        way.send(250, refuse_to_split).unwrap();
        assert_eq!(way.calls, [(100, None), (100, None), (50, None)]);

        // Another way of the same socket has its own devices and policies.
        let mut other = Way {
            anywhere: way.anywhere,
            ..Way::default()
        };
        other.send(250, |_| Ok(())).unwrap();
        assert_eq!(other.calls, [(250, Some(100))]);
    }

    #[test]
    fn a_wrong_address_is_not_taken_for_a_refusal_to_split() {
        let mut way = Way::default();
        let sent = way.send(250, |_| Err(io::ErrorKind::InvalidInput.into()));
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(way.calls, [(250, Some(100)), (100, None)]);
        assert_eq!(way.refused(), [false, false]);
    }

    #[test]
    fn an_error_that_says_nothing_of_splitting_is_told_and_nothing_tried_again() {
        // A packet filter that drops one of a hundred batches gave up segmentation for all peers:
        // it fails the batch, and lets the packets through that are sent one by one after it.
        for kind in [
            io::ErrorKind::WouldBlock,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::OutOfMemory,
        ] {
            let mut way = Way::default();
            let sent = way.send(250, |transmit| match transmit.segment_size {
                Some(_) => Err(kind.into()),
                None => Ok(()),
            });
            assert_eq!(sent.unwrap_err().kind(), kind);
            assert_eq!(way.calls, [(250, Some(100))]);
            assert_eq!(way.refused(), [false, false]);
        }
    }
}
