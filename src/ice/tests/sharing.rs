//! Many peers on one socket.

use super::*;

/// A side whose candidates are one address.
async fn side_at(endpoint: &UdpEndpoint) -> Side {
    Side::new(vec![endpoint.clone()], IceConfiguration::default()).await
}

#[tokio::test]
async fn many_peers_share_one_socket_and_each_gets_its_own() {
    let shared = endpoint("127.0.0.1:0").await;
    let mut pairs = Vec::new();
    for _ in 0..30 {
        let mut server = side_at(&shared).await;
        let mut client = Side::on("127.0.0.1:0").await;
        introduce(&mut client, &mut server).await;
        pairs.push((client, server));
    }
    for (client, server) in &mut pairs {
        client.connected().await;
        server.connected().await;
    }
    assert_eq!(shared.statistics().await.unwrap().peers, 30);
    for (client, server) in &mut pairs {
        exchange_media(client, server).await;
    }
}

#[tokio::test]
async fn sessions_between_two_shared_sockets_all_connect() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    let mut pairs = Vec::new();
    for _ in 0..10 {
        let mut one = side_at(&left).await;
        let mut other = side_at(&right).await;
        introduce(&mut one, &mut other).await;
        pairs.push((one, other));
    }
    for (one, other) in &mut pairs {
        one.connected().await;
        other.connected().await;
    }
}

#[tokio::test]
async fn a_new_peer_from_an_old_address_is_the_new_peers() {
    let shared = endpoint("127.0.0.1:0").await;
    let clients_socket = endpoint("127.0.0.1:0").await;
    let mut old_server = side_at(&shared).await;
    let mut old_client = side_at(&clients_socket).await;
    introduce(&mut old_client, &mut old_server).await;
    old_client.connected().await;
    old_server.connected().await;
    // The client starts anew, as a page does that is loaded again; the server has not noticed yet.
    old_client.transport.stop();
    let mut server = side_at(&shared).await;
    let mut client = side_at(&clients_socket).await;
    introduce(&mut client, &mut server).await;
    client.connected().await;
    server.connected().await;
    exchange_media(&mut client, &mut server).await;
    assert!(old_server.media_rung.try_recv().is_err());
}

#[tokio::test]
async fn media_and_dtls_from_an_address_that_ice_has_not_verified_are_dropped() {
    let shared = endpoint("127.0.0.1:0").await;
    let mut server = side_at(&shared).await;
    let mut client = Side::on("127.0.0.1:0").await;
    introduce(&mut client, &mut server).await;
    client.connected().await;
    server.connected().await;
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for first in [0x80, 22, 20, 0xBF] {
        let address = shared.local_addr();
        stranger.send_to(&[first; 40], address).await.unwrap();
    }
    // What comes after it on the same socket has arrived, so the stranger's would have.
    exchange_media(&mut client, &mut server).await;
    assert_eq!(shared.statistics().await.unwrap().unverified, 4);
    assert!(server.dtls.try_recv().is_err());
    assert!(server.media_rung.try_recv().is_err());
}

#[tokio::test]
async fn a_second_transport_between_two_sockets_leaves_the_first_what_it_had() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    let (mut one, mut other) = (side_at(&left).await, side_at(&right).await);
    introduce(&mut one, &mut other).await;
    one.connected().await;
    other.connected().await;
    let (mut newer, mut newer_other) = (side_at(&left).await, side_at(&right).await);
    introduce(&mut newer, &mut newer_other).await;
    newer.connected().await;
    newer_other.connected().await;
    exchange_media(&mut newer, &mut newer_other).await;
    // The newer ones go: the older ones have their addresses back.
    for side in [&newer, &newer_other] {
        side.transport
            .cell()
            .stop_and_wait(None, None)
            .await
            .unwrap();
    }
    exchange_media(&mut one, &mut other).await;
}

#[tokio::test]
async fn a_name_that_is_taken_at_an_endpoint_is_an_error() {
    let shared = endpoint("127.0.0.1:0").await;
    let one = side_at(&shared).await;
    let arguments = IceArguments {
        parameters: one.parameters.clone(),
        configuration: Arc::default(),
        endpoints: vec![shared.clone()],
        sinks: no_sinks(),
        outlet: Outlet::new(&one.owner),
    };
    let refused = IceTransport::spawn(arguments, one.owner.get_cell()).await;
    assert!(refused.is_err());
    assert_eq!(shared.statistics().await.unwrap().peers, 1);
}
