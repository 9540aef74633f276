//! Against an ICE agent that is not the one inside: str0m's.

use std::time::Instant;

use str0m::ice::IceCreds;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState as TheirState, Input, Output, Rtc};
use tokio::net::UdpSocket;

use super::*;

/// Runs str0m's agent on a socket until it is connected.
async fn run(mut rtc: Rtc, socket: UdpSocket) {
    let local = socket.local_addr().unwrap();
    let mut buffer = vec![0; 2000];
    loop {
        let due = match rtc.poll_output().unwrap() {
            Output::Timeout(due) => due,
            Output::Transmit(transmit) => {
                let (bytes, to) = (&transmit.contents, transmit.destination);
                socket.send_to(bytes, to).await.unwrap();
                continue;
            }
            Output::Event(Event::IceConnectionStateChange(
                TheirState::Connected | TheirState::Completed,
            )) => return,
            Output::Event(_) => continue,
        };
        let wait = tokio::time::sleep_until(due.into());
        tokio::select! {
            () = wait => rtc.handle_input(Input::Timeout(Instant::now())).unwrap(),
            received = socket.recv_from(&mut buffer) => {
                let (length, source) = received.unwrap();
                let Ok(contents) = buffer[..length].try_into() else { continue };
                let receive = Receive { proto: Protocol::Udp, source, destination: local, contents };
                rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
            }
        }
    }
}

async fn connect(address: &str, ours: IceRole) {
    let mut side = Side::on(address).await;
    let socket = UdpSocket::bind(address).await.unwrap();
    let mut rtc = Rtc::builder().build(Instant::now());
    let local = Candidate::host(socket.local_addr().unwrap(), "udp").unwrap();
    let written = local.to_sdp_string();
    rtc.add_local_candidate(local);
    let mut api = rtc.direct_api();
    api.set_ice_controlling(ours == IceRole::Controlled);
    let theirs = api.local_ice_credentials();
    api.set_remote_ice_credentials(IceCreds {
        ufrag: side.parameters.username_fragment.clone(),
        pass: side.parameters.password.clone(),
    });
    for candidate in side.candidates().await {
        rtc.add_remote_candidate(Candidate::from_sdp_string(&candidate).unwrap());
    }
    let remote = IceParameters {
        username_fragment: theirs.ufrag,
        password: theirs.pass,
    };
    side.transport.start(ours, remote, false);
    side.transport.add_remote_candidate(written);
    let peer = tokio::spawn(run(rtc, socket));
    side.connected().await;
    timeout(PATIENCE, peer).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_independent_agent_connects_in_both_roles_and_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        for role in [IceRole::Controlling, IceRole::Controlled] {
            connect(address, role).await;
        }
    }
}

#[tokio::test]
async fn c105_an_independent_agent_of_the_same_role_agrees() {
    // Both claim to control, then neither does.
    connect_in_conflict(IceRole::Controlling).await;
    connect_in_conflict(IceRole::Controlled).await;
}

async fn connect_in_conflict(role: IceRole) {
    let mut side = Side::on("127.0.0.1:0").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut rtc = Rtc::builder().build(Instant::now());
    let local = Candidate::host(socket.local_addr().unwrap(), "udp").unwrap();
    let written = local.to_sdp_string();
    rtc.add_local_candidate(local);
    let mut api = rtc.direct_api();
    api.set_ice_controlling(role == IceRole::Controlling);
    let theirs = api.local_ice_credentials();
    api.set_remote_ice_credentials(IceCreds {
        ufrag: side.parameters.username_fragment.clone(),
        pass: side.parameters.password.clone(),
    });
    for candidate in side.candidates().await {
        rtc.add_remote_candidate(Candidate::from_sdp_string(&candidate).unwrap());
    }
    let remote = IceParameters {
        username_fragment: theirs.ufrag,
        password: theirs.pass,
    };
    side.transport.start(role, remote, false);
    side.transport.add_remote_candidate(written);
    let peer = tokio::spawn(run(rtc, socket));
    side.connected().await;
    timeout(PATIENCE, peer).await.unwrap().unwrap();
}
