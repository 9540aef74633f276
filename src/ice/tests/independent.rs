//! Against an ICE agent that is not the one inside: str0m's.

use std::time::Instant;

use str0m::ice::IceCreds;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState as TheirState, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

/// str0m's agent on a socket of its own; stops when dropped.
struct Theirs {
    connected: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Drop for Theirs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Theirs {
    fn start(rtc: Rtc, socket: UdpSocket) -> Self {
        let (tell, connected) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(rtc, socket, tell));
        Self { connected, task }
    }
}

async fn run(mut rtc: Rtc, socket: UdpSocket, connected: mpsc::UnboundedSender<()>) {
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
            )) => {
                let _gone = connected.send(());
                continue;
            }
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

async fn connect(address: &str, ours: IceRole, theirs: IceRole, lite: bool) {
    let mut side = Side::on(address).await;
    let socket = UdpSocket::bind(address).await.unwrap();
    let mut rtc = Rtc::builder().build(Instant::now());
    let local = Candidate::host(socket.local_addr().unwrap(), "udp").unwrap();
    let written = local.to_sdp_string();
    rtc.add_local_candidate(local);
    let mut api = rtc.direct_api();
    api.set_ice_lite(lite);
    api.set_ice_controlling(theirs == IceRole::Controlling);
    let credentials = api.local_ice_credentials();
    api.set_remote_ice_credentials(IceCreds {
        ufrag: side.parameters.username_fragment.clone(),
        pass: side.parameters.password.clone(),
    });
    for candidate in side.candidates().await {
        rtc.add_remote_candidate(Candidate::from_sdp_string(&candidate).unwrap());
    }
    let remote = IceParameters {
        username_fragment: credentials.ufrag,
        password: credentials.pass,
    };
    side.transport.start(ours, remote, lite);
    side.transport.add_remote_candidate(written);
    let mut peer = Theirs::start(rtc, socket);
    side.connected().await;
    let connected = timeout(PATIENCE, peer.connected.recv()).await;
    connected.unwrap().unwrap();
}

#[tokio::test]
async fn an_independent_agent_connects_in_both_roles_and_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        connect(address, IceRole::Controlling, IceRole::Controlled, false).await;
        connect(address, IceRole::Controlled, IceRole::Controlling, false).await;
    }
}

#[tokio::test]
async fn c105_an_independent_agent_that_claims_our_role_agrees() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        connect("127.0.0.1:0", role, role, false).await;
    }
}

#[tokio::test]
async fn an_independent_lite_agent_is_reached() {
    connect(
        "127.0.0.1:0",
        IceRole::Controlling,
        IceRole::Controlled,
        true,
    )
    .await;
}
