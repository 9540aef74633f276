//! Many sources, one stream: for those who forward by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::batch::RtpBatch;
use super::continuity::{Continuity, Numbers};
use super::extension::HeaderExtension;
use super::keyframe::KeyframeMark;
use super::layers::{LayerFilter, LayerLimit};
use super::packet::RtpPacket;
use super::pictures::PictureCodec;
use super::types::Ssrc;
use crate::codec::RtpCodec;

/// Makes one stream of packets that come from changing sources: of the layers of a simulcast, of one speaker after
/// the other.
///
/// Give it the packets of all sources that may be sent, each with a name of your choosing (`S`: a [`Rid`](super::Rid), a
/// [`TrackId`](crate::track::TrackId), both), and send what comes out. Of the [selected](Self::select) source it comes out with
/// sequence numbers and timestamps that go on, as do the numbers of VP8 and VP9 pictures; of the others
/// nothing does. A switch happens where a keyframe of the new source begins, and until then the former source goes on.
/// A repaired packet that comes late gets its place; one from before a switch is dropped, since its place is taken.
///
/// ```
/// # use std::time::Instant;
/// # use ractor_webrtc::codec::RtpCodec;
/// # use ractor_webrtc::rtp::{PayloadType, Rid, RtpBatch, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
/// use ractor_webrtc::rtp::Rewriter;
///
/// let [low, high] = ["l", "h"].map(Rid::from);
/// let mut rewriter = Rewriter::new(&RtpCodec::vp8());
/// rewriter.select(low.clone());
///
/// // In real life an `Event::Rtp` brings them, with their `rid`.
/// let packets = |ssrc, number, payload: &'static [u8]| -> RtpBatch {
///     let vp8 = PayloadType::new(96).expect("below 128");
///     RtpPacket::new(vp8, SequenceNumber(number), RtpTimestamp(3_000), Ssrc(ssrc), true, payload).into()
/// };
/// let (keyframe, delta) = (&[0x10, 0x00], &[0x10, 0x01]);
/// let now = Instant::now();
///
/// let sent = rewriter.rewrite(&low, &packets(1, 100, keyframe), now);
/// assert_eq!(sent.expect("selected")[0].sequence_number(), SequenceNumber(100));
///
/// // The remote side has room for more.
/// if rewriter.select(high.clone()) {
///     // publisher.request_keyframe(camera, Some(high.clone()))?;
/// }
/// assert!(rewriter.rewrite(&high, &packets(2, 7, delta), now).is_none());
/// assert!(rewriter.rewrite(&low, &packets(1, 101, delta), now).is_some());
///
/// let sent = rewriter.rewrite(&high, &packets(2, 8, keyframe), now);
/// // viewer.send_rtp(screen, sent)?;
/// assert_eq!(sent.expect("a keyframe begins")[0].sequence_number(), SequenceNumber(102));
/// assert!(rewriter.rewrite(&low, &packets(1, 102, delta), now).is_none());
/// ```
///
/// # Beside `send_rtp`
///
/// [`send_rtp`](crate::peer_connection::PeerConnection::send_rtp) numbers forwarded packets on when their SSRC changes. What a `Rewriter`
/// gives has one SSRC, its own, whatever the source, and so goes out with the numbers that it has. Where something else was sent on the track
/// before (by a route, by hand, by another `Rewriter`) all of them move by the same amount. Do not send packets of the same track
/// past the `Rewriter` in between: each change would look like one to a new source.
///
/// # One for each stream that is sent
///
/// Viewers who all get the same share one; who has a choice of his own needs one of his own. It is a plain
/// value: it waits for nothing and asks nobody, so requests for keyframes are up to you, and it is `Clone`, should you
/// want to try something.
#[derive(Clone, Debug)]
pub struct Rewriter<S> {
    codec: RtpCodec,
    pictures: Option<PictureCodec>,
    /// Without one, as for sound, a source may begin anywhere.
    keyframes: Option<KeyframeMark>,
    ssrc: Ssrc,
    continuity: Continuity,
    playing: Option<S>,
    /// Selected, waits for a keyframe.
    next: Option<S>,
    layers: LayerFilter,
}

impl<S: PartialEq> Rewriter<S> {
    /// One that has no source yet.
    ///
    /// All sources have this codec. Of those with another [name](RtpCodec::name) nothing comes out: who was sent one codec is not
    /// ready for another. Its parameters do not count.
    pub fn new(codec: &RtpCodec) -> Self {
        Self {
            codec: codec.clone(),
            pictures: PictureCodec::of(codec),
            keyframes: KeyframeMark::of(codec),
            ssrc: next_ssrc(),
            continuity: Continuity::default(),
            playing: None,
            next: None,
            layers: LayerFilter::default(),
        }
    }

    /// This source is to be sent, from its next keyframe on. Says whether a keyframe of it is needed, so that it is
    /// a good moment to [ask for one](crate::peer_connection::PeerConnection::request_keyframe).
    ///
    /// To select what is sent already takes back an earlier choice that was still waiting.
    pub fn select(&mut self, source: S) -> bool {
        self.next = (self.playing.as_ref() != Some(&source)).then_some(source);
        self.next.is_some()
    }

    /// Nothing is sent until a source is [selected](Self::select), and its next keyframe begins.
    pub fn pause(&mut self) {
        self.playing = None;
        self.next = None;
    }

    /// At most so many layers of the source come out, from its next picture on; see
    /// [`set_layer_limit`](crate::peer_connection::PeerConnection::set_layer_limit) of those who send.
    pub fn set_layer_limit(&mut self, limit: LayerLimit) {
        self.layers.set_limit(limit);
    }

    /// Whether a keyframe is waited for: of the source that was selected, or, for more spatial layers, of the one whose packets
    /// come out.
    pub fn wants_keyframe(&self) -> bool {
        self.next.is_some() || self.layers.wants_keyframe()
    }

    /// The source whose packets come out now.
    pub fn playing(&self) -> Option<&S> {
        self.playing.as_ref()
    }

    /// The source that was selected and waits for a keyframe.
    pub fn next(&self) -> Option<&S> {
        self.next.as_ref()
    }

    /// What is to be sent of these packets of a source, `None` when it is nothing.
    ///
    /// `now` counts for packets of the application alone: those from the network know when they
    /// [came](RtpBatch::received_at).
    pub fn rewrite(&mut self, source: &S, packets: &RtpBatch, now: Instant) -> Option<RtpBatch> {
        let names = |codec: &RtpCodec| codec.name.eq_ignore_ascii_case(&self.codec.name);
        if !packets.codec().is_none_or(names) {
            return None;
        }
        let at = packets.received_at().unwrap_or(now);
        let descriptor = packets.extension_id(&HeaderExtension::DependencyDescriptor);
        let rewritten: Arc<[_]> = packets
            .iter()
            .filter_map(|packet| self.rewrite_packet(source, packet, descriptor, at))
            .collect();
        (!rewritten.is_empty()).then(|| packets.with_packets(rewritten))
    }

    fn rewrite_packet(
        &mut self,
        source: &S,
        packet: &RtpPacket,
        descriptor: Option<u8>,
        at: Instant,
    ) -> Option<RtpPacket> {
        if self.next.as_ref() == Some(source) && self.can_begin_with(packet) {
            self.playing = self.next.take();
            self.continuity.change_source();
            self.layers.begin_anew();
        }
        if self.playing.as_ref() != Some(source) {
            return None;
        }
        let packet = self.layers.take(packet, &self.codec, descriptor)?;
        let clock_rate_hz = self.codec.clock_rate_hz;
        let numbers = self
            .continuity
            .place(&packet, clock_rate_hz, self.pictures, at)?;
        Some(self.placed(&packet, numbers))
    }

    fn can_begin_with(&self, packet: &RtpPacket) -> bool {
        self.keyframes
            .is_none_or(|mark| mark.begins_keyframe(packet.payload()))
    }

    /// Its bytes are copied only where they change.
    fn placed(&self, packet: &RtpPacket, numbers: Numbers) -> RtpPacket {
        let placed = packet.placed(self.ssrc, numbers.sequence, numbers.timestamp);
        let theirs = Numbers::of(packet, self.pictures);
        match (self.pictures, numbers.pictures) {
            (Some(codec), Some(pictures)) if theirs.pictures != numbers.pictures => {
                placed.with_payload_changed(|payload| codec.write(pictures, payload))
            }
            (_, _) => placed,
        }
    }
}

/// Names a stream within this process, so that senders notice a change from one value to another; every sender writes
/// an SSRC of its own.
fn next_ssrc() -> Ssrc {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ssrc(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::batch::RtpSource;
    use super::super::extension::ExtensionMap;
    use super::super::types::{PayloadType, RtpTimestamp, SequenceNumber};
    use super::*;

    const KEYFRAME: [u8; 2] = [0x10, 0x00];
    const DELTA: [u8; 2] = [0x10, 0x01];

    fn packet(ssrc: u32, number: u16, timestamp: u32, payload: &[u8]) -> RtpPacket {
        RtpPacket::new(
            PayloadType::new(96).unwrap(),
            SequenceNumber(number),
            RtpTimestamp(timestamp),
            Ssrc(ssrc),
            true,
            Bytes::copy_from_slice(payload),
        )
    }

    /// What comes out of one packet: its number and its timestamp.
    fn out(
        rewriter: &mut Rewriter<&'static str>,
        source: &'static str,
        packet: RtpPacket,
        at: Instant,
    ) -> Option<(u16, u32)> {
        let batch = rewriter.rewrite(&source, &packet.into(), at)?;
        assert_eq!(batch.len(), 1);
        Some((batch[0].sequence_number().0, batch[0].timestamp().0))
    }

    #[test]
    fn nothing_of_what_was_not_selected_comes_out() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        let now = Instant::now();
        assert_eq!(
            out(&mut rewriter, "low", packet(1, 1, 0, &KEYFRAME), now),
            None
        );
        assert!(rewriter.select("high"));
        assert_eq!(
            out(&mut rewriter, "low", packet(1, 2, 0, &KEYFRAME), now),
            None
        );
        assert_eq!((rewriter.playing(), rewriter.next()), (None, Some(&"high")));
    }

    #[test]
    fn c070_a_switch_waits_for_a_keyframe_and_goes_on_from_the_source_before() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        let now = Instant::now();
        let later = now + Duration::from_millis(100);
        rewriter.select("low");
        let first = packet(1, 65_535, 5, &KEYFRAME);
        assert_eq!(out(&mut rewriter, "low", first, now), Some((65_535, 5)));
        assert!(rewriter.select("high"));
        assert_eq!(
            out(&mut rewriter, "high", packet(2, 70, 9, &DELTA), now),
            None
        );
        let before = packet(1, 0, 3_005, &DELTA);
        assert_eq!(out(&mut rewriter, "low", before, now), Some((0, 3_005)));
        let switch = packet(2, 71, 9, &KEYFRAME);
        assert_eq!(out(&mut rewriter, "high", switch, later), Some((1, 12_005)));
        assert_eq!((rewriter.playing(), rewriter.next()), (Some(&"high"), None));
        assert_eq!(
            out(&mut rewriter, "low", packet(1, 1, 6_005, &DELTA), later),
            None
        );
        let after = packet(2, 72, 3_009, &DELTA);
        assert_eq!(out(&mut rewriter, "high", after, later), Some((2, 15_005)));
    }

    #[test]
    fn a_switch_within_a_batch_begins_with_the_keyframe() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        rewriter.select("one");
        let batch: RtpBatch = [DELTA, KEYFRAME, DELTA]
            .iter()
            .zip(7..)
            .map(|(payload, number)| packet(1, number, 0, payload))
            .collect();
        let sent = rewriter.rewrite(&"one", &batch, Instant::now()).unwrap();
        let numbers: Vec<_> = sent.iter().map(|it| it.sequence_number().0).collect();
        assert_eq!(numbers, [8, 9]);
    }

    #[test]
    fn who_takes_a_choice_back_goes_on_without_a_keyframe() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        let now = Instant::now();
        rewriter.select("low");
        out(&mut rewriter, "low", packet(1, 1, 0, &KEYFRAME), now);
        assert!(rewriter.select("high"));
        assert!(!rewriter.select("low"));
        assert_eq!(
            out(&mut rewriter, "high", packet(2, 9, 0, &KEYFRAME), now),
            None
        );
        assert_eq!(
            out(&mut rewriter, "low", packet(1, 2, 0, &DELTA), now),
            Some((2, 0))
        );
    }

    #[test]
    fn after_a_pause_the_same_source_begins_with_a_keyframe_and_goes_on_in_number() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        let now = Instant::now();
        rewriter.select("one");
        out(&mut rewriter, "one", packet(1, 1, 0, &KEYFRAME), now);
        rewriter.pause();
        assert_eq!(
            out(&mut rewriter, "one", packet(1, 2, 0, &KEYFRAME), now),
            None
        );
        assert!(rewriter.select("one"));
        assert_eq!(
            out(&mut rewriter, "one", packet(1, 8, 9, &DELTA), now),
            None
        );
        let again = out(&mut rewriter, "one", packet(1, 9, 9, &KEYFRAME), now);
        assert_eq!(again, Some((2, 1)));
    }

    #[test]
    fn sound_switches_at_once() {
        let mut rewriter = Rewriter::new(&RtpCodec::opus());
        let now = Instant::now();
        rewriter.select("ann");
        assert_eq!(
            out(&mut rewriter, "ann", packet(1, 5, 0, b"x"), now),
            Some((5, 0))
        );
        rewriter.select("bob");
        assert_eq!(
            out(&mut rewriter, "bob", packet(2, 99, 0, b"x"), now),
            Some((6, 1))
        );
    }

    #[test]
    fn another_codec_does_not_belong() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        rewriter.select("one");
        let of = |codec| {
            let source = Arc::new(RtpSource {
                codec: Arc::new(codec),
                extensions: ExtensionMap::default(),
            });
            let packets = [packet(1, 1, 0, &KEYFRAME)];
            RtpBatch::received(packets.into(), source, Instant::now())
        };
        let now = Instant::now();
        assert!(
            rewriter
                .rewrite(&"one", &of(RtpCodec::h264(1)), now)
                .is_none()
        );
        let sent = rewriter.rewrite(&"one", &of(RtpCodec::vp8()), now).unwrap();
        assert_eq!(sent.codec(), Some(&RtpCodec::vp8()));
        assert!(sent.received_at().is_some());
    }

    #[test]
    fn c070_pictures_are_numbered_on_and_those_of_others_stay_untouched() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        let now = Instant::now();
        let payload = |id: u8| [0x90, 0x80, 0x80, id, 0x00];
        rewriter.select("low");
        let first: RtpBatch = packet(1, 1, 0, &payload(200)).into();
        rewriter.rewrite(&"low", &first, now);
        rewriter.select("high");
        let second: RtpBatch = packet(2, 9, 0, &payload(3)).into();
        let sent = rewriter.rewrite(&"high", &second, now).unwrap();
        assert_eq!(sent[0].payload(), payload(201));
        assert_eq!(second[0].payload(), payload(3));
        assert!(sent[0].marker());
    }

    #[test]
    fn layers_above_the_limit_leave_no_gap_before_the_next_source() {
        let mut rewriter = Rewriter::new(&RtpCodec::vp8());
        let now = Instant::now();
        rewriter.set_layer_limit(LayerLimit::at_most(1, 1));
        let mut sent = |source: &'static str, number: u16, temporal: u8, delta: u8| {
            if source != rewriter.playing().copied().unwrap_or_default() {
                assert!(rewriter.select(source) && rewriter.wants_keyframe());
            }
            let payload = [0x90, 0x20, temporal << 6, delta];
            let packet = packet(source.len() as u32, number, number.into(), &payload);
            out(&mut rewriter, source, packet, now).map(|it| it.0)
        };
        assert_eq!(sent("low", 1, 0, 0), Some(1));
        assert_eq!(sent("low", 2, 1, 1), None);
        assert_eq!(sent("low", 3, 0, 1), Some(2));
        assert_eq!(sent("low", 4, 1, 1), None);
        assert_eq!(sent("high", 70, 0, 0), Some(3));
        assert_eq!(sent("high", 71, 1, 1), None);
        assert_eq!(sent("high", 72, 0, 1), Some(4));
        assert!(!rewriter.wants_keyframe());
    }

    /// What a sending half does with forwarded packets.
    fn sent_on(continuity: &mut Continuity, batch: &RtpBatch, at: Instant) -> Vec<(u16, u32)> {
        let place = |packet| continuity.place(packet, 90_000, Some(PictureCodec::Vp8), at);
        let numbers = batch.iter().filter_map(place);
        numbers.map(|it| (it.sequence.0, it.timestamp.0)).collect()
    }

    #[test]
    fn a_sender_takes_another_rewriter_for_another_source() {
        let mut continuity = Continuity::default();
        let now = Instant::now();
        let mut sent = |number| {
            let mut rewriter = Rewriter::new(&RtpCodec::vp8());
            rewriter.select("one");
            let batch = rewriter.rewrite(&"one", &packet(1, number, 0, &KEYFRAME).into(), now);
            sent_on(&mut continuity, &batch.unwrap(), now)
        };
        assert_eq!(sent(500), [(500, 0)]);
        assert_eq!(sent(3), [(501, 1)], "not of the same stream, long ago");
    }

    proptest! {
        /// However sources change, and whatever is lost and swapped on the way: what comes out is numbered on, and a sending half
        /// leaves it as it is.
        #[test]
        fn what_comes_out_is_one_stream_to_those_who_send_it(
            steps in prop::collection::vec((0_u32..3, any::<bool>(), 0_u16..3, any::<bool>()), 1..200),
            starts: [u16; 3],
        ) {
            const NAMES: [&str; 3] = ["a", "b", "c"];
            let mut rewriter = Rewriter::new(&RtpCodec::vp8());
            let mut continuity = Continuity::default();
            let mut numbers = starts;
            let mut newest: Option<u16> = None;
            let mut now = Instant::now();
            rewriter.select("a");
            for (index, selects, step, is_keyframe) in steps {
                now += Duration::from_millis(5);
                let source = NAMES[index as usize];
                if selects {
                    rewriter.select(source);
                }
                let was = rewriter.playing().copied();
                // 0 goes back by one: a packet that came too late, or twice.
                let number = &mut numbers[index as usize];
                *number = number.wrapping_add(step).wrapping_sub(u16::from(step == 0));
                let payload = if is_keyframe { &KEYFRAME } else { &DELTA };
                let packet = packet(index, *number, 0, payload);
                let Some(batch) = rewriter.rewrite(&source, &packet.into(), now) else { continue };
                let given = (batch[0].sequence_number().0, batch[0].timestamp().0);
                prop_assert_eq!(sent_on(&mut continuity, &batch, now), vec![given]);
                if let Some(newest) = newest && was != Some(source) {
                    prop_assert_eq!(given.0, newest.wrapping_add(1), "a switch leaves no gap");
                }
                let is_newest = newest.is_none_or(|newest| {
                    SequenceNumber(given.0).distance_from(SequenceNumber(newest)) > 0
                });
                if is_newest {
                    newest = Some(given.0);
                }
            }
        }
    }
}
