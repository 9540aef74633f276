//! What the application does with transceivers, senders and tracks (W3C §5.1).

use super::apply::News;
use super::direction::RtpTransceiverDirection;
use super::effect::JsepEffect;
use super::encodings::check_encodings;
use super::error::TransceiverError;
use super::machine::Jsep;
use super::transceiver::{
    Origin, RtpSender, RtpTransceiver, RtpTransceiverInit, SenderId, TrackOrKind, Transceiver,
    TransceiverId,
};
use crate::codec::RtpCodec;
use crate::peer_connection::SignalingState;
use crate::track::{MediaKind, MediaStreamTrack};

impl Jsep {
    pub(crate) fn transceivers(&self) -> Vec<RtpTransceiver> {
        self.transceivers
            .iter()
            .map(Transceiver::snapshot)
            .collect()
    }

    /// Sends this track, on a transceiver that has never sent if there is one.
    pub(crate) fn add_track(
        &mut self,
        track: &MediaStreamTrack,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<RtpSender, TransceiverError> {
        self.check_open()?;
        self.check_new(track)?;
        let mut transceivers = self.transceivers.iter();
        let index = match transceivers.position(|t| t.is_free_for(track.kind())) {
            Some(index) => index,
            None => {
                let index = self.add(track.kind(), Origin::AddTrack)?;
                self.transceivers[index].direction = RtpTransceiverDirection::SendRecv;
                index
            }
        };
        Ok(self.send_on(index, track, effects))
    }

    /// Sends this track on a transceiver without one, which may have sent before: what `replace_track` and a change of
    /// streams and direction do, in one.
    pub(crate) fn add_track_to(
        &mut self,
        id: TransceiverId,
        track: &MediaStreamTrack,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<RtpSender, TransceiverError> {
        self.check_open()?;
        self.check_new(track)?;
        let transceiver = self.running(id)?;
        if transceiver.kind != track.kind() {
            return Err(TransceiverError::KindMismatch {
                expected: transceiver.kind,
                found: track.kind(),
            });
        }
        if let Some(sent) = &transceiver.sender.track {
            let track = sent.id();
            return Err(TransceiverError::TrackAlreadyAdded { track });
        }
        let index = self.transceivers.iter().position(|t| t.id == id);
        let index = index.ok_or(TransceiverError::UnknownTransceiver { id })?;
        Ok(self.send_on(index, track, effects))
    }

    /// Stops sending the sender's track. Without a track nothing happens.
    pub(crate) fn remove_track(
        &mut self,
        sender: SenderId,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        self.check_open()?;
        let transceiver = self.by_sender(sender)?;
        if transceiver.stopping || transceiver.sender.track.take().is_none() {
            return Ok(());
        }
        let receives = transceiver.direction.receives();
        transceiver.direction = RtpTransceiverDirection::of(false, receives);
        self.apply_media(effects);
        self.update_negotiation_needed(effects);
        Ok(())
    }

    /// Sends another track, or none, in the place of the one there is; no negotiation needed.
    pub(crate) fn replace_track(
        &mut self,
        sender: SenderId,
        track: Option<MediaStreamTrack>,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        self.check_open()?;
        if let Some(track) = &track {
            // Putting the same track in its own place is no contradiction.
            let held = |t: &Transceiver| t.sender.id == sender && holds(t, track);
            if !self.transceivers.iter().any(held) {
                self.check_new(track)?;
            }
        }
        let transceiver = self.by_sender(sender)?;
        if transceiver.stopping {
            let id = transceiver.id;
            return Err(TransceiverError::Stopped { id });
        }
        match track {
            Some(track) if track.kind() != transceiver.kind => {
                return Err(TransceiverError::KindMismatch {
                    expected: transceiver.kind,
                    found: track.kind(),
                });
            }
            Some(track) => transceiver.attach(&track),
            None => transceiver.sender.track = None,
        }
        self.apply_media(effects);
        Ok(())
    }

    pub(crate) fn add_transceiver(
        &mut self,
        source: TrackOrKind,
        init: RtpTransceiverInit,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<RtpTransceiver, TransceiverError> {
        self.check_open()?;
        let RtpTransceiverInit {
            direction,
            streams,
            send_encodings,
        } = init;
        check_direction(direction)?;
        let (kind, track) = match source {
            TrackOrKind::Track(track) => (track.kind(), Some(track)),
            TrackOrKind::Kind(kind) => (kind, None),
        };
        if let Some(track) = &track {
            self.check_new(track)?;
        }
        let encodings = check_encodings(kind, send_encodings)?;
        let index = self.add(kind, Origin::AddTransceiver)?;
        self.encode(index, encodings);
        let transceiver = &mut self.transceivers[index];
        transceiver.direction = direction;
        if let Some(track) = &track {
            transceiver.attach(track);
            transceiver.sender.streams = track.streams().to_vec();
        }
        for stream in streams {
            if !transceiver.sender.streams.contains(&stream) {
                transceiver.sender.streams.push(stream);
            }
        }
        let snapshot = transceiver.snapshot();
        self.update_negotiation_needed(effects);
        Ok(snapshot)
    }

    pub(crate) fn set_direction(
        &mut self,
        id: TransceiverId,
        direction: RtpTransceiverDirection,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        self.check_open()?;
        check_direction(direction)?;
        let transceiver = self.running(id)?;
        if transceiver.direction != direction {
            transceiver.direction = direction;
            self.update_negotiation_needed(effects);
        }
        Ok(())
    }

    /// Negotiates only these codecs from now on, in this order; none: all of the configuration.
    pub(crate) fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<RtpCodec>,
    ) -> Result<(), TransceiverError> {
        self.check_open()?;
        let kind = self.running(id)?.kind;
        let configured = |codec: &RtpCodec| {
            let mut entries = self.configuration.codecs(kind);
            entries.any(|entry| entry.codec.matches(codec))
        };
        if !codecs.is_empty() && !codecs.iter().any(configured) {
            return Err(TransceiverError::NoPreferredCodec);
        }
        self.running(id)?.preferences = codecs;
        Ok(())
    }

    /// Ends sending and receiving at once; the next negotiation tells the remote side. One that no
    /// description names is gone at once.
    pub(crate) fn stop_transceiver(
        &mut self,
        id: TransceiverId,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        self.check_open()?;
        let transceiver = self.by_id(id)?;
        if transceiver.stopping {
            return Ok(());
        }
        let mut news = News::default();
        news.ended(transceiver);
        transceiver.stopping = true;
        transceiver.direction = RtpTransceiverDirection::Inactive;
        news.tell(effects);
        self.transceivers.retain(|t| t.id != id || t.mid.is_some());
        self.apply_media(effects);
        self.update_negotiation_needed(effects);
        Ok(())
    }

    /// Tells the media path, if it runs at all.
    pub(super) fn apply_media(&self, effects: &mut Vec<JsepEffect>) {
        if self.agreed.is_some() {
            effects.push(JsepEffect::ApplyMedia(self.media_plan()));
        }
    }

    fn send_on(
        &mut self,
        index: usize,
        track: &MediaStreamTrack,
        effects: &mut Vec<JsepEffect>,
    ) -> RtpSender {
        let transceiver = &mut self.transceivers[index];
        transceiver.attach(track);
        transceiver.sender.streams = track.streams().to_vec();
        let receives = transceiver.direction.receives();
        transceiver.direction = RtpTransceiverDirection::of(true, receives);
        let sender = transceiver.sender.snapshot();
        self.update_negotiation_needed(effects);
        sender
    }

    fn add(&mut self, kind: MediaKind, origin: Origin) -> Result<usize, TransceiverError> {
        let limit = self.limits.transceivers;
        if self.transceivers.len() >= limit {
            return Err(TransceiverError::TooMany { limit });
        }
        let ssrcs = self.fresh_ssrcs();
        self.transceivers
            .push(Transceiver::new(kind, origin, ssrcs));
        Ok(self.transceivers.len() - 1)
    }

    fn check_open(&self) -> Result<(), TransceiverError> {
        if self.state == SignalingState::Closed {
            return Err(TransceiverError::Closed);
        }
        Ok(())
    }

    fn check_new(&self, track: &MediaStreamTrack) -> Result<(), TransceiverError> {
        if self.transceivers.iter().any(|t| holds(t, track)) {
            let track = track.id();
            return Err(TransceiverError::TrackAlreadyAdded { track });
        }
        Ok(())
    }

    fn by_id(&mut self, id: TransceiverId) -> Result<&mut Transceiver, TransceiverError> {
        let mut transceivers = self.transceivers.iter_mut();
        transceivers
            .find(|t| t.id == id)
            .ok_or(TransceiverError::UnknownTransceiver { id })
    }

    fn running(&mut self, id: TransceiverId) -> Result<&mut Transceiver, TransceiverError> {
        let transceiver = self.by_id(id)?;
        if transceiver.stopping {
            return Err(TransceiverError::Stopped { id });
        }
        Ok(transceiver)
    }

    fn by_sender(&mut self, id: SenderId) -> Result<&mut Transceiver, TransceiverError> {
        let mut transceivers = self.transceivers.iter_mut();
        transceivers
            .find(|t| t.sender.id == id)
            .ok_or(TransceiverError::UnknownSender { id })
    }
}

fn holds(transceiver: &Transceiver, track: &MediaStreamTrack) -> bool {
    let sent = transceiver.sender.track.as_ref();
    !transceiver.stopped && sent.is_some_and(|sent| sent.id() == track.id())
}

fn check_direction(direction: RtpTransceiverDirection) -> Result<(), TransceiverError> {
    if direction == RtpTransceiverDirection::Stopped {
        return Err(TransceiverError::InvalidDirection { direction });
    }
    Ok(())
}
