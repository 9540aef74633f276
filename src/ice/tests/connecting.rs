//! Two transports find each other.

use super::*;

async fn connect_over(address: &str, others_address: &str) {
    let mut one = Side::on(address).await;
    let mut other = Side::on(others_address).await;
    introduce(&mut one, &mut other).await;
    let (there, back) = (one.connected().await, other.connected().await);
    assert_eq!(there.remote.port(), back.socket.local_addr().port());
    assert_eq!(back.remote.port(), there.socket.local_addr().port());
    assert_eq!(there.local_ip, Some(back.remote.ip()));

    // A batch in one call, and DTLS on the same way.
    there.try_send(&[0x80; 100], Some(40)).unwrap();
    let media = other.next_media().await;
    let sizes: Vec<_> = media
        .datagrams
        .iter()
        .map(|datagram| datagram.len())
        .collect();
    assert_eq!(sizes, [40, 40, 20]);
    assert_eq!(media.remote, back.remote);
    back.try_send(&[22; 50], None).unwrap();
    let dtls = timeout(PATIENCE, one.dtls.recv()).await.unwrap().unwrap();
    assert_eq!(dtls.datagrams[0][..], [22; 50]);
}

#[tokio::test]
async fn two_transports_connect_over_ipv4() {
    connect_over("127.0.0.1:0", "127.0.0.1:0").await;
}

#[tokio::test]
async fn two_transports_connect_over_ipv6() {
    connect_over("[::1]:0", "[::1]:0").await;
}

async fn connect_to_dual_stack(address: &str) {
    let configuration = IceConfiguration {
        include_loopback: true,
        ip_filter: Some(Arc::new(|ip| ip.is_loopback())),
        ..IceConfiguration::default()
    };
    let mut server = Side::new(vec![endpoint("[::]:0").await], configuration).await;
    let mut client = Side::on(address).await;
    introduce(&mut client, &mut server).await;
    let path = server.connected().await;
    client.connected().await;
    let ip = address.parse::<SocketAddr>().unwrap().ip();
    assert_eq!(path.remote.ip(), ip);
    assert_eq!(path.local_ip, Some(ip));
    exchange_media(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_dual_stack_socket_reaches_peers_of_both_families() {
    connect_to_dual_stack("127.0.0.1:0").await;
    connect_to_dual_stack("[::1]:0").await;
}

#[tokio::test]
async fn a_transport_on_two_sockets_takes_the_one_that_the_peer_reaches() {
    let endpoints = vec![endpoint("127.0.0.1:0").await, endpoint("[::1]:0").await];
    let mut server = Side::new(endpoints, IceConfiguration::default()).await;
    let mut client = Side::on("[::1]:0").await;
    introduce(&mut client, &mut server).await;
    assert!(server.connected().await.remote.is_ipv6());
    client.connected().await;
    exchange_media(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_peer_that_is_named_by_nobody_is_found_by_its_checks() {
    let mut server = Side::on("127.0.0.1:0").await;
    let mut browser = Side::on("127.0.0.1:0").await;
    let candidates = server.candidates().await;
    server
        .transport
        .start(IceRole::Controlled, browser.parameters.clone(), false);
    server
        .transport
        .add_remote_candidate("candidate:1 1 udp 1 0a1b.local 9 typ host".to_owned());
    browser
        .transport
        .start(IceRole::Controlling, server.parameters.clone(), false);
    for candidate in candidates {
        browser.transport.add_remote_candidate(candidate);
    }
    server.connected().await;
    browser.connected().await;
}

#[tokio::test]
async fn c102_candidates_and_checks_may_come_before_the_start() {
    let mut one = Side::on("127.0.0.1:0").await;
    let mut other = Side::on("127.0.0.1:0").await;
    for candidate in one.candidates().await {
        other.transport.add_remote_candidate(candidate);
    }
    for candidate in other.candidates().await {
        one.transport.add_remote_candidate(candidate);
    }
    one.transport
        .start(IceRole::Controlling, other.parameters.clone(), false);
    one.state(IceConnectionState::Checking).await;
    other
        .transport
        .start(IceRole::Controlled, one.parameters.clone(), false);
    one.connected().await;
    other.connected().await;
}

#[tokio::test]
async fn a_side_that_awaits_nothing_more_is_completed() {
    let mut one = Side::on("127.0.0.1:0").await;
    let mut other = Side::on("127.0.0.1:0").await;
    introduce(&mut one, &mut other).await;
    one.transport.end_of_remote_candidates();
    one.state(IceConnectionState::Connected).await;
    one.state(IceConnectionState::Completed).await;
    other.connected().await;
    other.transport.end_of_remote_candidates();
    other.state(IceConnectionState::Completed).await;
    exchange_media(&mut one, &mut other).await;
}

#[tokio::test]
async fn c105_two_sides_of_the_same_role_agree() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut one = Side::on("127.0.0.1:0").await;
        let mut other = Side::on("127.0.0.1:0").await;
        introduce_as(&mut one, role, &mut other, role).await;
        one.connected().await;
        other.connected().await;
        exchange_media(&mut one, &mut other).await;
    }
}

#[tokio::test]
async fn connecting_does_not_wait_for_a_tick_of_the_agent() {
    let mut times = Vec::new();
    for _ in 0..20 {
        let mut one = Side::on("127.0.0.1:0").await;
        let mut other = Side::on("127.0.0.1:0").await;
        let begun = std::time::Instant::now();
        introduce(&mut one, &mut other).await;
        one.connected().await;
        other.connected().await;
        times.push(begun.elapsed());
        one.transport.stop();
        other.transport.stop();
    }
    times.sort_unstable();
    // One tick is 100 ms: waiting for it takes half of that on average. A loaded machine shows in a few only.
    assert!(times[10] < Duration::from_millis(45), "{times:?}");
}

#[tokio::test]
async fn what_is_no_candidate_is_told_and_the_session_goes_on() {
    let mut one = Side::on("127.0.0.1:0").await;
    let mut other = Side::on("127.0.0.1:0").await;
    one.transport.add_remote_candidate("nonsense".to_owned());
    assert!(matches!(
        one.event().await,
        IceEvent::RemoteCandidateRefused { candidate, .. } if candidate == "nonsense"
    ));
    introduce(&mut one, &mut other).await;
    one.connected().await;
}

#[tokio::test]
async fn hostile_datagrams_do_not_keep_peers_from_each_other() {
    let mut one = Side::on("127.0.0.1:0").await;
    let mut other = Side::on("127.0.0.1:0").await;
    let target = one.parameters.username_fragment.clone();
    let candidate = RemoteCandidate::parse(&one.candidates().await[0]).unwrap();
    let address = candidate.usable("").unwrap();
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let request = stun::StunBuilder::new(
        crate::udp::StunClass::Request,
        crate::udp::TransactionId([1; 12]),
    )
    .attribute(crate::udp::USERNAME, format!("{target}:x").as_bytes())
    .finish(Some("guessed"));
    for round in 0..2000_usize {
        let mut bytes = request.clone();
        let at = round % bytes.len();
        bytes[at] ^= u8::try_from(round % 251).unwrap();
        bytes.truncate(bytes.len() - round % 7);
        let _full = stranger.try_send_to(&bytes, address);
    }
    introduce_gathered(&mut one, address, &mut other).await;
    one.connected().await;
    other.connected().await;
}

/// As [`introduce`], for one side that has gathered already.
async fn introduce_gathered(one: &mut Side, address: SocketAddr, other: &mut Side) {
    let candidates = other.candidates().await;
    one.transport
        .start(IceRole::Controlling, other.parameters.clone(), false);
    other
        .transport
        .start(IceRole::Controlled, one.parameters.clone(), false);
    for candidate in candidates {
        one.transport.add_remote_candidate(candidate);
    }
    let (ip, port) = (address.ip(), address.port());
    other
        .transport
        .add_remote_candidate(format!("candidate:1 1 udp 1 {ip} {port} typ host"));
}
