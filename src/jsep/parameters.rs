//! What a sender sends, within what was negotiated (W3C webrtc-pc §5.2, `getParameters`,
//! `setParameters`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::effect::JsepEffect;
use super::error::ParametersError;
use super::machine::Jsep;
use super::plan::{MediaSection, NegotiatedCodec};
use super::transceiver::{Encoding, Sender, SenderId, Transceiver};
use crate::codec::RtpCodec;
use crate::peer_connection::SignalingState;
use crate::rtp::{HeaderExtension, PayloadType, Rid};

/// What a sender sends and may be asked to send (W3C `RTCRtpSendParameters`).
///
/// Only [`RtpEncodingParameters::active`] and [`RtpEncodingParameters::codec`] may be changed: there is no
/// encoder here that could be told of rates and sizes. All the rest says what was negotiated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RtpSendParameters {
    /// Tells these parameters from any read before or after.
    pub transaction_id: TransactionId,
    /// One, or several with names (simulcast): as many, and in the order, as they were given to `add_transceiver`, less those
    /// that the remote side has rejected.
    pub encodings: Vec<RtpEncodingParameters>,
    /// Negotiated header extensions as `(identifier, extension)`.
    pub header_extensions: Vec<(u8, HeaderExtension)>,
    /// How RTCP goes.
    pub rtcp: RtcpParameters,
    /// Negotiated codecs, preferred first; none before a negotiation lets the sender send.
    pub codecs: Vec<RtpCodecParameters>,
}

/// Names one reading of a sender's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(u64);

/// One encoding of a sender (W3C `RTCRtpEncodingParameters`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RtpEncodingParameters {
    /// Its name, where there are several.
    pub rid: Option<Rid>,
    /// Whether it is sent. What is given to a sender whose encoding is not active is dropped and counted. Nor is one sent
    /// that the remote side's description pauses (`~`, RFC 8853 §5.1), which does not change this.
    pub active: bool,
    /// The one codec that is sent, of those negotiated; `None`: any of them.
    pub codec: Option<RtpCodec>,
    /// For the encoder, which is not here: must be `None`.
    pub max_bitrate_bps: Option<u64>,
    /// For the encoder, which is not here: must be `None`.
    pub max_framerate: Option<f64>,
    /// For the encoder, which is not here: must be `None`.
    pub scale_resolution_down_by: Option<f64>,
}

impl RtpEncodingParameters {
    /// An encoding of this name, active.
    pub fn with_rid(rid: impl Into<Rid>) -> Self {
        Self {
            rid: Some(rid.into()),
            ..Self::default()
        }
    }
}

/// Active, without a name, of any codec.
impl Default for RtpEncodingParameters {
    fn default() -> Self {
        Self {
            rid: None,
            active: true,
            codec: None,
            max_bitrate_bps: None,
            max_framerate: None,
            scale_resolution_down_by: None,
        }
    }
}

/// RTCP of a sender (W3C `RTCRtcpParameters`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RtcpParameters {
    /// The canonical name.
    pub cname: Arc<str>,
    /// Reduced-size RTCP was negotiated (RFC 5506).
    pub reduced_size: bool,
}

/// A codec with its number in this session (W3C `RTCRtpCodecParameters`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RtpCodecParameters {
    /// What packets of it bear.
    pub payload_type: PayloadType,
    /// Which.
    pub codec: RtpCodec,
}

impl TransactionId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Jsep {
    /// What the sender sends now; [`Self::set_parameters`] takes what is made of it.
    pub(crate) fn parameters(
        &mut self,
        id: SenderId,
    ) -> Result<RtpSendParameters, ParametersError> {
        let index = self.sender_index(id)?;
        let parameters = self.read(&self.transceivers[index]);
        self.transceivers[index].sender.parameters_read = Some(parameters.clone());
        Ok(parameters)
    }

    /// Takes over what may be changed in the parameters that were read last.
    pub(crate) fn set_parameters(
        &mut self,
        id: SenderId,
        wanted: &RtpSendParameters,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), ParametersError> {
        let index = self.running_sender(id)?;
        let sender = &mut self.transceivers[index].sender;
        let read = sender.parameters_read.as_ref();
        check(read.ok_or(ParametersError::NotRead)?, wanted)?;
        for (encoding, wanted) in sender.encodings.iter_mut().zip(&wanted.encodings) {
            encoding.active = wanted.active;
            encoding.codec.clone_from(&wanted.codec);
        }
        sender.parameters_read = None;
        self.apply_media(effects);
        Ok(())
    }

    /// Sends this codec and no other.
    pub(crate) fn set_sender_codec(
        &mut self,
        id: SenderId,
        codec: RtpCodec,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), ParametersError> {
        let index = self.running_sender(id)?;
        let transceiver = &self.transceivers[index];
        if !transceiver.direction.sends() {
            let direction = transceiver.direction;
            return Err(ParametersError::DoesNotSend { direction });
        }
        check_codec(&self.read(transceiver).codecs, &codec)?;
        let sender = &mut self.transceivers[index].sender;
        for encoding in &mut sender.encodings {
            encoding.codec = Some(codec.clone());
        }
        sender.parameters_read = None;
        self.apply_media(effects);
        Ok(())
    }

    /// A negotiation has ended: what was read before it may be out of date (W3C §4.4.1.5), and a codec
    /// that went with it is sent no more.
    pub(super) fn renew_parameters(&mut self) {
        for index in 0..self.transceivers.len() {
            let codecs = self.read(&self.transceivers[index]).codecs;
            let sender = &mut self.transceivers[index].sender;
            sender.parameters_read = None;
            if !codecs.is_empty() {
                for encoding in &mut sender.encodings {
                    let codec = &mut encoding.codec;
                    codec.take_if(|codec| check_codec(&codecs, codec).is_err());
                }
            }
        }
    }

    fn read(&self, transceiver: &Transceiver) -> RtpSendParameters {
        let section = self.negotiated_section(transceiver);
        let reduced_size = section.as_ref().is_some_and(|it| it.reduced_size_rtcp);
        let (codecs, header_extensions) = match section.and_then(|section| section.send) {
            Some(send) => (send.codecs, send.extensions.entries),
            None => Default::default(),
        };
        let parameters = |negotiated: NegotiatedCodec| RtpCodecParameters {
            payload_type: negotiated.payload_type,
            codec: Arc::unwrap_or_clone(negotiated.codec),
        };
        let encoding = |encoding: &Encoding| RtpEncodingParameters {
            rid: encoding.rid.clone(),
            active: encoding.active,
            codec: encoding.codec.clone(),
            ..RtpEncodingParameters::default()
        };
        RtpSendParameters {
            transaction_id: TransactionId::next(),
            encodings: transceiver.sender.encodings.iter().map(encoding).collect(),
            header_extensions,
            rtcp: RtcpParameters {
                cname: Arc::clone(&self.cname),
                reduced_size,
            },
            codecs: codecs.into_iter().map(parameters).collect(),
        }
    }

    fn sender_index(&self, id: SenderId) -> Result<usize, ParametersError> {
        if self.state == SignalingState::Closed {
            return Err(ParametersError::Closed);
        }
        let mut transceivers = self.transceivers.iter();
        let index = transceivers.position(|transceiver| transceiver.sender.id == id);
        index.ok_or(ParametersError::UnknownSender { id })
    }

    fn running_sender(&self, id: SenderId) -> Result<usize, ParametersError> {
        let index = self.sender_index(id)?;
        if self.transceivers[index].stopping {
            let id = self.transceivers[index].id;
            return Err(ParametersError::Stopped { id });
        }
        Ok(index)
    }
}

impl MediaSection {
    /// Leaves of what was negotiated what the sender is to send.
    pub(super) fn restrict(&mut self, sender: &Sender) {
        for send in self.send.iter_mut().chain(&mut self.further) {
            let Some(encoding) = sender.encoding(send.rid.as_ref()) else {
                continue;
            };
            send.track.take_if(|_| !encoding.active);
            if let Some(only) = &encoding.codec {
                send.codecs
                    .retain(|negotiated| negotiated.codec.matches(only));
            }
        }
    }
}

/// W3C §5.2, `setParameters`: all that is read-only must be as it was read, the number and the order of the encodings among it.
fn check(read: &RtpSendParameters, wanted: &RtpSendParameters) -> Result<(), ParametersError> {
    fn rids(parameters: &RtpSendParameters) -> impl Iterator<Item = Option<&Rid>> {
        parameters.encodings.iter().map(|it| it.rid.as_ref())
    }
    let kept = [
        (read.encodings.len() == wanted.encodings.len(), "encodings"),
        (
            read.transaction_id == wanted.transaction_id,
            "transaction_id",
        ),
        (
            read.header_extensions == wanted.header_extensions,
            "header_extensions",
        ),
        (read.rtcp == wanted.rtcp, "rtcp"),
        (read.codecs == wanted.codecs, "codecs"),
        (rids(read).eq(rids(wanted)), "rid"),
    ];
    if let Some((_, parameter)) = kept.into_iter().find(|(same, _)| !same) {
        return Err(ParametersError::InvalidModification { parameter });
    }
    for encoding in &wanted.encodings {
        check_of_the_encoder(encoding)?;
        if let Some(codec) = &encoding.codec {
            check_codec(&wanted.codecs, codec)?;
        }
    }
    Ok(())
}

/// Refuses what only an encoder could do.
pub(super) fn check_of_the_encoder(
    encoding: &RtpEncodingParameters,
) -> Result<(), ParametersError> {
    let of_the_encoder = [
        (encoding.max_bitrate_bps.is_some(), "max_bitrate_bps"),
        (encoding.max_framerate.is_some(), "max_framerate"),
        (
            encoding.scale_resolution_down_by.is_some(),
            "scale_resolution_down_by",
        ),
    ];
    match of_the_encoder.into_iter().find(|(given, _)| *given) {
        Some((_, parameter)) => Err(ParametersError::NotSupported { parameter }),
        None => Ok(()),
    }
}

fn check_codec(
    negotiated: &[RtpCodecParameters],
    wanted: &RtpCodec,
) -> Result<(), ParametersError> {
    if negotiated.iter().any(|known| known.codec.matches(wanted)) {
        return Ok(());
    }
    let name = wanted.name.clone();
    Err(ParametersError::CodecNotNegotiated { name })
}
