//! A peer that changes its mind about the path.

use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};

use super::stun::{ICE_CONTROLLING, StunBuilder, USE_CANDIDATE};
use super::*;
use crate::udp::{StunClass, StunMessage, TransactionId, USERNAME};

/// A controlling peer on one socket: nominates it with every check, and answers ours.
struct Nominator {
    socket: UdpSocket,
    ours: IceParameters,
    theirs: IceParameters,
    server: SocketAddr,
}

impl Nominator {
    async fn new(side: &Side, theirs: &IceParameters, server: SocketAddr) -> Self {
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            ours: side.parameters.clone(),
            theirs: theirs.clone(),
            server,
        }
    }

    /// Goes on until it has had `wanted` answers.
    async fn nominate(&self, wanted: usize) {
        let mut pace = interval(Duration::from_millis(50));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut buffer, mut answers) = ([0; 1500], 0);
        while answers < wanted {
            tokio::select! {
                _ = pace.tick() => self.check().await,
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    let message = StunMessage::parse(&buffer[..length]).unwrap();
                    match message.class() {
                        StunClass::Request => self.answer(&message, from).await,
                        StunClass::SuccessResponse => answers += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    async fn check(&self) {
        let name = format!(
            "{}:{}",
            self.ours.username_fragment, self.theirs.username_fragment
        );
        let bytes = StunBuilder::new(StunClass::Request, TransactionId(rand::random()))
            .attribute(USERNAME, name.as_bytes())
            .attribute(ICE_CONTROLLING, &1_u64.to_be_bytes())
            .attribute(USE_CANDIDATE, &[])
            .finish(Some(&self.ours.password));
        self.socket.send_to(&bytes, self.server).await.unwrap();
    }

    async fn answer(&self, request: &StunMessage<'_>, to: SocketAddr) {
        let bytes = StunBuilder::new(StunClass::SuccessResponse, request.transaction_id())
            .xor_mapped_address(to)
            .finish(Some(&self.theirs.password));
        self.socket.send_to(&bytes, to).await.unwrap();
    }
}

#[tokio::test]
async fn a_later_nomination_moves_the_path_and_the_session_lives_on() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let server = endpoint.local_addr();
    let mut side = Side::new(vec![endpoint], impatient()).await;
    let theirs = IceParameters::generate();
    side.transport
        .start(IceRole::Controlled, theirs.clone(), false);
    let first = Nominator::new(&side, &theirs, server).await;
    let second = Nominator::new(&side, &theirs, server).await;
    first.nominate(3).await;
    let path = side.connected().await;
    assert_eq!(path.remote, first.socket.local_addr().unwrap());

    // The first path is dead from now on, for longer than consent lasts.
    drop(first);
    second.nominate(40).await;
    let mut moved = None;
    while let Ok(event) = side.events.try_recv() {
        match event {
            IceEvent::SelectedPathChanged(path) => moved = Some(path.remote),
            IceEvent::StateChanged(state) => panic!("{state}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(moved, Some(second.socket.local_addr().unwrap()));
}

#[tokio::test]
async fn c104_a_peer_that_is_heard_again_is_connected_again() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let server = endpoint.local_addr();
    let configuration = IceConfiguration {
        failed_timeout: PATIENCE,
        ..impatient()
    };
    let mut side = Side::new(vec![endpoint], configuration).await;
    let theirs = IceParameters::generate();
    side.transport
        .start(IceRole::Controlled, theirs.clone(), false);
    let peer = Nominator::new(&side, &theirs, server).await;
    peer.nominate(3).await;
    side.connected().await;
    side.state(IceConnectionState::Disconnected).await;
    tokio::select! {
        () = side.state(IceConnectionState::Connected) => {}
        () = peer.nominate(usize::MAX) => {}
    }
}
