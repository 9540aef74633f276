//! How much of us one page may take.

use std::time::Duration;

/// What a page may take, and how long either side may take for it. The defaults suit a browser that negotiates.
///
/// ```
/// # use ractor_webrtc::signaling::websocket::WebSocketLimits;
/// // Offers grow with every participant of a room.
/// let limits = WebSocketLimits { message_bytes: 512 * 1024, ..WebSocketLimits::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The size of a message from the page (64 KiB). A browser's offer with every codec it knows has about 6 KiB for each
    /// m-line of video.
    pub message_bytes: usize,
    /// How many messages to the page may wait for its socket (64).
    pub backlog: usize,
    /// How many messages in a row may be nonsense (16).
    pub nonsense: u32,
    /// How often the page is pinged (10 s). A browser answers by itself.
    pub ping_interval: Duration,
    /// How long nothing at all may come from the page (30 s).
    pub silence: Duration,
    /// How long the socket may refuse to take one message (5 s): a page that is alive reads.
    pub writing: Duration,
    /// How long the door may take to let a page in, its actor to take a message, and then to stop (10 s).
    pub handling: Duration,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            backlog: 64,
            nonsense: 16,
            ping_interval: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            writing: Duration::from_secs(5),
            handling: Duration::from_secs(10),
        }
    }
}
