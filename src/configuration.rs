//! Codecs, header extensions and feedback of a peer connection.
//!
//! ```
//! use ractor_webrtc::codec::RtpCodec;
//! use ractor_webrtc::configuration::{CodecConfiguration, MediaConfiguration, MediaFeature};
//! use ractor_webrtc::rtp::PayloadType;
//! use ractor_webrtc::track::MediaKind;
//!
//! let vp8 = CodecConfiguration::new(RtpCodec::vp8(), PayloadType::new(96).unwrap())
//!     .with_rtx(PayloadType::new(97).unwrap());
//! let configuration = MediaConfiguration::builder()
//!     .codecs(MediaKind::Video, [vp8])
//!     .feature(MediaFeature::Simulcast, false)
//!     .build()?;
//! # assert_eq!(configuration.codecs(MediaKind::Video).count(), 1);
//! # Ok::<(), ractor_webrtc::configuration::ConfigurationError>(())
//! ```

use std::collections::HashSet;

use crate::codec::{RtcpFeedback, RtpCodec};
use crate::rtp::{HeaderExtension, PayloadType};
use crate::track::MediaKind;

/// What is negotiated: codecs and header extensions, preferred first. Always a valid one.
///
/// The default has Opus, VP8, VP9 (profile 0), H.264 (constrained baseline, packetization modes 1
/// and 0) and AV1, each video codec with retransmission (RTX), `nack`, `nack pli`, `ccm fir` and `goog-remb`,
/// all of them with `transport-cc`, and the header extensions MID, RID, repaired RID, audio level
/// and transport-wide sequence number.
///
/// The numbers are what our offers propose. An offer of the remote side brings its own, which are
/// used for the rest of the session.
///
/// # Congestion control
///
/// What the remote side numbers across all its streams is answered with the times of arrival
/// (`transport-cc`) ten times a second, or more often where much arrives, so that a browser finds
/// within seconds how much it may send. Packets that we send are not numbered yet. Without
/// [`MediaFeature::TransportWideFeedback`] a browser goes by the loss in our receiver reports.
///
/// Where a remote side has `goog-remb` but not `transport-cc`, what it says it can take (REMB) is the estimate. We never say so ourselves:
/// all current browsers have `transport-cc`, and make a better estimate from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConfiguration {
    codecs: Vec<CodecConfiguration>,
    extensions: Vec<HeaderExtensionConfiguration>,
}

impl MediaConfiguration {
    /// Starts from the default.
    pub fn builder() -> MediaConfigurationBuilder {
        MediaConfigurationBuilder::default()
    }

    /// The codecs of one kind, preferred first.
    pub fn codecs(&self, kind: MediaKind) -> impl Iterator<Item = &CodecConfiguration> {
        self.codecs.iter().filter(move |c| c.codec.kind == kind)
    }

    /// The header extensions of one kind.
    pub fn header_extensions(
        &self,
        kind: MediaKind,
    ) -> impl Iterator<Item = &HeaderExtensionConfiguration> {
        self.extensions.iter().filter(move |e| e.kind == kind)
    }

    pub(crate) fn all_codecs_mut(&mut self) -> &mut Vec<CodecConfiguration> {
        &mut self.codecs
    }

    pub(crate) fn all_extensions_mut(&mut self) -> &mut Vec<HeaderExtensionConfiguration> {
        &mut self.extensions
    }
}

impl Default for MediaConfiguration {
    fn default() -> Self {
        Self::builder()
            .build()
            .expect("the default configuration is a valid one")
    }
}

/// A codec with the payload types that offers of ours propose for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecConfiguration {
    /// The codec.
    pub codec: RtpCodec,
    /// The number of its packets.
    pub payload_type: PayloadType,
    /// The number of its retransmissions (RFC 4588); `None`: without.
    pub rtx_payload_type: Option<PayloadType>,
}

impl CodecConfiguration {
    /// A codec under this number, without retransmission format.
    pub fn new(codec: RtpCodec, payload_type: PayloadType) -> Self {
        Self {
            codec,
            payload_type,
            rtx_payload_type: None,
        }
    }

    /// The same with retransmissions under this number (RFC 4588).
    #[must_use]
    pub fn with_rtx(self, payload_type: PayloadType) -> Self {
        Self {
            rtx_payload_type: Some(payload_type),
            ..self
        }
    }
}

/// A header extension with the identifier that offers of ours propose for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderExtensionConfiguration {
    /// The m-lines it belongs to.
    pub kind: MediaKind,
    /// 1 to 14 (RFC 8285 §4.2).
    pub id: u8,
    /// Which.
    pub extension: HeaderExtension,
}

/// What can be switched without naming codecs one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaFeature {
    /// Requests for lost packets (`nack`, RFC 4585). On by default. Without it there is no
    /// retransmission format either.
    Nack,
    /// Retransmissions in a format of their own (RTX, RFC 4588). On by default.
    Rtx,
    /// Transport-wide sequence numbers, and feedback on them (`transport-cc`). On by default:
    /// see [`MediaConfiguration`].
    TransportWideFeedback,
    /// Receiving several encodings of one track (RFC 8853), with the header extensions that it
    /// takes. On by default.
    Simulcast,
    /// Asking receivers of pictures, where much of what is repaired comes late, to wait for it before they show a picture
    /// ([`HeaderExtension::PlayoutDelay`]). On by default; without it pictures are shown sooner there, and stand still more often.
    PlayoutDelay,
    /// The header extension in which senders tell the layers of their pictures ([`HeaderExtension::DependencyDescriptor`]), which
    /// [limits of layers](crate::peer_connection::PeerConnection::set_layer_limit) need for AV1 and H.264. Off by default, but for who
    /// lists the extension by hand: with it Chromium leaves the same out of the payload of VP8, also for receivers who do not get the extension.
    DependencyDescriptor,
}

/// Makes a [`MediaConfiguration`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MediaConfigurationBuilder {
    codecs: Vec<CodecConfiguration>,
    extensions: Vec<HeaderExtensionConfiguration>,
    features: HashSet<MediaFeature>,
    /// The first codec that was given for the other kind.
    wrong_kind: Option<String>,
}

impl MediaConfigurationBuilder {
    /// Takes these codecs for this kind instead of the ones it had, preferred first. None at all
    /// means that m-lines of this kind are rejected.
    pub fn codecs(
        mut self,
        kind: MediaKind,
        codecs: impl IntoIterator<Item = CodecConfiguration>,
    ) -> Self {
        self.codecs.retain(|c| c.codec.kind != kind);
        for entry in codecs {
            if entry.codec.kind != kind && self.wrong_kind.is_none() {
                self.wrong_kind = Some(entry.codec.name.clone());
            }
            self.codecs.push(entry);
        }
        self
    }

    /// Takes these header extensions, as `(identifier, extension)`, for this kind instead of the
    /// ones it had.
    pub fn header_extensions(
        mut self,
        kind: MediaKind,
        extensions: impl IntoIterator<Item = (u8, HeaderExtension)>,
    ) -> Self {
        self.extensions.retain(|e| e.kind != kind);
        self.extensions.extend(extensions_of(kind, extensions));
        self
    }

    /// Switches a feature on or off, whatever the codecs and header extensions say.
    pub fn feature(mut self, feature: MediaFeature, on: bool) -> Self {
        if on {
            self.features.insert(feature);
        } else {
            self.features.remove(&feature);
        }
        self
    }

    /// # Errors
    ///
    /// See [`ConfigurationError`]; the first that is found.
    pub fn build(self) -> Result<MediaConfiguration, ConfigurationError> {
        if let Some(name) = self.wrong_kind {
            return Err(ConfigurationError::WrongKind { name });
        }
        let mut configuration = MediaConfiguration {
            codecs: self.codecs,
            extensions: self.extensions,
        };
        apply_features(&mut configuration, &self.features);
        check_codecs(&configuration.codecs)?;
        check_payload_types(&configuration.codecs)?;
        check_extensions(&configuration.extensions)?;
        Ok(configuration)
    }
}

impl Default for MediaConfigurationBuilder {
    fn default() -> Self {
        Self {
            codecs: default_codecs(),
            extensions: default_extensions(),
            features: HashSet::from([
                MediaFeature::Nack,
                MediaFeature::Rtx,
                MediaFeature::TransportWideFeedback,
                MediaFeature::Simulcast,
                MediaFeature::PlayoutDelay,
            ]),
            wrong_kind: None,
        }
    }
}

/// Why a configuration is not a valid one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// Two formats under one number; m-lines share one transport, so it must be unique.
    #[error("payload type {payload_type} is used twice")]
    DuplicatePayloadType {
        /// The number.
        payload_type: u8,
    },
    /// Numbers 64 to 95 look like RTCP (RFC 5761 §4).
    #[error("payload type {payload_type} cannot be told from RTCP")]
    ReservedPayloadType {
        /// The number.
        payload_type: u8,
    },
    /// Two codecs that no description could tell apart.
    #[error("codec {name} is configured twice")]
    DuplicateCodec {
        /// Its name.
        name: String,
    },
    /// A codec of sound among those of pictures, or the other way round.
    #[error("codec {name} is not of the kind it is configured for")]
    WrongKind {
        /// Its name.
        name: String,
    },
    /// A codec whose name or parameters cannot stand in a description, or with a clock of 0 Hz.
    #[error("codec {name:?} cannot be written into a description")]
    InvalidCodec {
        /// Its name.
        name: String,
    },
    /// Two extensions under one identifier; m-lines share one transport, so it must be unique.
    #[error("header extension identifier {id} is used twice")]
    DuplicateExtensionId {
        /// The identifier.
        id: u8,
    },
    /// One extension twice in one kind, or under two identifiers.
    #[error("header extension {extension:?} is configured twice")]
    DuplicateExtension {
        /// Which.
        extension: HeaderExtension,
    },
    /// Identifiers go from 1 to 14 (RFC 8285 §4.2).
    #[error("header extension identifier {id} is not between 1 and 14")]
    ExtensionIdOutOfRange {
        /// The identifier.
        id: u8,
    },
    /// An extension whose URI cannot stand in a description.
    #[error("header extension URI {uri:?} cannot be written into a description")]
    InvalidExtensionUri {
        /// The URI.
        uri: String,
    },
}

fn apply_features(configuration: &mut MediaConfiguration, features: &HashSet<MediaFeature>) {
    let has = |feature| features.contains(&feature);
    for entry in &mut configuration.codecs {
        let feedback = &mut entry.codec.feedback;
        feedback.retain(|feedback| match feedback {
            RtcpFeedback::Nack => has(MediaFeature::Nack),
            RtcpFeedback::TransportCc => has(MediaFeature::TransportWideFeedback),
            RtcpFeedback::Pli | RtcpFeedback::Fir | RtcpFeedback::Remb => true,
        });
        if has(MediaFeature::TransportWideFeedback)
            && !feedback.contains(&RtcpFeedback::TransportCc)
        {
            feedback.push(RtcpFeedback::TransportCc);
        }
        if !has(MediaFeature::Rtx) || !has(MediaFeature::Nack) {
            entry.rtx_payload_type = None;
        }
    }
    if !has(MediaFeature::TransportWideFeedback) {
        configuration
            .extensions
            .retain(|entry| entry.extension != HeaderExtension::TransportWideCc);
    }
    if !has(MediaFeature::Simulcast) {
        let of_simulcast = [HeaderExtension::Rid, HeaderExtension::RepairedRid];
        configuration
            .extensions
            .retain(|entry| !of_simulcast.contains(&entry.extension));
    }
    if !has(MediaFeature::PlayoutDelay) {
        configuration
            .extensions
            .retain(|entry| entry.extension != HeaderExtension::PlayoutDelay);
    }
    if has(MediaFeature::DependencyDescriptor) {
        describe_dependencies(&mut configuration.extensions);
    }
}

/// Adds the dependency descriptor to video, under an identifier that is free, if it is not there.
fn describe_dependencies(extensions: &mut Vec<HeaderExtensionConfiguration>) {
    let extension = HeaderExtension::DependencyDescriptor;
    let is_used = |id: &u8| extensions.iter().any(|entry| entry.id == *id);
    let free = (1..=14).rev().find(|id| !is_used(id));
    if let Some(id) = free
        && !extensions.iter().any(|entry| entry.extension == extension)
    {
        extensions.push(HeaderExtensionConfiguration {
            kind: MediaKind::Video,
            id,
            extension,
        });
    }
}

fn check_codecs(codecs: &[CodecConfiguration]) -> Result<(), ConfigurationError> {
    for (index, CodecConfiguration { codec, .. }) in codecs.iter().enumerate() {
        let name = || codec.name.clone();
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_line = |text: &str| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let named_well = is_token(&codec.name) && !codec.name.contains('/');
        // RTX is not a codec of its own here but a property of each (`with_rtx`).
        let is_rtx = codec.name.eq_ignore_ascii_case("rtx");
        if !named_well || !is_line(&codec.fmtp) || codec.clock_rate_hz == 0 || is_rtx {
            return Err(ConfigurationError::InvalidCodec { name: name() });
        }
        if codecs[..index].iter().any(|c| c.codec.matches(codec)) {
            return Err(ConfigurationError::DuplicateCodec { name: name() });
        }
    }
    Ok(())
}

fn check_payload_types(codecs: &[CodecConfiguration]) -> Result<(), ConfigurationError> {
    let mut seen = HashSet::new();
    for entry in codecs {
        for payload_type in [Some(entry.payload_type), entry.rtx_payload_type] {
            let Some(payload_type) = payload_type.map(PayloadType::get) else {
                continue;
            };
            if (64..96).contains(&payload_type) {
                return Err(ConfigurationError::ReservedPayloadType { payload_type });
            }
            if !seen.insert(payload_type) {
                return Err(ConfigurationError::DuplicatePayloadType { payload_type });
            }
        }
    }
    Ok(())
}

fn check_extensions(extensions: &[HeaderExtensionConfiguration]) -> Result<(), ConfigurationError> {
    for (index, entry) in extensions.iter().enumerate() {
        let HeaderExtensionConfiguration { id, extension, .. } = entry;
        if !(1..=14).contains(id) {
            return Err(ConfigurationError::ExtensionIdOutOfRange { id: *id });
        }
        if let HeaderExtension::Other(uri) = extension
            && (uri.is_empty() || !uri.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(ConfigurationError::InvalidExtensionUri { uri: uri.clone() });
        }
        for earlier in &extensions[..index] {
            let same = earlier.extension == *extension;
            if same && (earlier.kind == entry.kind || earlier.id != *id) {
                let extension = extension.clone();
                return Err(ConfigurationError::DuplicateExtension { extension });
            }
            if !same && earlier.id == *id {
                return Err(ConfigurationError::DuplicateExtensionId { id: *id });
            }
        }
    }
    Ok(())
}

/// The numbers are the ones that browsers use, so that most sessions need no renumbering.
fn default_codecs() -> Vec<CodecConfiguration> {
    let numbered = |codec, payload_type, rtx: Option<u8>| CodecConfiguration {
        codec,
        payload_type: number(payload_type),
        rtx_payload_type: rtx.map(number),
    };
    vec![
        numbered(RtpCodec::opus(), 111, None),
        numbered(RtpCodec::vp8(), 96, Some(97)),
        numbered(RtpCodec::vp9(0), 98, Some(99)),
        numbered(RtpCodec::h264(1), 108, Some(109)),
        numbered(RtpCodec::h264(0), 114, Some(115)),
        numbered(RtpCodec::av1(), 45, Some(46)),
    ]
}

fn number(payload_type: u8) -> PayloadType {
    PayloadType::new(payload_type).expect("the default payload types have seven bits")
}

fn default_extensions() -> Vec<HeaderExtensionConfiguration> {
    let audio = [
        (1, HeaderExtension::AudioLevel),
        (3, HeaderExtension::TransportWideCc),
        (4, HeaderExtension::Mid),
    ];
    let video = [
        (3, HeaderExtension::TransportWideCc),
        (4, HeaderExtension::Mid),
        (5, HeaderExtension::PlayoutDelay),
        (10, HeaderExtension::Rid),
        (11, HeaderExtension::RepairedRid),
    ];
    extensions_of(MediaKind::Audio, audio)
        .chain(extensions_of(MediaKind::Video, video))
        .collect()
}

fn extensions_of(
    kind: MediaKind,
    extensions: impl IntoIterator<Item = (u8, HeaderExtension)>,
) -> impl Iterator<Item = HeaderExtensionConfiguration> {
    extensions
        .into_iter()
        .map(move |(id, extension)| HeaderExtensionConfiguration {
            kind,
            id,
            // One that we know may have been given by its URI.
            extension: HeaderExtension::from_uri(extension.uri()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use HeaderExtension::{
        AudioLevel, DependencyDescriptor, Mid, PlayoutDelay, RepairedRid, Rid, TransportWideCc,
    };

    fn pt(number: u8) -> PayloadType {
        PayloadType::new(number).unwrap()
    }

    fn with(codecs: impl IntoIterator<Item = CodecConfiguration>) -> ConfigurationError {
        let builder = MediaConfiguration::builder().codecs(MediaKind::Video, codecs);
        builder.build().unwrap_err()
    }

    fn names(configuration: &MediaConfiguration, kind: MediaKind) -> Vec<HeaderExtension> {
        let extensions = configuration.header_extensions(kind);
        extensions.map(|entry| entry.extension.clone()).collect()
    }

    #[test]
    fn c057_the_default_has_what_browsers_need() {
        let configuration = MediaConfiguration::default();
        let audio: Vec<_> = configuration.codecs(MediaKind::Audio).collect();
        assert_eq!(audio.len(), 1);
        assert!(audio[0].codec.matches(&RtpCodec::opus()));
        assert_eq!(audio[0].rtx_payload_type, None);
        let video: Vec<_> = configuration.codecs(MediaKind::Video).collect();
        let codecs: Vec<_> = video.iter().map(|e| e.codec.name.as_str()).collect();
        assert_eq!(codecs, ["VP8", "VP9", "H264", "H264", "AV1"]);
        assert_eq!(audio[0].codec.feedback, [RtcpFeedback::TransportCc]);
        let feedback = [
            RtcpFeedback::Nack,
            RtcpFeedback::Pli,
            RtcpFeedback::Fir,
            RtcpFeedback::Remb,
            RtcpFeedback::TransportCc,
        ];
        for entry in video {
            assert!(entry.rtx_payload_type.is_some());
            assert_eq!(entry.codec.feedback, feedback);
        }
        let audio = names(&configuration, MediaKind::Audio);
        assert_eq!(audio, [AudioLevel, TransportWideCc, Mid]);
        let video = names(&configuration, MediaKind::Video);
        assert_eq!(
            video,
            [TransportWideCc, Mid, PlayoutDelay, Rid, RepairedRid]
        );
    }

    #[test]
    fn c057_each_feature_is_switched_by_itself() {
        let feature = |feature, on| {
            let builder = MediaConfiguration::builder().feature(feature, on);
            builder.build().unwrap()
        };
        let plain = feature(MediaFeature::Rtx, false);
        for entry in plain.codecs(MediaKind::Video) {
            assert_eq!(entry.rtx_payload_type, None);
            assert!(entry.codec.feedback.contains(&RtcpFeedback::Nack));
        }
        let silent = feature(MediaFeature::Nack, false);
        for entry in silent.codecs(MediaKind::Video) {
            assert_eq!(entry.rtx_payload_type, None);
            let left = [
                RtcpFeedback::Pli,
                RtcpFeedback::Fir,
                RtcpFeedback::Remb,
                RtcpFeedback::TransportCc,
            ];
            assert_eq!(entry.codec.feedback, left);
        }
        let by_loss = feature(MediaFeature::TransportWideFeedback, false);
        for kind in [MediaKind::Audio, MediaKind::Video] {
            for entry in by_loss.codecs(kind) {
                assert!(!entry.codec.feedback.contains(&RtcpFeedback::TransportCc));
            }
            assert!(!names(&by_loss, kind).contains(&TransportWideCc));
        }
        let single = feature(MediaFeature::Simulcast, false);
        let video = names(&single, MediaKind::Video);
        assert_eq!(video, [TransportWideCc, Mid, PlayoutDelay]);
        let prompt = feature(MediaFeature::PlayoutDelay, false);
        let video = names(&prompt, MediaKind::Video);
        assert_eq!(video, [TransportWideCc, Mid, Rid, RepairedRid]);
        let described = feature(MediaFeature::DependencyDescriptor, true);
        assert!(names(&described, MediaKind::Video).contains(&DependencyDescriptor));
        // Switching on what is on changes nothing.
        for on in [
            MediaFeature::Nack,
            MediaFeature::Rtx,
            MediaFeature::TransportWideFeedback,
            MediaFeature::Simulcast,
            MediaFeature::PlayoutDelay,
        ] {
            assert_eq!(feature(on, true), MediaConfiguration::default());
        }
    }

    #[test]
    fn c058_a_payload_type_is_used_once() {
        let vp8 = CodecConfiguration::new(RtpCodec::vp8(), pt(96));
        let vp9 = CodecConfiguration::new(RtpCodec::vp9(0), pt(96));
        let twice = ConfigurationError::DuplicatePayloadType { payload_type: 96 };
        assert_eq!(with([vp8.clone(), vp9]), twice);
        assert_eq!(with([vp8.clone().with_rtx(pt(96))]), twice);
        let opus = ConfigurationError::DuplicatePayloadType { payload_type: 111 };
        assert_eq!(with([vp8.with_rtx(pt(111))]), opus);
        let rtcp = CodecConfiguration::new(RtpCodec::vp8(), pt(72));
        let reserved = ConfigurationError::ReservedPayloadType { payload_type: 72 };
        assert_eq!(with([rtcp]), reserved);
    }

    #[test]
    fn codecs_that_no_description_could_hold_are_refused() {
        let named = |name: &str, fmtp: &str| {
            let codec = RtpCodec {
                name: name.to_owned(),
                fmtp: fmtp.to_owned(),
                ..RtpCodec::vp8()
            };
            with([CodecConfiguration::new(codec, pt(96))])
        };
        for name in ["", "V P8", "VP8/90000", "rtx", "VP8\r\na=x"] {
            let name = name.to_owned();
            assert_eq!(named(&name, ""), ConfigurationError::InvalidCodec { name });
        }
        let smuggled = named("VP8", "x=1\r\na=setup:passive");
        assert!(matches!(smuggled, ConfigurationError::InvalidCodec { .. }));
        let again = [96, 97].map(|number| CodecConfiguration::new(RtpCodec::vp8(), pt(number)));
        let name = "VP8".to_owned();
        assert_eq!(with(again), ConfigurationError::DuplicateCodec { name });
        let audio = CodecConfiguration::new(RtpCodec::opus(), pt(96));
        let name = "opus".to_owned();
        assert_eq!(with([audio]), ConfigurationError::WrongKind { name });
    }

    #[test]
    fn c058_an_extension_has_one_identifier_and_an_identifier_one_extension() {
        let with = |extensions: &[(u8, HeaderExtension)]| {
            let extensions = extensions.iter().cloned();
            let builder = MediaConfiguration::builder();
            let builder = builder.header_extensions(MediaKind::Video, extensions);
            builder.build().unwrap_err()
        };
        let shared = with(&[(4, Rid)]);
        assert_eq!(shared, ConfigurationError::DuplicateExtensionId { id: 4 });
        for twice in [&[(5, Rid), (6, Rid)][..], &[(5, Mid)]] {
            let error = with(twice);
            let duplicate = matches!(error, ConfigurationError::DuplicateExtension { .. });
            assert!(duplicate, "{error}");
        }
        for id in [0, 15, 200] {
            let error = with(&[(id, Rid)]);
            assert_eq!(error, ConfigurationError::ExtensionIdOutOfRange { id });
        }
        let uri = "urn:x\r\na=y".to_owned();
        let error = with(&[(5, HeaderExtension::Other(uri.clone()))]);
        assert_eq!(error, ConfigurationError::InvalidExtensionUri { uri });
    }

    /// What takes lists of atoms there is a list of whole values here; a short name stands for all that belongs to
    /// it.
    #[test]
    fn c061_a_short_name_stands_for_all_that_belongs_to_it() {
        let codec = CodecConfiguration::new(RtpCodec::h264(0), pt(102)).with_rtx(pt(103));
        let builder = MediaConfiguration::builder().codecs(MediaKind::Video, [codec]);
        let builder = builder.header_extensions(MediaKind::Video, [(4, Mid)]);
        let configuration = builder.build().unwrap();
        let [entry] = &configuration.codecs(MediaKind::Video).collect::<Vec<_>>()[..] else {
            panic!("one codec");
        };
        assert_eq!(entry.codec.parameter("profile-level-id"), Some("42e01f"));
        assert_eq!(entry.codec.parameter("packetization-mode"), Some("0"));
        let feedback = [
            RtcpFeedback::Nack,
            RtcpFeedback::Pli,
            RtcpFeedback::Fir,
            RtcpFeedback::Remb,
            RtcpFeedback::TransportCc,
        ];
        assert_eq!(entry.codec.feedback, feedback);
        assert_eq!(names(&configuration, MediaKind::Video), [Mid]);
        assert_eq!(Mid.uri(), "urn:ietf:params:rtp-hdrext:sdes:mid");
    }
}
