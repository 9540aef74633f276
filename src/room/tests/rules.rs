//! One rule each.

use super::*;
use crate::codec::RtpCodec;
use crate::forwarder::SubscribeError;
use crate::peer_connection::PeerConnectionState;
use crate::room::event::{MuteScope, MutedBy, RoomCloseReason};

fn stage() -> Stage {
    Stage::new(RoomLimits::default())
}

#[test]
fn a_newcomer_hears_who_is_there_and_what_they_publish_and_the_others_hear_of_it() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    stage.act(|machine, _, all| {
        machine.handle_labelled(ada, "s".into(), Some("camera".to_owned()), all);
        machine.handle_connection_state(ada, PeerConnectionState::Connected, all);
    });
    let (camera, _) = stage.publish(peer, MediaKind::Video, "s");
    let (bob, effects) = stage.try_join(JoinRequest::new("Bob"));
    let bob = bob.unwrap();
    let newcomer = Audience::Newcomer(bob);
    let expected = [
        (
            newcomer,
            RoomEvent::Joined {
                participant: ada,
                name: "Ada".to_owned(),
            },
        ),
        (
            newcomer,
            RoomEvent::ConnectionStateChanged {
                participant: ada,
                state: PeerConnectionState::Connected,
            },
        ),
        (
            newcomer,
            RoomEvent::Published {
                participant: ada,
                publication: camera,
                kind: MediaKind::Video,
                stream: seen(peer, "s"),
                label: Some("camera".to_owned()),
                muted_by: None,
            },
        ),
        (
            Audience::Others(bob),
            RoomEvent::Joined {
                participant: bob,
                name: "Bob".to_owned(),
            },
        ),
    ];
    assert_eq!(told(&effects), expected);
    assert_eq!(effects.len(), expected.len());
}

#[test]
fn who_leaves_is_expelled_taken_from_the_forwarder_and_told_once() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let (camera, _) = stage.publish(peer, MediaKind::Video, "s");
    let (_, viewer) = stage.join("Bob");
    stage.subscribe(viewer, camera);
    let effects = stage.leave(ada, LeaveReason::ConnectionLost);
    let left = RoomEvent::Left {
        participant: ada,
        reason: LeaveReason::ConnectionLost,
    };
    assert_eq!(
        effects,
        [
            Effect::Expel(ada, LeaveReason::ConnectionLost),
            Effect::RemovePeer(peer),
            Effect::Tell(Audience::All, left),
        ]
    );
    assert_eq!(stage.leave(ada, LeaveReason::Left), []);
    // The forwarder tells what follows from it; everybody knows already.
    let unpublished = ForwarderEvent::Unpublished {
        publisher: peer,
        publication: camera,
    };
    assert_eq!(stage.forwarder(unpublished), []);
    let unsubscribed = ForwarderEvent::Unsubscribed {
        subscriber: viewer,
        publication: Some(camera),
        subscription: camera,
    };
    assert_eq!(stage.forwarder(unsubscribed), []);
    assert_eq!(stage.machine.snapshot().participants[0].subscriptions, []);
    // Behind our back it may have been given to the forwarder.
    let effects = stage.act(|machine, now, all| machine.handle_ended(ada, now, all));
    assert_eq!(effects, [Effect::RemovePeer(peer)]);
}

#[test]
fn an_actor_that_ends_unasked_has_crashed() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let effects = stage.act(|machine, now, all| machine.handle_ended(ada, now, all));
    let reason = LeaveReason::Crashed;
    let left = RoomEvent::Left {
        participant: ada,
        reason: reason.clone(),
    };
    assert_eq!(
        effects,
        [
            Effect::Expel(ada, reason),
            Effect::RemovePeer(peer),
            Effect::Tell(Audience::All, left),
            Effect::RemovePeer(peer),
        ]
    );
}

#[test]
fn the_same_key_again_replaces_and_what_the_moderator_has_muted_stays_so() {
    let mut stage = stage();
    let page = || JoinRequest::new("Ada").key("k");
    let ((former, peer), _) = stage.join_as(page());
    stage.act(|machine, now, all| {
        let audio = MuteScope::Kind(MediaKind::Audio);
        machine.handle_muted_by_moderator(former, audio, true, now, all);
        machine.handle_muted_by_participant(former, MediaKind::Video, true, now, all);
    });
    let ((latter, peer_after), effects) = stage.join_as(page());
    assert_eq!(
        effects,
        [
            Effect::Expel(former, LeaveReason::Replaced),
            Effect::RemovePeer(peer),
            Effect::Tell(
                Audience::Others(latter),
                RoomEvent::Left {
                    participant: former,
                    reason: LeaveReason::Replaced
                }
            ),
            Effect::Tell(
                Audience::Others(latter),
                RoomEvent::Joined {
                    participant: latter,
                    name: "Ada".to_owned()
                }
            ),
        ]
    );
    let (microphone, effects) = stage.publish(peer_after, MediaKind::Audio, "s");
    assert_eq!(effects[0], Effect::SetPaused(microphone, true));
    let (_, effects) = stage.publish(peer_after, MediaKind::Video, "s");
    assert!(matches!(
        effects[..],
        [Effect::Tell(
            Audience::All,
            RoomEvent::Published { muted_by: None, .. }
        )]
    ));
    // Without a key nobody is anybody's page.
    stage.join("Ada");
    stage.join("Ada");
    assert_eq!(stage.machine.snapshot().participants.len(), 3);
}

#[test]
fn a_full_room_lets_nobody_in_but_those_who_come_again_and_those_not_without_end() {
    let mut stage = Stage::new(RoomLimits {
        participants: 2,
        ..RoomLimits::default()
    });
    stage.join("Ada");
    let page = || JoinRequest::new("Bob").key("k");
    stage.join_as(page());
    let (refused, effects) = stage.try_join(JoinRequest::new("Cleo"));
    assert!(
        matches!(refused, Err(JoinError::RoomFull { limit: 2 })),
        "{refused:?}"
    );
    assert_eq!(effects, []);
    let ((second, _), _) = stage.join_as(page());
    let ((third, _), _) = stage.join_as(page());
    assert_ne!(second, third);
    // Two are there, two are leaving.
    let (refused, _) = stage.try_join(page());
    assert!(
        matches!(refused, Err(JoinError::RoomFull { limit: 2 })),
        "{refused:?}"
    );
    stage.act(|machine, now, all| machine.handle_ended(second, now, all));
    stage.join_as(page());
}

#[test]
fn names_and_keys_have_a_length() {
    let mut stage = stage();
    let long = "x".repeat(257);
    let (refused, _) = stage.try_join(JoinRequest::new(long.clone()));
    assert!(matches!(
        refused,
        Err(JoinError::TooLong {
            what: "name",
            limit: 256
        })
    ));
    let (refused, _) = stage.try_join(JoinRequest::new("Ada").key(long));
    assert!(matches!(
        refused,
        Err(JoinError::TooLong {
            what: "key",
            limit: 256
        })
    ));
}

#[test]
fn a_mute_is_told_for_each_publication_when_it_changes_and_the_moderator_has_the_last_word() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let (microphone, _) = stage.publish(peer, MediaKind::Audio, "s");
    let (camera, _) = stage.publish(peer, MediaKind::Video, "s");
    let own = |stage: &mut Stage, muted| {
        stage.act(|machine, now, all| {
            machine.handle_muted_by_participant(ada, MediaKind::Audio, muted, now, all);
        })
    };
    let moderated = |stage: &mut Stage, scope: MuteScope, muted| {
        stage.act(|machine, now, all| {
            machine.handle_muted_by_moderator(ada, scope, muted, now, all);
        })
    };
    let muted = |by| {
        let (participant, publication) = (ada, microphone);
        let muted = RoomEvent::Muted {
            participant,
            publication,
            by,
        };
        Effect::Tell(Audience::All, muted)
    };
    let unmuted = |publication| {
        let unmuted = RoomEvent::Unmuted {
            participant: ada,
            publication,
        };
        Effect::Tell(Audience::All, unmuted)
    };
    let pause = Effect::SetPaused(microphone, true);
    let resume = Effect::SetPaused(microphone, false);
    let audio = MuteScope::Kind(MediaKind::Audio);

    assert_eq!(
        own(&mut stage, true),
        [pause.clone(), muted(MutedBy::Participant)]
    );
    assert_eq!(own(&mut stage, true), []);
    assert_eq!(
        moderated(&mut stage, audio, true),
        [muted(MutedBy::Moderator)]
    );
    assert_eq!(own(&mut stage, false), []);
    assert_eq!(
        moderated(&mut stage, audio, false),
        [resume.clone(), unmuted(microphone)]
    );

    let track = MuteScope::Publication(microphone);
    assert_eq!(
        moderated(&mut stage, track, true),
        [pause, muted(MutedBy::Moderator)]
    );
    // For the whole kind it is taken back for each track of it.
    assert_eq!(
        moderated(&mut stage, audio, false),
        [resume, unmuted(microphone)]
    );
    let (_, elsewhere) = stage.join("Bob");
    let (foreign, _) = stage.publish(elsewhere, MediaKind::Audio, "s");
    assert_eq!(
        moderated(&mut stage, MuteScope::Publication(foreign), true),
        []
    );
    let video = MuteScope::Publication(camera);
    assert_eq!(
        moderated(&mut stage, video, true)[0],
        Effect::SetPaused(camera, true)
    );
    let snapshot = stage.machine.snapshot();
    let muted: Vec<_> = snapshot.participants[0]
        .publications
        .iter()
        .map(|it| it.muted_by)
        .collect();
    assert_eq!(muted, [None, Some(MutedBy::Moderator)]);
}

#[test]
fn what_is_published_while_its_kind_is_muted_is_kept_back_before_anybody_hears_of_it() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    stage.act(|machine, now, all| {
        machine.handle_muted_by_participant(ada, MediaKind::Audio, true, now, all);
    });
    let (microphone, effects) = stage.publish(peer, MediaKind::Audio, "s");
    let published = RoomEvent::Published {
        participant: ada,
        publication: microphone,
        kind: MediaKind::Audio,
        stream: seen(peer, "s"),
        label: None,
        muted_by: Some(MutedBy::Participant),
    };
    assert_eq!(
        effects,
        [
            Effect::SetPaused(microphone, true),
            Effect::Tell(Audience::All, published),
        ]
    );
}

#[test]
fn a_label_is_told_by_the_name_that_others_see_once_for_all_tracks_of_the_stream() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    stage.publish(peer, MediaKind::Audio, "s");
    stage.publish(peer, MediaKind::Video, "other");
    stage.publish(peer, MediaKind::Video, "s");
    let mut label = |text: Option<&str>| {
        let text = text.map(ToOwned::to_owned);
        let effects = stage.act(|machine, _, all| {
            machine.handle_labelled(ada, "s".into(), text.clone(), all);
        });
        (effects, text)
    };
    for text in [Some("camera"), Some("screen"), None] {
        let (effects, label) = label(text);
        let stream = seen(peer, "s");
        let labelled = RoomEvent::Labelled {
            participant: ada,
            stream,
            label,
        };
        assert_eq!(effects, [Effect::Tell(Audience::All, labelled)]);
    }
    let (effects, _) = label(None);
    assert_eq!(effects, []);
}

#[test]
fn labels_that_are_too_many_or_too_long_are_passed_over() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    for number in 0..16 {
        stage.act(|machine, _, all| {
            let stream = StreamId::from(number.to_string().as_str());
            machine.handle_labelled(ada, stream, Some("one".to_owned()), all);
        });
    }
    for (stream, label) in [("s", "x".to_owned()), ("1", "x".repeat(257))] {
        stage.act(|machine, _, all| {
            machine.handle_labelled(ada, stream.into(), Some(label), all);
        });
    }
    for (source, expected) in [("s", None), ("1", Some("one"))] {
        let (_, effects) = stage.publish(peer, MediaKind::Video, source);
        let [Effect::Tell(_, RoomEvent::Published { label, .. })] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(label.as_deref(), expected);
    }
}

#[test]
fn who_is_muted_does_not_speak_and_falls_silent_when_muted() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let (microphone, _) = stage.publish(peer, MediaKind::Audio, "s");
    let hear = |stage: &mut Stage| {
        let mut effects = Vec::new();
        for _ in 0..5 {
            stage.pass(Duration::from_millis(100));
            effects.extend(stage.act(|machine, now, all| {
                machine.handle_heard(ada, microphone, level(-20), now, all);
            }));
        }
        effects
    };
    let speaking = |participants| RoomEvent::Speaking { participants };
    let effects = hear(&mut stage);
    assert_eq!(told(&effects), [(Audience::All, speaking(vec![ada]))]);
    let timers = |effects: &[Effect]| {
        let timers = effects
            .iter()
            .filter(|one| matches!(one, Effect::AwaitSilence(_)));
        timers.count()
    };
    assert_eq!(timers(&effects), 1, "one timer at a time");
    let effects = stage.act(|machine, now, all| {
        machine.handle_muted_by_participant(ada, MediaKind::Audio, true, now, all);
    });
    assert_eq!(told(&effects)[1], (Audience::All, speaking(vec![])));
    assert_eq!(hear(&mut stage), []);
}

#[test]
fn silence_is_waited_for_until_it_comes() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let (microphone, _) = stage.publish(peer, MediaKind::Audio, "s");
    let hear = |stage: &mut Stage| {
        stage.pass(Duration::from_millis(100));
        stage.act(|machine, now, all| {
            machine.handle_heard(ada, microphone, level(-20), now, all);
        })
    };
    let first = [hear(&mut stage), hear(&mut stage)].concat();
    let Some(Effect::AwaitSilence(at)) = first.last().cloned() else {
        panic!("{first:?}");
    };
    hear(&mut stage);
    stage.now = at;
    let effects = stage.act(RoomMachine::handle_silence_check);
    let [Effect::AwaitSilence(at)] = effects[..] else {
        panic!("{effects:?}");
    };
    stage.now = at;
    let effects = stage.act(RoomMachine::handle_silence_check);
    let silent = RoomEvent::Speaking {
        participants: Vec::new(),
    };
    assert_eq!(effects, [Effect::Tell(Audience::All, silent)]);
}

#[test]
fn a_forwarder_that_fails_is_started_again_until_it_fails_too_often() {
    let mut stage = Stage::new(RoomLimits {
        forwarder_restarts: 2,
        ..RoomLimits::default()
    });
    let (ada, _) = stage.join("Ada");
    let fail = |stage: &mut Stage| stage.act(RoomMachine::handle_forwarder_ended);
    let restarted = [
        Effect::StartForwarder,
        Effect::Tell(Audience::Owner, RoomEvent::ForwarderRestarted),
    ];
    assert_eq!(fail(&mut stage), restarted);
    assert_eq!(fail(&mut stage), restarted);
    stage.pass(Duration::from_secs(60));
    assert_eq!(fail(&mut stage), restarted);
    assert_eq!(fail(&mut stage), restarted);
    let effects = fail(&mut stage);
    assert_eq!(effects[0], Effect::AwaitEnd);
    assert_eq!(effects[1], Effect::Expel(ada, LeaveReason::RoomClosed));
    let effects = stage.act(|machine, now, all| machine.handle_ended(ada, now, all));
    let end = Effect::End(RoomCloseReason::ForwarderFailed);
    assert_eq!(effects.last(), Some(&end));
    assert_eq!(fail(&mut stage), []);
}

#[test]
fn what_a_forwarder_had_no_time_to_tell_or_to_hear_is_made_up_for_by_the_next() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let (bob, viewer) = stage.join("Bob");
    let stays = publication(peer, MediaKind::Video, "s");
    stage.forwarder(ForwarderEvent::Published(stays.clone()));
    let (goes, _) = stage.publish(peer, MediaKind::Audio, "s");
    stage.subscribe(viewer, goes);
    stage.act(RoomMachine::handle_forwarder_ended);
    stage.act(|machine, now, all| {
        machine.handle_muted_by_participant(ada, MediaKind::Video, true, now, all);
    });
    let comes = publication(peer, MediaKind::Audio, "other");
    let shown = snapshot(
        &[stays.clone(), comes.clone()],
        &[(viewer, stays.track.id())],
    );
    let effects = stage.act(|machine, now, all| {
        machine.handle_forwarder_restarted(&shown, now, all);
    });
    let (stays, comes) = (stays.track.id(), comes.track.id());
    let expected = [
        Effect::Tell(
            Audience::All,
            RoomEvent::Published {
                participant: ada,
                publication: comes,
                kind: MediaKind::Audio,
                stream: seen(peer, "other"),
                label: None,
                muted_by: None,
            },
        ),
        Effect::Tell(
            Audience::All,
            RoomEvent::Unpublished {
                participant: ada,
                publication: goes,
            },
        ),
        Effect::Tell(
            Audience::One(bob),
            RoomEvent::Subscribed {
                participant: bob,
                publication: stays,
            },
        ),
        Effect::SetPaused(stays, true),
        Effect::SetPaused(comes, false),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn what_concerns_one_is_told_to_one() {
    let mut stage = stage();
    let (ada, peer) = stage.join("Ada");
    let (bob, viewer) = stage.join("Bob");
    let (camera, _) = stage.publish(peer, MediaKind::Video, "s");
    let (participant, publication) = (bob, camera);
    let table = [
        (
            stage.subscribe(viewer, camera),
            RoomEvent::Subscribed {
                participant,
                publication,
            },
        ),
        (
            stage.forwarder(ForwarderEvent::CannotDecode {
                subscriber: viewer,
                publication: camera,
                subscription: camera,
                codec: Some(RtpCodec::vp8()),
            }),
            RoomEvent::CannotDecode {
                participant,
                publication,
                codec: Some(RtpCodec::vp8()),
            },
        ),
        (
            stage.forwarder(ForwarderEvent::Refused {
                subscriber: viewer,
                publication: camera,
                error: SubscribeError::Rejected,
            }),
            RoomEvent::NotForwarded {
                participant,
                publication,
                error: "the remote side rejected the m-line".to_owned(),
            },
        ),
        (
            stage.forwarder(ForwarderEvent::Unsubscribed {
                subscriber: viewer,
                publication: Some(camera),
                subscription: camera,
            }),
            RoomEvent::Unsubscribed {
                participant,
                publication,
            },
        ),
    ];
    for (effects, event) in table {
        assert_eq!(effects, [Effect::Tell(Audience::One(bob), event)]);
    }
    let refused = stage.forwarder(ForwarderEvent::PublicationRefused {
        publisher: peer,
        track: camera,
        limit: 6,
    });
    let not_forwarded = RoomEvent::NotForwarded {
        participant: ada,
        publication: camera,
        error: "a participant may publish 6 tracks".to_owned(),
    };
    assert_eq!(refused, [Effect::Tell(Audience::One(ada), not_forwarded)]);
}

#[test]
fn when_the_room_closes_all_are_expelled_and_it_ends_when_they_have_ended() {
    let mut stage = stage();
    let (ada, _) = stage.join("Ada");
    let (bob, _) = stage.join("Bob");
    let close = |machine: &mut RoomMachine, now, all: &mut Vec<Effect>| {
        machine.handle_close(RoomCloseReason::Requested, now, all);
    };
    let effects = stage.act(close);
    assert_eq!(effects[0], Effect::AwaitEnd);
    assert_eq!(stage.act(close), [], "it closes already");
    let expelled = effects
        .iter()
        .filter(|one| matches!(one, Effect::Expel(..)));
    assert_eq!(expelled.count(), 2);
    // The owner keeps its books; the others are told that it is over, and no more.
    assert!(
        told(&effects)
            .iter()
            .all(|(audience, _)| *audience == Audience::Owner)
    );
    let (refused, _) = stage.try_join(JoinRequest::new("Cleo"));
    assert!(matches!(refused, Err(JoinError::Call(_))), "{refused:?}");
    let end = Effect::End(RoomCloseReason::Requested);
    for (who, is_last) in [(ada, false), (bob, true)] {
        let effects = stage.act(|machine, now, all| machine.handle_ended(who, now, all));
        assert_eq!(effects.contains(&end), is_last);
    }
    let empty = Stage::new(RoomLimits::default()).act(close);
    assert_eq!(empty, [Effect::AwaitEnd, end]);
}

#[test]
fn who_does_not_end_in_time_does_not_keep_a_room_from_ending() {
    let mut stage = stage();
    stage.join("Ada");
    assert_eq!(
        stage.act(|machine, _, all| machine.handle_close_deadline(all)),
        []
    );
    stage.act(|machine, now, all| {
        machine.handle_close(RoomCloseReason::Requested, now, all);
    });
    let effects = stage.act(|machine, _, all| machine.handle_close_deadline(all));
    assert_eq!(effects, [Effect::End(RoomCloseReason::Requested)]);
}
