//! An endpoint with much to do.

use super::*;

/// Garbage of every kind that a first byte can announce, and of sizes that say nothing.
fn garbage() -> Vec<Vec<u8>> {
    let mut kinds: Vec<_> = (0..=255_u8).map(|first| vec![first; 60]).collect();
    kinds.extend((0..=255_u8).map(|first| vec![first]));
    kinds.push(vec![0x80; 60_000]);
    // STUN for a name that nobody has, and an answer to a request that nobody sent.
    let header = [0x21, 0x12, 0xa4, 0x42, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    kinds.push([&[0, 1, 0, 8][..], &header, &[0, 6, 0, 3], b"x:y\0"].concat());
    kinds.push([&[1, 1, 0, 0][..], &header].concat());
    kinds
}

#[tokio::test]
async fn strangers_with_garbage_take_nothing_from_a_peer() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    let remote = verified(&endpoint, &peer, "127.0.0.1:0").await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.connect(endpoint.local_addr()).await.unwrap();
    let garbage = garbage();
    for (number, datagram) in garbage.iter().enumerate() {
        stranger.send(datagram).await.unwrap();
        remote.send(&[0x80, number as u8]).await.unwrap();
        let media = peer.media().await;
        assert_eq!(media.len(), 1);
        assert_eq!(media[0].datagrams[0][..], [0x80, number as u8]);
    }
    let counted = endpoint.statistics().await.unwrap();
    let dropped = counted.malformed + counted.unknown_peer + counted.unverified;
    assert_eq!(dropped, garbage.len() as u64, "{counted:?}");
    assert_eq!(counted.unknown_peer, 2);
    assert!(peer.stun.try_recv().is_err());
}

#[tokio::test]
async fn peers_that_come_and_go_take_nothing_from_one_that_stays() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut stays = Peer::new(&endpoint, "stays").await;
    let remote = verified(&endpoint, &stays, "127.0.0.1:0").await;
    let mut passing = VecDeque::new();
    for round in 0..500_u16 {
        // Twenty are there at a time, and a name is free again once its owner has gone.
        let peer = Peer::new(&endpoint, &format!("passing {}", round % 20)).await;
        let socket = verified(&endpoint, &peer, "127.0.0.1:0").await;
        passing.push_back((peer, socket));
        for (_, socket) in &passing {
            socket.send(&[0x80; 100]).await.unwrap();
        }
        remote
            .send(&round.to_be_bytes().map(|byte| byte | 0x80))
            .await
            .unwrap();
        let media = stays.media().await;
        assert_eq!(media.len(), 1);
        assert_eq!(
            media[0].datagrams[0][..],
            round.to_be_bytes().map(|byte| byte | 0x80)
        );
        if passing.len() == 20 {
            passing.pop_front();
        }
    }
    drop(passing);
    let counted = endpoint.statistics().await.unwrap();
    assert_eq!(counted.peers, 1);
    assert_eq!((counted.malformed, counted.unknown_peer), (0, 0));
}

// One poll of the actor was all that the socket held, and all that came meanwhile.
#[tokio::test]
async fn other_tasks_run_between_the_turns_of_a_full_socket() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    let remote = verified(&endpoint, &peer, "127.0.0.1:0").await;
    let remote = remote.into_std().unwrap();
    for _ in 0..300 {
        remote.send(&[0x80; 20]).unwrap();
    }
    let mut seen = vec![0];
    let mut out = VecDeque::new();
    while seen.last() != Some(&300) {
        tokio::task::yield_now().await;
        peer.media.drain_into(&mut out);
        seen.push(out.iter().map(|media| media.datagrams.len()).sum());
    }
    seen.dedup();
    assert_eq!(seen, [0, 256, 300]);
}
