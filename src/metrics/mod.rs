//! Figures of all peers of the process for the facade of the crate [`metrics`](https://docs.rs/metrics): feature `metrics`.
//!
//! Whatever recorder the application has installed gets them; without one nothing is kept. For Prometheus see the
//! [guide](crate::guides::deploying::bare). Install the recorder before the first peer starts, since gauges are told by how
//! much they change, and call [`describe`] then: it has every name appear at once, with its unit and what it means.
//!
//! No figure names a peer, a track or an address, so there are as many series as this table has, however many peers come
//! and go. What concerns one peer is in its [statistics](crate::stats) and in its log.
//!
//! | name | what | labels |
//! | --- | --- | --- |
//! | `ractor_webrtc_peers` | gauge: running peers by their connection state | `state`: `new`, `connecting`, `connected`, `disconnected`, `failed`, `closed` (ending) |
//! | `ractor_webrtc_peers_started_total` | peers that were started | |
//! | `ractor_webrtc_peers_closed_total` | peers that have ended, by [`CloseReason`](crate::CloseReason) | `reason`: `requested`, `owner_gone`, `stopped`, `crashed`, `part_failed` |
//! | `ractor_webrtc_connect_seconds` | histogram: from the first `connecting` of a peer to its first `connected` | |
//! | `ractor_webrtc_ice_failures_total` | times that ICE said `failed` | |
//! | `ractor_webrtc_ice_disconnections_total` | times that ICE said `disconnected` | |
//! | `ractor_webrtc_dtls_failures_total` | handshakes that failed | `reason`: `fingerprint`, `srtp_profile`, `peer_alert`, `timeout`, `handshake`, `internal` |
//! | `ractor_webrtc_rtp_packets_received_total` | RTP packets that were decrypted | |
//! | `ractor_webrtc_rtp_bytes_received_total` | their bytes, decrypted | |
//! | `ractor_webrtc_rtcp_datagrams_received_total` | RTCP datagrams that were decrypted and read | |
//! | `ractor_webrtc_packets_delivered_total` | packets told to owners | |
//! | `ractor_webrtc_packets_routed_total` | packets that came by route, counted at each peer that they came to | |
//! | `ractor_webrtc_datagrams_sent_total` | RTP and RTCP datagrams that a socket took | |
//! | `ractor_webrtc_bytes_sent_total` | their bytes | |
//! | `ractor_webrtc_packets_dropped_total` | packets that went no further | `reason`: the counters of [`MediaStats`](crate::peer_connection::MediaStats) that say so, by their names |
//! | `ractor_webrtc_packets_paced_total` | packets that waited for their turn to be sent | |
//! | `ractor_webrtc_padding_packets_sent_total` | packets of padding, to find out what a path takes | |
//! | `ractor_webrtc_transport_feedback_total` | transport-wide feedback received | |
//! | `ractor_webrtc_transport_feedback_refused_total` | feedback of no use (`malformed`, `overflow`), and packets that it names and that were never sent (`unknown`) | `reason`: `malformed`, `unknown`, `overflow` |
//! | `ractor_webrtc_nacks_total` | NACK packets | `direction`: `sent`, `received` |
//! | `ractor_webrtc_packets_repaired_total` | missing packets that came when they were asked for | |
//! | `ractor_webrtc_packets_unrepaired_total` | missing packets that never came | |
//! | `ractor_webrtc_stream_jumps_total` | jumps of a stream over more packets than can be asked for | |
//! | `ractor_webrtc_streams_forgotten_total` | streams forgotten for others, above the limit of a peer | |
//! | `ractor_webrtc_packets_retransmitted_total` | packets sent again | |
//! | `ractor_webrtc_retransmissions_refused_total` | packets that were asked for and not sent again | `reason`: `missed`, `suppressed`, `unknown` |
//! | `ractor_webrtc_retransmissions_unneeded_total` | retransmissions received that brought nothing | `reason`: `probe`, `repeated` |
//! | `ractor_webrtc_keyframe_requests_total` | PLI and FIR | `direction`: `sent`, `received` |
//! | `ractor_webrtc_keyframes_given_up_total` | keyframes that never came | |
//! | `ractor_webrtc_lane_packets` | gauge: packets that wait in the queues of the media path, of all peers together, when they were last looked at | `lane`: `inbound`, `owner`, `waiting`, `outbound`, `route` |
//!
//! **When.** States, ends and failures at once. What the media path counts, with a peer's reports, so about once a second while media
//! flows, and once more when it ends, however it ends: no packet pays for it, and no count is lost.

mod media;
mod names;
mod peer;

pub(crate) use self::media::MediaMeter;
pub use self::names::describe;
pub(crate) use self::peer::PeerMeter;
