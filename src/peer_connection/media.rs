//! Media of a peer: packets sent by hand, routes, and what the media path has counted.

use super::{
    MediaStats, PeerConnection, PeerConnectionState, RouteError, RouteSource, RtpDelivery,
    SendError,
};
use crate::call::CallError;
use crate::egress::{LimitSetter, RouteRefusal, SentTrack};
use crate::rtp::{LayerLimit, Rid, RtcpPacket, RtpBatch};
use crate::track::TrackId;

impl PeerConnection {
    /// Sends packets on a local track. Does not wait: they are rewritten, protected and sent by the
    /// media path, in a queue that drops the oldest when it is full.
    ///
    /// SSRC, payload type, MID and header-extension identifiers become those of this peer's
    /// negotiation; sequence number, timestamp, marker and payload stay. Before the connection
    /// is up, or while the direction forbids sending, packets are dropped and counted.
    ///
    /// The sequence numbers of one track must go on: SRTP refuses a number twice, and one that lies
    /// far behind (RFC 3711 §3.3.2). Those of forwarded packets ([`Event::Rtp`](super::Event::Rtp)) do: when another source (SSRC) takes the
    /// place of the one before, its packets are numbered on from that one's. Who makes packets numbers them.
    ///
    /// # Errors
    ///
    /// [`SendError::UnknownTrack`] when no sender has this track, [`SendError::UnknownEncoding`] when its sender has several
    /// encodings, [`SendError::Closed`] after the end.
    pub fn send_rtp(&self, track: TrackId, packets: impl Into<RtpBatch>) -> Result<(), SendError> {
        self.send(track, None, packets.into())
    }

    /// Sends packets of one of the encodings of a local track (simulcast,
    /// [`RtpTransceiverInit::send_encodings`](super::RtpTransceiverInit::send_encodings)); each has numbers of its own. Those of an encoding that the remote
    /// side has not taken, or that is not active, are dropped and counted (`not_negotiated`). Otherwise as [`send_rtp`](Self::send_rtp).
    ///
    /// # Errors
    ///
    /// [`SendError::UnknownTrack`] when no sender has this track, [`SendError::UnknownEncoding`] when its sender has no encoding of this
    /// name, or not any more, [`SendError::Closed`] after the end.
    pub fn send_rtp_encoding(
        &self,
        track: TrackId,
        rid: &Rid,
        packets: impl Into<RtpBatch>,
    ) -> Result<(), SendError> {
        self.send(track, Some(rid), packets.into())
    }

    fn send(&self, track: TrackId, rid: Option<&Rid>, packets: RtpBatch) -> Result<(), SendError> {
        self.alive()?;
        if self.tracks.sent(track).is_none() {
            return Err(SendError::UnknownTrack(track));
        }
        if !self.tracks.encodes(track, rid) {
            return Err(SendError::UnknownEncoding(track));
        }
        self.rtp.send_rtp(SentTrack::new(track, rid), packets);
        Ok(())
    }

    /// Feeds a local track by route: what arrives on the source is sent on it from now on, from media
    /// path to media path, without passing any owner. `None` ends the route.
    ///
    /// Another source takes the place of the one before; sequence numbers and timestamps go on
    /// without a jump. While a route feeds a track, packets sent by hand
    /// are dropped and counted (`displaced`); those sent by hand after it are numbered on from it. A route may be set before either side is connected; packets
    /// of a codec that was not negotiated here are dropped, counted (`not_negotiated`) and told
    /// ([`Event::RouteCodecMismatch`](super::Event::RouteCodecMismatch)).
    ///
    /// **Keyframes.** Of video nothing is sent before a keyframe begins (VP8, VP9, H.264, H.265 and AV1; what comes
    /// before is counted, `before_keyframe`), and the source is asked for one: when the route is set, when this peer
    /// begins to send the track, and when the remote side asks for one (PLI, FIR). So nobody has to pass such requests on.
    /// A picture that plays goes on until that of the new source begins: for a second at most, or for as long as it takes when the
    /// new source is another encoding of the same track.
    ///
    /// **Simulcast.** Of a track that is sent in several encodings the best that arrives is sent: see [`RouteSource`] for other wishes, and
    /// [`Event::LayersChanged`](super::Event::LayersChanged) for what arrives. Whoever wants them by what each path takes, uses a
    /// `Forwarder`.
    ///
    /// A route ends when either peer ends, and when one of the two tracks is no longer part of its peer. By
    /// default the owner of the source does not get the media of routed tracks as events; see
    /// [`set_rtp_delivery`](Self::set_rtp_delivery).
    ///
    /// ```
    /// # use ractor_webrtc::peer_connection::{PeerConnection, RouteError, RouteSource};
    /// # use ractor_webrtc::track::TrackId;
    /// # async fn example(viewer: PeerConnection, screen: TrackId, publisher: PeerConnection, camera: TrackId)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// viewer.set_route(screen, RouteSource::new(&publisher, camera)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownTrack`] when no sender has this track, [`RouteError::UnknownEncoding`] when its sender has several
    /// encodings, [`RouteError::UnknownSource`] when no
    /// receiver of the publisher has the other, [`RouteError::KindMismatch`] when one is audio and one
    /// video, [`RouteError::SourceClosed`] when the publisher has ended, [`RouteError::TooMany`] when it has as many subscribers as
    /// its limits say, [`RouteError::Call`] when this peer has ended.
    pub async fn set_route(
        &self,
        track: TrackId,
        source: impl Into<Option<RouteSource>>,
    ) -> Result<(), RouteError> {
        self.route(track, None, source.into()).await
    }

    /// Feeds one of the encodings of a local track by route (simulcast,
    /// [`RtpTransceiverInit::send_encodings`](super::RtpTransceiverInit::send_encodings)): from server to server, each from the encoding of the
    /// same name as a rule. Otherwise as [`set_route`](Self::set_route); what the remote side asks of one encoding is asked of its
    /// source alone.
    ///
    /// ```
    /// # use ractor_webrtc::peer_connection::{PeerConnection, RouteError, RouteSource};
    /// # use ractor_webrtc::track::{MediaStreamTrack, TrackId};
    /// # async fn example(next: PeerConnection, out: TrackId, page: PeerConnection, camera: MediaStreamTrack)
    /// # -> Result<(), RouteError> {
    /// for rid in camera.rids() {
    ///     let source = RouteSource::new(&page, camera.id()).rid(rid.clone());
    ///     next.set_route_encoding(out, rid, source).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set_route`](Self::set_route); [`RouteError::UnknownEncoding`] when its sender has no encoding of this name, or not any more.
    pub async fn set_route_encoding(
        &self,
        track: TrackId,
        rid: &Rid,
        source: impl Into<Option<RouteSource>>,
    ) -> Result<(), RouteError> {
        self.route(track, Some(rid), source.into()).await
    }

    async fn route(
        &self,
        track: TrackId,
        rid: Option<&Rid>,
        source: Option<RouteSource>,
    ) -> Result<(), RouteError> {
        // Its tracks are forgotten by then, and unknown ones are another mistake.
        self.alive().map_err(|_closed| CallError::Stopped)?;
        let origin = match source {
            None => None,
            Some(source) => {
                let to = (self.tracks.sent(track)).ok_or(RouteError::UnknownTrack(track))?;
                if !self.tracks.encodes(track, rid) {
                    return Err(RouteError::UnknownEncoding(track));
                }
                Some(source.origin(to)?)
            }
        };
        let track = SentTrack::new(track, rid);
        let set = self.rtp.set_route(track, origin).await?;
        set.map_err(|refusal| match refusal {
            RouteRefusal::PublisherGone(_) => RouteError::SourceClosed,
            RouteRefusal::TooMany { limit } => RouteError::TooMany { limit },
        })
    }

    /// Sends at most so many layers of what feeds a local track, by hand or by route, from the next picture on: of VP8 and VP9 as their
    /// senders say it in the payload, of any codec that comes with a
    /// [dependency descriptor](crate::configuration::MediaFeature::DependencyDescriptor), AV1 above all. Packets without layers are sent whatever
    /// the limit; those that are left out are counted (`above_layer_limit`) and leave no gap in the numbers.
    ///
    /// Fewer layers take effect with the next picture, more where the stream allows it: temporal ones at a switching-up point, which comes
    /// within some pictures; spatial ones at a keyframe as a rule, for which the source of a route is asked. The limit stays with the
    /// track whatever feeds it, until [`LayerLimit::NONE`] takes it back. A [`Forwarder`](crate::forwarder::Forwarder) that feeds the track has a limit of its
    /// own, by what the path takes: the lower of both holds, and neither overwrites the other.
    ///
    /// ```
    /// # use ractor_webrtc::peer_connection::{PeerConnection, SendError};
    /// # use ractor_webrtc::rtp::LayerLimit;
    /// # use ractor_webrtc::track::TrackId;
    /// # fn example(viewer: PeerConnection, screen: TrackId) -> Result<(), SendError> {
    /// // The page shows it as a small tile: of what comes as L3T3 the smallest picture, at half the rate.
    /// viewer.set_layer_limit(screen, LayerLimit::at_most(1, 2))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::UnknownTrack`] when no sender has this track, [`SendError::Closed`] after the end.
    pub fn set_layer_limit(&self, track: TrackId, limit: LayerLimit) -> Result<(), SendError> {
        self.alive()?;
        if self.tracks.sent(track).is_none() {
            return Err(SendError::UnknownTrack(track));
        }
        (self.rtp).set_layer_limit(track, limit, LimitSetter::Application);
        Ok(())
    }

    /// The same for a Forwarder, beside what is set by hand: the lower of both holds.
    pub(crate) fn choose_layer_limit(&self, track: TrackId, limit: LayerLimit) {
        (self.rtp).set_layer_limit(track, limit, LimitSetter::Forwarder);
    }

    /// Whether the owner of this peer gets the media of a remote track as [`Event::Rtp`](super::Event::Rtp): always, never, or (the
    /// default) while no route takes it anywhere.
    ///
    /// # Errors
    ///
    /// [`SendError::UnknownReceiver`] when no receiver has this track, [`SendError::Closed`] after the end.
    pub fn set_rtp_delivery(&self, track: TrackId, delivery: RtpDelivery) -> Result<(), SendError> {
        self.alive()?;
        if self.tracks.received(track).is_none() {
            return Err(SendError::UnknownReceiver(track));
        }
        self.rtp.set_delivery(track, delivery);
        Ok(())
    }

    /// Sends RTCP packets as they are, in one datagram, behind a report where they need one
    /// (RFC 3550 §6.1).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the end; [`SendError::InvalidRtcp`] when a part of a packet is
    /// larger than its field.
    pub fn send_rtcp(&self, packets: Vec<RtcpPacket>) -> Result<(), SendError> {
        self.alive()?;
        self.rtp.send_rtcp(&packets)?;
        Ok(())
    }

    /// Asks the remote side for a whole picture of a track that it sends (RFC 4585 §6.3.1), of one
    /// of its simulcast encodings where `rid` names one. At once, once: see
    /// [`request_keyframe`](Self::request_keyframe), which also says what happens where `nack pli` was not negotiated.
    ///
    /// # Errors
    ///
    /// [`SendError::UnknownReceiver`] when no receiver has this track, [`SendError::Closed`] after the end.
    pub fn send_pli(&self, track: TrackId, rid: impl Into<Option<Rid>>) -> Result<(), SendError> {
        self.alive()?;
        if self.tracks.received(track).is_none() {
            return Err(SendError::UnknownReceiver(track));
        }
        self.rtp.send_pli(track, rid.into());
        Ok(())
    }

    /// Makes sure that a keyframe comes on a track that the remote side sends, on one of its simulcast encodings where `rid`
    /// names one: asks for it (PLI), again until one arrives, and no source more often than is good (every 300 ms), however many want one.
    ///
    /// Repeats after half a second, later after two, for about a minute; and not at all for codecs whose keyframes cannot
    /// be told from outside. Without effect on sound.
    ///
    /// Where the codec has `ccm fir` but not `nack pli`, the request is a FIR (RFC 5104 §4.3.1) whose repetitions bear its number; where it has
    /// neither, nothing can be asked, and [`MediaStats::keyframe_requests_impossible`] counts.
    ///
    /// # Errors
    ///
    /// [`SendError::UnknownReceiver`] when no receiver has this track, [`SendError::Closed`] after the end.
    pub fn request_keyframe(
        &self,
        track: TrackId,
        rid: impl Into<Option<Rid>>,
    ) -> Result<(), SendError> {
        self.alive()?;
        if self.tracks.received(track).is_none() {
            return Err(SendError::UnknownReceiver(track));
        }
        self.rtp.request_keyframe(track, rid.into());
        Ok(())
    }

    /// Says how much would be sent if the path took it, in bits a second: a higher simulcast layer, say. The path is
    /// tried out so far, with short bursts of padding; [`Event::AvailableOutgoingBitrate`](super::Event::AvailableOutgoingBitrate)
    /// tells what it takes. Without it the path is tried out as far as half beyond what is sent.
    ///
    /// Without effect where the remote side sends no transport-wide feedback.
    pub fn set_desired_bitrate(&self, bits_per_second: u64) {
        self.rtp.set_desired_bitrate(bits_per_second);
    }

    /// What the media path has counted so far: traffic, and every drop by its cause. Never delays
    /// media; waits for the media path's turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError::Stopped`] after the end, [`CallError::Timeout`] when the media path is stuck.
    pub async fn media_stats(&self) -> Result<MediaStats, CallError> {
        self.rtp.stats().await
    }

    fn alive(&self) -> Result<(), SendError> {
        if self.states().connection == PeerConnectionState::Closed {
            return Err(SendError::Closed);
        }
        Ok(())
    }
}
