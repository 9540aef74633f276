//! How much of a stream comes in each of its layers.

use std::sync::Arc;

use super::limit::{LayerLimit, Layers};
use super::reader::LayerReader;
use crate::rtp::batch::RtpSource;
use crate::rtp::extension::HeaderExtension;
use crate::rtp::packet::RtpPacket;
use crate::track::MediaKind;

/// What one encoding takes when no more of its layers are sent than a limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitedRate {
    /// As many of its layers.
    pub limit: LayerLimit,
    /// What they take together, headers of RTP included.
    pub bits_per_second: u64,
}

/// Counts the bytes of one incoming stream by layer.
///
/// A packet costs the reading of a few bytes of its payload's descriptor, or of its header extension, and an addition; sound, and what says
/// nothing of layers, not even that.
#[derive(Debug, Default)]
pub(crate) struct LayerMeter {
    /// What the latest packet was of.
    source: Option<Arc<RtpSource>>,
    reader: LayerReader,
    descriptor: Option<u8>,
    bytes: LayerBytes,
}

/// Bytes by spatial and temporal layer. What is higher than there is place for counts as the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerBytes([[u64; MAX_LAYERS]; MAX_LAYERS]);

impl LayerMeter {
    /// A packet came.
    pub(crate) fn count(&mut self, packet: &RtpPacket, source: &Arc<RtpSource>) {
        if source.codec.kind == MediaKind::Audio {
            return;
        }
        let is_known = self
            .source
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, source));
        if !is_known {
            self.begin(source);
        }
        let descriptor = self.descriptor.and_then(|id| packet.extension(id));
        if let Some(layers) = self.reader.layers_of(packet.payload(), descriptor) {
            self.bytes.add(layers, packet.weight_bytes());
        }
    }

    /// What has come so far.
    pub(crate) fn bytes(&self) -> &LayerBytes {
        &self.bytes
    }

    /// A negotiation leaves what is known of a stream as it is, if its codec stays.
    fn begin(&mut self, source: &Arc<RtpSource>) {
        let is_of_codec = |it: &Arc<RtpSource>| it.codec == source.codec;
        if !self.source.as_ref().is_some_and(is_of_codec) {
            self.reader = LayerReader::new(&source.codec);
        }
        self.descriptor = source.extensions.id(&HeaderExtension::DependencyDescriptor);
        self.source = Some(Arc::clone(source));
    }
}

impl LayerBytes {
    fn add(&mut self, layers: Layers, bytes: usize) {
        let place = |layer: u8| usize::from(layer).min(MAX_LAYERS - 1);
        self.0[place(layers.spatial)][place(layers.temporal)] += bytes as u64;
    }

    /// Adds what came elsewhere.
    pub(crate) fn add_all(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
    }

    /// What has come since `before`. A stream that is forgotten takes its counts along.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        self.combine(before, u64::saturating_sub);
        self
    }

    fn combine(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        let counts = self.0.iter_mut().flatten();
        for (count, other) in counts.zip(other.0.iter().flatten()) {
            *count = combine(*count, *other);
        }
    }

    /// What remains of a stream of this rate within each limit that changes something, by size and then by how often there is a picture; the
    /// last is the whole. Empty where there is one layer, or none is known.
    pub(crate) fn limited(&self, bits_per_second: f64) -> Vec<LimitedRate> {
        let whole: u64 = self.0.iter().flatten().sum();
        let mut limited = Vec::new();
        for (spatial, row) in self.0.iter().enumerate() {
            if row.iter().all(|bytes| *bytes == 0) {
                continue;
            }
            let mut sum = 0;
            for temporal in 0..MAX_LAYERS {
                let column: u64 = self.0[..=spatial].iter().map(|row| row[temporal]).sum();
                if column == 0 {
                    continue;
                }
                sum += column;
                let share = sum as f64 / whole as f64;
                limited.push(LimitedRate {
                    limit: LayerLimit::at_most(spatial as u8 + 1, temporal as u8 + 1),
                    bits_per_second: (bits_per_second * share) as u64,
                });
            }
        }
        if limited.len() < 2 {
            limited.clear();
        }
        limited
    }
}

/// Browsers send three of each at most.
const MAX_LAYERS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::RtpCodec;
    use crate::rtp::extension::ExtensionMap;
    use crate::rtp::types::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

    fn source(codec: RtpCodec) -> Arc<RtpSource> {
        Arc::new(RtpSource {
            codec: Arc::new(codec),
            extensions: ExtensionMap::default(),
        })
    }

    fn packet(payload: Vec<u8>) -> RtpPacket {
        RtpPacket::new(
            PayloadType::new(96).unwrap(),
            SequenceNumber(0),
            RtpTimestamp(0),
            Ssrc(1),
            false,
            payload,
        )
    }

    /// A packet of VP9 of these layers and so many bytes: one that is made has no header yet.
    fn vp9(spatial: u8, temporal: u8, bytes: usize) -> RtpPacket {
        let mut payload = vec![0x20, temporal << 5 | spatial << 1, 0];
        payload.resize(bytes, 0xff);
        packet(payload)
    }

    fn told(bytes: &LayerBytes, rate: f64) -> Vec<(String, u64)> {
        let limited = bytes.limited(rate);
        let told = limited.iter();
        told.map(|it| (it.limit.to_string(), it.bits_per_second))
            .collect()
    }

    fn named(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
        let named = expected.iter();
        named
            .map(|(name, rate)| ((*name).to_owned(), *rate))
            .collect()
    }

    #[test]
    fn each_limit_has_the_share_of_its_layers_and_the_last_is_the_whole() {
        let (mut meter, source) = (LayerMeter::default(), source(RtpCodec::vp9(0)));
        for (spatial, temporal, bytes) in [(0, 0, 100), (0, 1, 50), (1, 0, 600), (1, 1, 250)] {
            meter.count(&vp9(spatial, temporal, bytes), &source);
        }
        assert_eq!(
            told(meter.bytes(), 1_000_000.0),
            named(&[
                ("L1T1", 100_000),
                ("L1T2", 150_000),
                ("L2T1", 700_000),
                ("L2T2", 1_000_000),
            ])
        );
    }

    #[test]
    fn the_pictures_of_vp8_have_shares_by_how_often_they_come() {
        let (mut meter, source) = (LayerMeter::default(), source(RtpCodec::vp8()));
        for temporal in [0, 2, 1, 2] {
            meter.count(&packet(vec![0x90, 0x20, temporal << 6, 0]), &source);
        }
        let expected = [("L1T1", 25_000), ("L1T2", 50_000), ("L1T3", 100_000)];
        assert_eq!(told(meter.bytes(), 100_000.0), named(&expected));
    }

    #[test]
    fn a_stream_of_one_layer_has_no_limits_nor_has_one_that_says_nothing() {
        let (mut meter, vp9_source) = (LayerMeter::default(), source(RtpCodec::vp9(0)));
        assert_eq!(told(meter.bytes(), 1000.0), []);
        meter.count(&vp9(0, 0, 100), &vp9_source);
        assert_eq!(told(meter.bytes(), 1000.0), []);
        for codec in [RtpCodec::h264(1), RtpCodec::av1(), RtpCodec::opus()] {
            let mut meter = LayerMeter::default();
            meter.count(&vp9(1, 1, 100), &source(codec));
            assert_eq!(*meter.bytes(), LayerBytes::default());
        }
    }

    #[test]
    fn a_negotiation_that_leaves_the_codec_leaves_the_counts() {
        let mut meter = LayerMeter::default();
        for _ in 0..2 {
            meter.count(&vp9(0, 0, 100), &source(RtpCodec::vp9(0)));
        }
        meter.count(&vp9(1, 0, 600), &source(RtpCodec::vp9(0)));
        let expected = [("L1T1", 200), ("L2T1", 800)];
        assert_eq!(told(meter.bytes(), 800.0), named(&expected));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_more_layers_take_no_less_and_all_take_all(
            packets in prop::collection::vec((0_u8..8, 0_u8..8, 20_usize..1200), 0..40),
            rate in 0_u32..10_000_000,
        ) {
            let (mut meter, source) = (LayerMeter::default(), source(RtpCodec::vp9(0)));
            for (spatial, temporal, bytes) in packets {
                meter.count(&vp9(spatial, temporal, bytes), &source);
            }
            let limited = meter.bytes().limited(rate.into());
            prop_assert!(limited.len() <= MAX_LAYERS * MAX_LAYERS);
            if let Some(last) = limited.last() {
                prop_assert_eq!(last.bits_per_second, u64::from(rate));
            }
            for one in &limited {
                for other in &limited {
                    if one.limit.but_at_most(other.limit) == one.limit {
                        prop_assert!(one.bits_per_second <= other.bits_per_second);
                    }
                }
            }
        }
    }
}
