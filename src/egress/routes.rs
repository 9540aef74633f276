//! Which streams come in here, and whom they go to.

use std::collections::HashMap;

use super::message::{MemberId, RouteLayer, StreamId};
use super::sent_track::SentTrack;
use crate::track::TrackId;

/// A remote track of some peer, one encoding of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) track: TrackId,
    pub(super) layer: RouteLayer,
}

/// A local track of one of the peers that send here, or one encoding of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    pub(super) member: MemberId,
    pub(super) track: SentTrack,
}

/// What a stream is to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is sent.
    Playing,
    /// It is to be sent from its next keyframe on.
    Next,
}

/// The streams, each with its destinations and with what the shell keeps for it.
#[derive(Debug)]
pub(super) struct RouteTable<S> {
    streams: HashMap<StreamId, Stream<S>>,
    by_origin: HashMap<Origin, StreamId>,
}

#[derive(Debug)]
struct Stream<S> {
    origin: Origin,
    destinations: Vec<(Destination, Role)>,
    source: S,
}

impl<S> Default for RouteTable<S> {
    fn default() -> Self {
        Self {
            streams: HashMap::new(),
            by_origin: HashMap::new(),
        }
    }
}

impl<S> RouteTable<S> {
    /// The stream of this origin, if it comes in already.
    pub(super) fn find(&self, origin: &Origin) -> Option<StreamId> {
        self.by_origin.get(origin).copied()
    }

    /// A stream begins to come in.
    pub(super) fn open(&mut self, id: StreamId, origin: Origin, source: S) {
        self.by_origin.insert(origin.clone(), id);
        let stream = Stream {
            origin,
            destinations: Vec::new(),
            source,
        };
        self.streams.insert(id, stream);
    }

    /// The track that a stream is of.
    pub(super) fn track(&self, id: StreamId) -> Option<TrackId> {
        self.streams.get(&id).map(|stream| stream.origin.track)
    }

    /// A stream is over. Gives back what was kept for it, and whom it went to.
    pub(super) fn close(&mut self, id: StreamId) -> Option<(S, Vec<(Destination, Role)>)> {
        let stream = self.streams.remove(&id)?;
        self.by_origin.remove(&stream.origin);
        Some((stream.source, stream.destinations))
    }

    /// A stream goes to one more destination, or in another role to one that it goes to.
    pub(super) fn join(&mut self, id: StreamId, destination: Destination, role: Role) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream
                .destinations
                .retain(|(known, _)| *known != destination);
            stream.destinations.push((destination, role));
        }
    }

    /// Whether a stream may go to a destination, new or not, where it may go to so many.
    pub(super) fn has_room(&self, id: StreamId, destination: Destination, limit: usize) -> bool {
        self.streams.get(&id).is_none_or(|stream| {
            let destinations = &stream.destinations;
            destinations.len() < limit
                || destinations.iter().any(|(known, _)| *known == destination)
        })
    }

    /// Closes a stream that goes nowhere.
    pub(super) fn close_unused(&mut self, id: StreamId) -> Option<S> {
        self.streams
            .get(&id)?
            .destinations
            .is_empty()
            .then_some(())?;
        self.close(id).map(|(source, _)| source)
    }

    /// A stream no longer goes to a destination; without any it is closed.
    pub(super) fn leave(&mut self, id: StreamId, destination: Destination) -> Option<S> {
        let stream = self.streams.get_mut(&id)?;
        stream
            .destinations
            .retain(|(known, _)| *known != destination);
        self.close_unused(id)
    }

    /// What is kept for a stream, and whom it goes to.
    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<(&mut S, &[(Destination, Role)])> {
        let stream = self.streams.get_mut(&id)?;
        Some((&mut stream.source, &stream.destinations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{MediaKind, MediaStreamTrack};

    fn track() -> TrackId {
        MediaStreamTrack::new(MediaKind::Video, []).id()
    }

    fn opened(table: &mut RouteTable<&'static str>, source: &'static str) -> (StreamId, Origin) {
        let origin = Origin {
            track: track(),
            layer: RouteLayer::Best { up_to: None },
        };
        let id = StreamId::next();
        table.open(id, origin.clone(), source);
        (id, origin)
    }

    fn destination() -> Destination {
        Destination {
            member: MemberId::next(),
            track: track().into(),
        }
    }

    #[test]
    fn a_stream_is_open_while_it_goes_somewhere() {
        let mut table = RouteTable::default();
        let (stream, origin) = opened(&mut table, "camera");
        let (first, second) = (destination(), destination());
        table.join(stream, first, Role::Playing);
        table.join(stream, second, Role::Next);
        table.join(stream, second, Role::Playing);
        assert_eq!(table.find(&origin), Some(stream));
        assert_eq!(table.leave(stream, first), None);
        let goes_to = [(second, Role::Playing)];
        assert_eq!(table.get_mut(stream), Some((&mut "camera", &goes_to[..])));
        assert_eq!(table.leave(stream, second), Some("camera"));
        assert_eq!(table.find(&origin), None);
        assert_eq!(table.leave(stream, second), None);
        assert!(table.streams.is_empty());
    }

    #[test]
    fn encodings_of_one_track_are_streams_of_their_own() {
        let mut table = RouteTable::default();
        let (_, origin) = opened(&mut table, "all of it");
        let low = Origin {
            layer: RouteLayer::Only("low".into()),
            ..origin
        };
        assert_eq!(table.find(&low), None);
    }

    #[test]
    fn who_published_a_stream_may_end_it() {
        let mut table = RouteTable::default();
        let (stream, origin) = opened(&mut table, "camera");
        let destination = destination();
        table.join(stream, destination, Role::Next);
        let went_to = vec![(destination, Role::Next)];
        assert_eq!(table.close(stream), Some(("camera", went_to)));
        assert_eq!(table.find(&origin), None);
        assert_eq!(table.close(stream), None);
    }
}
