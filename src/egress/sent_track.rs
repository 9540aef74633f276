//! What can be fed: a local track, or one of its encodings.

use crate::rtp::Rid;
use crate::track::TrackId;

/// A local track, one encoding of it where it has several. The media path looks for it with every batch, so it is a plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SentTrack {
    pub(crate) track: TrackId,
    rid: Option<ShortRid>,
}

/// A name that is sent has 16 bytes at most; a longer one is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ShortRid {
    bytes: [u8; 16],
    length: usize,
}

impl SentTrack {
    pub(crate) fn new(track: TrackId, rid: Option<&Rid>) -> Self {
        let rid = rid.map(|rid| {
            let text = rid.as_str().as_bytes();
            let mut bytes = [0; 16];
            for (byte, known) in bytes.iter_mut().zip(text) {
                *byte = *known;
            }
            let length = text.len();
            ShortRid { bytes, length }
        });
        Self { track, rid }
    }
}

/// A track of one encoding.
impl From<TrackId> for SentTrack {
    fn from(track: TrackId) -> Self {
        Self::new(track, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{MediaKind, MediaStreamTrack};

    #[test]
    fn encodings_are_told_apart_by_their_whole_names() {
        let track = MediaStreamTrack::new(MediaKind::Video, []).id();
        let names = ["h", "high", "sixteen0letters0", "sixteen0letters0more"];
        let all: Vec<_> = names
            .iter()
            .map(|name| SentTrack::new(track, Some(&Rid::from(*name))))
            .chain([track.into()])
            .collect();
        for (index, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|it| it == one), Some(index));
        }
    }
}
