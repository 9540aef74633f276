//! What a sender sends within what was negotiated.

use super::super::{ParametersError, RtpSendParameters, RtpTransceiverDirection, SenderId};
use super::media_lines::pair;
use super::{End, negotiate};
use crate::codec::RtpCodec;
use crate::track::MediaKind::{Audio, Video};
use crate::track::TrackId;

/// Two ends after a negotiation, and the video sender of the first.
fn negotiated() -> (End, End, SenderId) {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    let sender = a.transceiver(1).sender().id();
    negotiate(&mut a, &mut b);
    a.effects();
    (a, b, sender)
}

fn set(end: &mut End, sender: SenderId, wanted: &RtpSendParameters) -> Result<(), ParametersError> {
    end.jsep.set_parameters(sender, wanted, &mut end.effects)
}

fn set_codec(end: &mut End, sender: SenderId, codec: RtpCodec) -> Result<(), ParametersError> {
    end.jsep.set_sender_codec(sender, codec, &mut end.effects)
}

/// What the media path is to send on the video m-line.
fn sent(end: &End) -> (Option<TrackId>, Vec<String>) {
    let plan = end.jsep.media_plan();
    let send = plan.sections[1].send.as_ref().unwrap();
    let codecs = send.codecs.iter().map(|codec| codec.codec.name.clone());
    (send.track, codecs.collect())
}

#[test]
fn parameters_say_what_was_negotiated() {
    let (mut a, _) = pair();
    a.add_track(Video);
    let sender = a.transceiver(0).sender().id();
    let before = a.jsep.parameters(sender).unwrap();
    assert!(before.codecs.is_empty() && before.header_extensions.is_empty());
    assert!(!before.rtcp.reduced_size);

    let (mut a, _, sender) = negotiated();
    let parameters = a.jsep.parameters(sender).unwrap();
    let plan = a.jsep.media_plan();
    let send = plan.sections[1].send.as_ref().unwrap();
    assert_eq!(parameters.header_extensions, send.extensions.entries);
    assert_eq!(&*parameters.rtcp.cname, "first");
    assert!(parameters.rtcp.reduced_size);
    let first = &parameters.codecs[0];
    assert_eq!(
        (first.codec.name.as_str(), first.payload_type.get()),
        ("VP8", 96)
    );
    assert_eq!(parameters.codecs.len(), 5);
    let [encoding] = parameters.encodings.as_slice() else {
        panic!("one encoding");
    };
    assert!(encoding.active);
    assert_eq!(encoding.codec, None);
    let again = a.jsep.parameters(sender).unwrap();
    assert_ne!(again.transaction_id, parameters.transaction_id);
}

#[test]
fn an_encoding_is_switched_off_and_on_without_negotiation() {
    let (mut a, mut b, sender) = negotiated();
    let track = a.transceiver(1).sender().track().unwrap().id();
    for (active, expected) in [(false, None), (true, Some(track)), (false, None)] {
        let mut parameters = a.jsep.parameters(sender).unwrap();
        parameters.encodings[0].active = active;
        set(&mut a, sender, &parameters).unwrap();
        assert_eq!(
            a.effects().len(),
            1,
            "the media path is told, and nobody else"
        );
        assert_eq!(sent(&a).0, expected);
    }
    negotiate(&mut b, &mut a);
    assert_eq!(sent(&a).0, None, "it stays as it was set");
}

#[test]
fn parameters_are_set_once_for_each_time_they_are_read() {
    let (mut a, mut b, sender) = negotiated();
    let old = a.jsep.parameters(sender).unwrap();
    let parameters = a.jsep.parameters(sender).unwrap();
    let parameter = "transaction_id";
    let stale = set(&mut a, sender, &old);
    assert_eq!(
        stale,
        Err(ParametersError::InvalidModification { parameter })
    );
    set(&mut a, sender, &parameters).unwrap();
    let twice = set(&mut a, sender, &parameters);
    assert_eq!(twice, Err(ParametersError::NotRead));
    let parameters = a.jsep.parameters(sender).unwrap();
    negotiate(&mut a, &mut b);
    let after = set(&mut a, sender, &parameters);
    assert_eq!(after, Err(ParametersError::NotRead));
}

#[test]
fn what_negotiation_decides_cannot_be_set_and_what_an_encoder_does_is_refused() {
    let (mut a, _, sender) = negotiated();
    type Change = fn(&mut RtpSendParameters);
    let modifications: [(&str, Change); 6] = [
        ("encodings", |p| p.encodings.clear()),
        ("encodings", |p| p.encodings.push(p.encodings[0].clone())),
        ("header_extensions", |p| p.header_extensions.clear()),
        ("rtcp", |p| p.rtcp.reduced_size = false),
        ("codecs", |p| p.codecs.reverse()),
        ("rid", |p| p.encodings[0].rid = Some("h".into())),
    ];
    let unsupported: [(&str, Change); 3] = [
        ("max_bitrate_bps", |p| {
            p.encodings[0].max_bitrate_bps = Some(1)
        }),
        ("max_framerate", |p| {
            p.encodings[0].max_framerate = Some(1.0)
        }),
        ("scale_resolution_down_by", |p| {
            p.encodings[0].scale_resolution_down_by = Some(2.0);
        }),
    ];
    let read = a.jsep.parameters(sender).unwrap();
    let mut refused = |change: Change| {
        let mut parameters = read.clone();
        parameters.encodings[0].active = false;
        change(&mut parameters);
        let error = set(&mut a, sender, &parameters).unwrap_err();
        assert!(
            sent(&a).0.is_some() && a.effects().is_empty(),
            "nothing changed"
        );
        error
    };
    for (parameter, change) in modifications {
        let expected = ParametersError::InvalidModification { parameter };
        assert_eq!(refused(change), expected);
    }
    for (parameter, change) in unsupported {
        assert_eq!(refused(change), ParametersError::NotSupported { parameter });
    }
    let name = "G722".to_owned();
    let foreign = refused(|p| {
        p.encodings[0].codec = Some(RtpCodec {
            name: "G722".to_owned(),
            ..RtpCodec::opus()
        });
    });
    assert_eq!(foreign, ParametersError::CodecNotNegotiated { name });
}

#[test]
fn c006_the_codec_of_a_sender_is_one_of_those_negotiated() {
    let (mut a, mut b) = pair();
    a.add_track(Audio);
    a.add_track(Video);
    b.add_track(Video);
    let foreign = b.transceiver(0).sender().id();
    let vp9 = || RtpCodec::vp9(0);
    let wrong = set_codec(&mut a, foreign, vp9());
    assert_eq!(wrong, Err(ParametersError::UnknownSender { id: foreign }));
    let sender = a.transceiver(1).sender().id();
    let early = set_codec(&mut a, sender, vp9()).unwrap_err();
    assert!(matches!(early, ParametersError::CodecNotNegotiated { .. }));
    let direction = RtpTransceiverDirection::RecvOnly;
    let receiving = a.add_transceiver(Video, direction).sender().id();
    negotiate(&mut a, &mut b);
    let silent = set_codec(&mut a, receiving, vp9());
    assert_eq!(silent, Err(ParametersError::DoesNotSend { direction }));

    set_codec(&mut a, sender, vp9()).unwrap();
    assert_eq!(sent(&a).1, ["VP9"]);
    assert_eq!(a.jsep.parameters(sender).unwrap().codecs.len(), 5);
    // As W3C has it, by the parameters.
    let mut parameters = a.jsep.parameters(sender).unwrap();
    assert_eq!(parameters.encodings[0].codec, Some(vp9()));
    parameters.encodings[0].codec = Some(RtpCodec::av1());
    set(&mut a, sender, &parameters).unwrap();
    assert_eq!(sent(&a).1, ["AV1"]);
    // A negotiation that leaves it out leaves the choice open again.
    let transceiver = a.transceiver(1).id();
    let preferred = vec![RtpCodec::vp8(), vp9()];
    a.jsep
        .set_codec_preferences(transceiver, preferred)
        .unwrap();
    negotiate(&mut a, &mut b);
    assert_eq!(sent(&a).1, ["VP8", "VP9"]);
    a.stop(1);
    let id = transceiver;
    let stopped = set_codec(&mut a, sender, vp9());
    assert_eq!(stopped, Err(ParametersError::Stopped { id }));
    a.jsep.close();
    assert_eq!(a.jsep.parameters(sender), Err(ParametersError::Closed));
}
