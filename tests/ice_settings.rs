//! What a peer is told of the network that it may use, seen from outside.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::net::{IpAddr, UdpSocket};

use ractor_webrtc::PeerConnection;
use ractor_webrtc::peer_connection::SpawnError;
use ractor_webrtc::udp::UdpEndpointError;

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::connect_ours;

/// Addresses of the candidates in a description.
fn addresses(description: &str) -> Vec<IpAddr> {
    let lines = description.lines();
    lines
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|candidate| candidate.split(' ').nth(4).unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn two_peers_meet_over_ipv6_alone() {
    let builder = || {
        PeerConnection::builder()
            .include_loopback(true)
            .ip_filter(|ip| ip.is_ipv6() && ip.is_loopback())
    };
    let mut one = Ours::spawn(builder()).await;
    let mut other = Ours::spawn(builder()).await;
    connect_ours(&mut one, &mut other, None).await;
    let description = one.peer.local_description().await.unwrap().unwrap().sdp;
    let found = addresses(&description);
    assert!(
        !found.is_empty() && found.iter().all(IpAddr::is_ipv6),
        "{found:?}"
    );
    let packet = rtp_packet(111, 1, 960, false, vec![7; 20]);
    one.peer.send_rtp(one.audio.id(), packet).unwrap();
    other.expect_rtp().await;
}

#[tokio::test]
async fn behind_one_to_one_nat_the_public_address_is_offered_and_no_other() {
    let public: IpAddr = "203.0.113.7".parse().unwrap();
    let mut one = Ours::spawn(loopback().nat_1to1([public])).await;
    let offer = one.offer().await;
    assert_eq!(addresses(&offer), [public]);
}

#[tokio::test]
async fn interfaces_that_do_not_pass_are_not_offered() {
    let builder = loopback().interface_filter(|name| name == "no such interface");
    let mut one = Ours::spawn(builder).await;
    let offer = one.offer().await;
    assert_eq!(addresses(&offer), Vec::<IpAddr>::new());
}

#[tokio::test]
async fn a_range_whose_ports_are_all_taken_is_an_error_that_names_it() {
    // Neighbours that are free now, below the ports that the system gives to whoever asks for any.
    let first = (20_000..30_000)
        .find(|port| {
            [*port, port + 1]
                .iter()
                .all(|port| UdpSocket::bind(("::", *port)).is_ok())
        })
        .unwrap();
    let builder = || PeerConnection::builder().port_range(first..=first + 1);
    let held = (Ours::spawn(builder()).await, Ours::spawn(builder()).await);
    let refused = builder().spawn_linked(held.0.owner()).await;
    match refused.unwrap_err() {
        SpawnError::Endpoint(UdpEndpointError::PortsExhausted {
            first: from, last, ..
        }) => {
            assert_eq!((from, last), (first, first + 1));
        }
        other => panic!("{other:?}"),
    }
}
