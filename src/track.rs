//! Tracks and streams: what media is called.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;
use serde::{Deserialize, Serialize, Serializer};

use crate::rtp::Rid;

/// Whether a track carries sound or pictures. In JSON `"audio"` or `"video"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

impl MediaKind {
    /// The word of the session description: `audio` or `video`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one [`MediaStreamTrack`] within this process. Never used again for another track. In JSON a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrackId(u64);

impl TrackId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "track-{}", self.0)
    }
}

/// Identifier of a media stream: tracks that name the same stream are played in time with
/// each other (W3C `MediaStream.id`, the first half of `a=msid`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<&str> for StreamId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One source of sound or pictures, local or remote (W3C `MediaStreamTrack`).
///
/// A value, not a resource: cloning it names the same track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaStreamTrack {
    id: TrackId,
    kind: MediaKind,
    label: Arc<str>,
    streams: Arc<[StreamId]>,
    rids: Arc<[Rid]>,
}

impl MediaStreamTrack {
    /// A new local track that belongs to `streams`.
    pub fn new(kind: MediaKind, streams: impl IntoIterator<Item = StreamId>) -> Self {
        Self {
            id: TrackId::next(),
            kind,
            label: random_token().into(),
            streams: streams.into_iter().collect(),
            rids: Arc::default(),
        }
    }

    /// The same track as the remote side names it now.
    pub(crate) fn renamed(
        &self,
        label: &str,
        streams: impl IntoIterator<Item = StreamId>,
        rids: impl IntoIterator<Item = Rid>,
    ) -> Self {
        Self {
            label: label.into(),
            streams: streams.into_iter().collect(),
            rids: rids.into_iter().collect(),
            ..self.clone()
        }
    }

    /// A fresh stream identifier, to be given to all tracks that belong together.
    pub fn generate_stream_id() -> StreamId {
        StreamId(random_token().into())
    }

    /// The name of this track within this process.
    pub fn id(&self) -> TrackId {
        self.id
    }

    /// Sound or pictures.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The identifier in session descriptions: the second half of `a=msid`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The streams it belongs to; may be empty.
    pub fn streams(&self) -> &[StreamId] {
        &self.streams
    }

    /// The simulcast encodings of a remote track, best last or first as its sender listed them;
    /// empty without simulcast.
    pub fn rids(&self) -> &[Rid] {
        &self.rids
    }
}

/// 32 random hexadecimal digits.
fn random_token() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
