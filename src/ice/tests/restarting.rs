//! New credentials beside a session that runs (RFC 8445 §9).

use std::time::Instant;

use super::*;

impl Side {
    /// Begins another session; gives its credentials and candidates.
    async fn restart(&mut self) -> (IceParameters, Vec<String>) {
        let parameters = IceParameters::generate();
        self.transport.restart(parameters.clone());
        let mut candidates = Vec::new();
        loop {
            match self.event().await {
                IceEvent::CandidateGathered {
                    candidate,
                    username_fragment,
                } => {
                    assert_eq!(username_fragment, parameters.username_fragment);
                    candidates.push(candidate);
                }
                IceEvent::GatheringStateChanged(IceGatheringState::Complete) => {
                    return (parameters, candidates);
                }
                IceEvent::SelectedPathChanged(path) => self.path = Some(path),
                IceEvent::GatheringStateChanged(_) | IceEvent::StateChanged(_) => {}
                other => panic!("{other:?} while gathering"),
            }
        }
    }

    /// The next path that is selected.
    async fn next_path(&mut self) -> TransportPath {
        loop {
            if let IceEvent::SelectedPathChanged(path) = self.event().await {
                self.path = Some(path.clone());
                return path;
            }
        }
    }

    fn agree(&self, role: IceRole, (remote, candidates): &(IceParameters, Vec<String>)) {
        self.transport.start(role, remote.clone(), false);
        for candidate in candidates {
            self.transport.add_remote_candidate(candidate.clone());
        }
    }
}

async fn connected_pair() -> (Side, Side) {
    let (mut one, mut other) = (Side::on("127.0.0.1:0").await, Side::on("127.0.0.1:0").await);
    introduce(&mut one, &mut other).await;
    one.connected().await;
    other.connected().await;
    (one, other)
}

/// Both sides restart, `one` as the one that asked for it.
async fn restart_both(one: &mut Side, other: &mut Side) {
    let (ones, others) = (one.restart().await, other.restart().await);
    other.agree(IceRole::Controlled, &ones);
    one.agree(IceRole::Controlling, &others);
}

#[tokio::test]
async fn c104_media_flows_on_the_old_path_until_the_new_one_is_selected_and_no_packet_is_lost() {
    let (mut one, mut other) = connected_pair().await;
    // The other one asks: roles change with it.
    let (ones, others) = (one.restart().await, other.restart().await);
    exchange_media(&mut one, &mut other).await;
    one.agree(IceRole::Controlled, &others);
    exchange_media(&mut one, &mut other).await;
    other.agree(IceRole::Controlling, &ones);
    let mut sent = 0_u16;
    let mut last = None;
    let deadline = Instant::now() + PATIENCE;
    // A packet every millisecond, on whatever path is the newest, until both have moved and a while longer.
    while last.is_none_or(|last: Instant| last.elapsed() < Duration::from_millis(50)) {
        assert!(Instant::now() < deadline, "no new path");
        let mut packet = [0x80; 30];
        packet[1..3].copy_from_slice(&sent.to_be_bytes());
        sent += 1;
        one.path.as_ref().unwrap().try_send(&packet, None).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Ok(event) = one.events.try_recv() {
            match event {
                IceEvent::SelectedPathChanged(path) => {
                    one.path = Some(path);
                    last = Some(Instant::now());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    other.next_path().await;
    exchange_last(&mut one, &mut other, sent).await;
}

/// All that was sent has arrived, in order; then a packet back.
async fn exchange_last(one: &mut Side, other: &mut Side, sent: u16) {
    let mut arrived = Vec::new();
    while arrived.len() < usize::from(sent) {
        let mut batches = VecDeque::new();
        other.media.drain_into(&mut batches);
        arrived.extend(batches.into_iter().flat_map(|batch| batch.datagrams));
        if arrived.is_empty() {
            timeout(PATIENCE, other.media_rung.recv()).await.unwrap();
        }
    }
    let numbers: Vec<u16> = arrived
        .iter()
        .map(|packet| u16::from_be_bytes([packet[1], packet[2]]))
        .collect();
    assert_eq!(numbers, Vec::from_iter(0..sent));
    let back = other.path.as_ref().unwrap();
    back.try_send(&[0x81; 30], None).unwrap();
    assert_eq!(one.next_media().await.datagrams[0][..], [0x81; 30]);
}

#[tokio::test]
async fn a_restart_that_is_never_answered_or_taken_back_leaves_the_session_running() {
    let (mut one, mut other) = connected_pair().await;
    one.restart().await;
    let second = one.restart().await;
    exchange_media(&mut one, &mut other).await;
    // The other side never hears of it; what comes without a name is for the session that runs.
    let late = "candidate:9 1 udp 1 127.0.0.1 9 typ host".to_owned();
    one.transport.add_remote_candidate(late);
    one.transport.abandon_restart();
    one.transport.abandon_restart();
    assert!(matches!(
        one.event().await,
        IceEvent::GatheringStateChanged(IceGatheringState::Complete)
    ));
    exchange_media(&mut one, &mut other).await;
    // The names at the endpoint are free again.
    assert!(one.events.try_recv().is_err(), "nothing more");
    one.transport.restart(second.0);
    assert!(matches!(
        one.event().await,
        IceEvent::GatheringStateChanged(IceGatheringState::Gathering)
    ));
}

#[tokio::test]
async fn a_restart_of_a_failed_session_connects_again() {
    connects_again_once(IceConnectionState::Failed, impatient()).await;
}

#[tokio::test]
async fn a_restart_of_a_disconnected_session_connects_again() {
    let patient = IceConfiguration {
        failed_timeout: PATIENCE,
        ..impatient()
    };
    connects_again_once(IceConnectionState::Disconnected, patient).await;
}

/// The other side is gone, and one restarts in that state, to meet another.
async fn connects_again_once(state: IceConnectionState, configuration: IceConfiguration) {
    let mut one = Side::new(vec![endpoint("127.0.0.1:0").await], configuration).await;
    let mut gone = Side::on("127.0.0.1:0").await;
    introduce(&mut one, &mut gone).await;
    one.connected().await;
    gone.transport.cell().kill();
    one.state(state).await;
    let mut other = Side::on("127.0.0.1:0").await;
    let others = (other.parameters.clone(), other.candidates().await);
    let ones = one.restart().await;
    one.path = None;
    one.agree(IceRole::Controlling, &others);
    other.agree(IceRole::Controlled, &ones);
    one.state(IceConnectionState::Checking).await;
    one.connected().await;
    other.connected().await;
    exchange_media(&mut one, &mut other).await;
}

#[tokio::test]
async fn a_restart_amid_a_restart_is_the_one_that_counts() {
    let (mut one, mut other) = connected_pair().await;
    // Agreed on by one side only, so that it never finds anything.
    let lost = (
        IceParameters::generate(),
        vec!["candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned()],
    );
    one.restart().await;
    one.agree(IceRole::Controlling, &lost);
    exchange_media(&mut one, &mut other).await;
    restart_both(&mut one, &mut other).await;
    one.next_path().await;
    other.next_path().await;
    exchange_media(&mut one, &mut other).await;
}

#[tokio::test]
async fn twenty_restarts_in_a_row_leave_one_session_after_a_while() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    let mut one = Side::new(vec![left.clone()], IceConfiguration::default()).await;
    let mut other = Side::new(vec![right.clone()], IceConfiguration::default()).await;
    introduce(&mut one, &mut other).await;
    one.connected().await;
    other.connected().await;
    for round in 0..20 {
        if round % 2 == 0 {
            restart_both(&mut one, &mut other).await;
        } else {
            restart_both(&mut other, &mut one).await;
        }
        one.next_path().await;
        other.next_path().await;
        exchange_media(&mut one, &mut other).await;
    }
    assert_eq!(left.statistics().await.unwrap().peers, 2);
    let settled = timeout(PATIENCE, async {
        while left.statistics().await.unwrap().peers + right.statistics().await.unwrap().peers > 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    settled.await.unwrap();
    exchange_media(&mut one, &mut other).await;
}

#[tokio::test]
async fn a_candidate_of_the_session_before_is_not_for_the_new_one() {
    let (mut one, mut other) = connected_pair().await;
    let old = other.parameters.username_fragment.clone();
    let ones = one.restart().await;
    let others = other.restart().await;
    one.transport
        .start(IceRole::Controlling, others.0.clone(), false);
    other
        .transport
        .start(IceRole::Controlled, ones.0.clone(), false);
    for candidate in &others.1 {
        // Of all addresses the right one; but said to be of the session before.
        one.transport
            .add_remote_candidate(format!("{candidate} ufrag {old}"));
    }
    let found = timeout(Duration::from_millis(300), one.next_path()).await;
    assert!(found.is_err(), "the new session has nothing to check");
    let named = format!("{} ufrag {}", others.1[0], others.0.username_fragment);
    one.transport.add_remote_candidate(named);
    one.next_path().await;
    other.next_path().await;
    exchange_media(&mut one, &mut other).await;
}
