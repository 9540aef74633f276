//! Of one peer connection.

use super::define::limits;
use crate::rtp_transport::MediaLimits;

limits! {
    /// What one peer connection takes, of its remote side and of its owner.
    ///
    /// ```
    /// # use ractor_webrtc::limits::PeerLimits;
    /// let limits = PeerLimits::default().transceivers(16).remote_candidates(64);
    /// ```
    PeerLimits {
        /// Length of a remote description in bytes: 256 KiB. Six videos and three audios of Chromium take 36. A longer one is refused with
        /// [`NegotiationError::TooLong`](crate::jsep::NegotiationError::TooLong), unread.
        description_bytes: 256 * 1024,
        /// Attributes (`a=`) of a remote description, all m-lines together: 16,384. Nine m-lines of Chromium take 1300. A description with more is
        /// refused with [`NegotiationError::TooMany`](crate::jsep::NegotiationError::TooMany).
        attributes: 16 * 1024,
        /// Transceivers, and so m-lines, since stopped ones keep theirs: 256. `add_track` and `add_transceiver` refuse more with
        /// [`TransceiverError::TooMany`](crate::jsep::TransceiverError::TooMany), a remote description that asks for more is refused with
        /// [`NegotiationError::TooMany`](crate::jsep::NegotiationError::TooMany).
        transceivers: 256,
        /// Formats of one m-line: 128, as there are payload types. More are refused with
        /// [`NegotiationError::TooMany`](crate::jsep::NegotiationError::TooMany).
        formats: 128,
        /// Header extensions of one m-line: 64. Chromium has 15. More are refused with
        /// [`NegotiationError::TooMany`](crate::jsep::NegotiationError::TooMany).
        header_extensions: 64,
        /// Remote candidates of one ICE session, and as many that wait for a description: 256. A browser with many interfaces and servers has some
        /// dozens. `add_ice_candidate` refuses more with [`CandidateError::TooMany`](crate::jsep::CandidateError::TooMany), and those of a
        /// description are passed over.
        remote_candidates: 256,
        /// Local candidates of one gathering: 64. Those beyond are not offered, and the log says so.
        local_candidates: 64,
        /// SSRCs of the remote side of which something is known at the same time, retransmissions and feedback counted: 256. The one that has been silent
        /// longest is forgotten for a new one ([`streams_forgotten`](crate::peer_connection::MediaStats::streams_forgotten)). SRTP, which must not
        /// forget what it has seen, takes four times as many in the whole session and refuses the rest
        /// ([`ssrcs_refused`](crate::peer_connection::MediaStats::ssrcs_refused)).
        ssrcs: 256,
        /// Peers that one remote track, or one of its encodings, is sent to by route, on each socket: 16,384. [`set_route`](crate::PeerConnection::set_route)
        /// refuses more with [`RouteError::TooMany`](crate::peer_connection::RouteError::TooMany).
        subscribers: 16 * 1024,
        /// Bytes of each sent stream that are kept to be sent again: 2 MiB, a second at 16 Mbit/s. The oldest go; who asks for them is counted
        /// ([`retransmission_missed`](crate::peer_connection::MediaStats::retransmission_missed)).
        retransmission_bytes: 2 << 20,
        /// Packets that wait for their turn on the path, in each of two queues (pictures; repairs): 2048, two seconds of 10 Mbit/s. The oldest go
        /// ([`paced_out`](crate::peer_connection::MediaStats::paced_out)).
        paced_packets: 2048,
    }
    /// How much media may wait at each place where it can wait. The oldest goes; every drop is counted and told.
    media: MediaLimits,
}
