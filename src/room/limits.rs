//! How much a room takes, and how long it waits.

use std::time::Duration;

/// How many, and how much of each.
///
/// ```
/// # use ractor_webrtc::room::RoomLimits;
/// let limits = RoomLimits { participants: 12, ..RoomLimits::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// In the room at the same time: 64. Each of them is sent the tracks of all others, and a session has 256
    /// m-lines at most.
    pub participants: usize,
    /// Tracks that one participant may publish at the same time: 6. What is more is not forwarded, and told
    /// ([`RoomEvent::NotForwarded`](super::RoomEvent::NotForwarded)).
    pub tracks_per_participant: usize,
    /// What one participant may say in a second in the long run: 50. Descriptions, candidates, labels and mutes count.
    pub messages_per_second: u32,
    /// What it may say at once: 200. Who says more leaves
    /// ([`LeaveReason::TooManyMessages`](super::LeaveReason::TooManyMessages)).
    pub message_burst: u32,
    /// Labels that one participant may give: 16. Further ones are passed over.
    pub labels_per_participant: usize,
    /// Length of a name, a key, a label: 256 bytes.
    pub text_bytes: usize,
    /// How often the forwarder may fail within [`RoomTimes::forwarder_period`] and be started again: 5 times. Then the room
    /// ends.
    pub forwarder_restarts: usize,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            participants: 64,
            tracks_per_participant: 6,
            messages_per_second: 50,
            message_burst: 200,
            labels_per_participant: 16,
            text_bytes: 256,
            forwarder_restarts: 5,
        }
    }
}

/// How long a room waits for what.
///
/// ```
/// # use std::time::Duration;
/// # use ractor_webrtc::room::RoomTimes;
/// let times = RoomTimes { reconnecting: Duration::from_secs(60), ..RoomTimes::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomTimes {
    /// From the first offer, whoever makes it, to the connection: 30 s. Then the participant leaves
    /// ([`LeaveReason::NeverConnected`](super::LeaveReason::NeverConnected)). One that has nothing to send in a room where nobody
    /// sends needs no connection, and stays.
    pub connecting: Duration,
    /// After ICE has failed: 30 s, in which an ICE restart by the page saves the visit. Then the participant leaves
    /// ([`LeaveReason::ConnectionLost`](super::LeaveReason::ConnectionLost)). ICE fails 30 s after it has last heard of a
    /// page ([`ice_timeouts`](crate::PeerConnectionBuilder::ice_timeouts)); `disconnected`, before that, ends nothing.
    pub reconnecting: Duration,
    /// How often the loudness of a track is looked at: every 100 ms.
    pub audio_level: Duration,
    /// See [`RoomLimits::forwarder_restarts`]: 60 s.
    pub forwarder_period: Duration,
}

impl Default for RoomTimes {
    fn default() -> Self {
        Self {
            connecting: Duration::from_secs(30),
            reconnecting: Duration::from_secs(30),
            audio_level: Duration::from_millis(100),
            forwarder_period: Duration::from_secs(60),
        }
    }
}
