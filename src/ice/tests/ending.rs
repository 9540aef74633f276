//! How transports end, and that nothing is left of them.

use tokio::runtime::Handle;

use super::*;
use crate::ice::adapter::{AgentArguments, AgentError, AgentGuard};
use crate::ice::message::{AgentNumber, SessionFact, SessionNumber, SessionRef};

/// Waits until as many tasks run as before.
async fn tasks_return_to(before: usize) {
    let settled = timeout(PATIENCE, async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    });
    let left = Handle::current().metrics().num_alive_tasks();
    assert!(settled.await.is_ok(), "{before} tasks before, {left} after");
}

async fn connected_pair(left: &UdpEndpoint, right: &UdpEndpoint) -> (Side, Side) {
    let mut one = Side::new(vec![left.clone()], IceConfiguration::default()).await;
    let mut other = Side::new(vec![right.clone()], IceConfiguration::default()).await;
    introduce(&mut one, &mut other).await;
    one.connected().await;
    other.connected().await;
    (one, other)
}

#[tokio::test]
async fn c106_a_stopped_transport_says_closed_and_leaves_no_task_behind() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    let before = Handle::current().metrics().num_alive_tasks();
    let (mut one, other) = connected_pair(&left, &right).await;
    one.transport.stop();
    one.transport.stop();
    one.state(IceConnectionState::Closed).await;
    other.transport.stop();
    for side in [one, other] {
        side.owner.stop(None);
    }
    tasks_return_to(before).await;
    assert_eq!(left.statistics().await.unwrap().peers, 0);
    assert_eq!(right.statistics().await.unwrap().peers, 0);
}

#[tokio::test]
async fn a_killed_transport_and_one_whose_owner_dies_leave_no_task_behind() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    let before = Handle::current().metrics().num_alive_tasks();
    let (one, other) = connected_pair(&left, &right).await;
    one.transport.cell().kill();
    other.owner.kill();
    one.owner.stop(None);
    drop((one, other));
    tasks_return_to(before).await;
    assert_eq!(left.statistics().await.unwrap().peers, 0);
    assert_eq!(right.statistics().await.unwrap().peers, 0);
}

#[tokio::test]
async fn a_transport_that_is_stopped_amid_its_checks_leaves_no_task_behind() {
    let left = endpoint("127.0.0.1:0").await;
    let before = Handle::current().metrics().num_alive_tasks();
    for _ in 0..20 {
        let side = Side::new(vec![left.clone()], IceConfiguration::default()).await;
        side.transport.gather();
        side.transport
            .start(IceRole::Controlling, IceParameters::generate(), false);
        side.transport
            .add_remote_candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned());
        side.transport.cell().kill();
        side.owner.kill();
    }
    tasks_return_to(before).await;
}

#[tokio::test]
async fn an_agent_that_is_dropped_at_any_step_of_its_start_leaves_no_task_behind() {
    // One that was closed while it gathered began to read afterwards, and did so for ever: some ten of ten thousand
    // peers that were killed as they connected left 20 KiB behind.
    let side = Side::new(vec![endpoint("127.0.0.1:0").await], impatient()).await;
    let before = Handle::current().metrics().num_alive_tasks();
    for steps in 0..20 {
        let agent = side.agent().await;
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        drop(agent);
        tasks_return_to(before).await;
    }
}

impl Side {
    /// An agent of its own, that tells this transport things of which it knows nothing.
    async fn agent(&self) -> AgentGuard {
        let arguments = AgentArguments {
            number: AgentNumber(1),
            role: IceRole::Controlling,
            local: &self.parameters,
            remote: IceParameters::generate(),
            candidates: &[],
            configuration: &impatient(),
            session: SessionRef {
                transport: self.transport.cell().into(),
                session: SessionNumber(u32::MAX),
            },
        };
        AgentGuard::start(arguments).await.unwrap()
    }
}

#[tokio::test]
async fn c104_silence_disconnects_then_fails() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    let mut one = Side::new(vec![left], impatient()).await;
    let mut other = Side::new(vec![right], impatient()).await;
    introduce(&mut one, &mut other).await;
    one.connected().await;
    other.connected().await;
    other.transport.cell().kill();
    one.state(IceConnectionState::Disconnected).await;
    let path = one.path.clone().unwrap();
    path.try_send(&[0x80; 30], None).unwrap();
    one.state(IceConnectionState::Failed).await;
    // Consent has expired.
    let refused = path.try_send(&[0x80; 30], None).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::NotConnected);
}

// The agent reads in a task of its own. A panic there was lost with its handle: the transport stayed connected while none of the
// remote side's checks was answered any more, and the remote side alone saw the path fail.
#[tokio::test]
async fn an_agent_whose_reader_panicked_fails_its_transport_with_the_reason() {
    let (left, right) = (endpoint("127.0.0.1:0").await, endpoint("127.0.0.1:0").await);
    // The other side goes on asking while it is not answered.
    let patient = || IceConfiguration {
        failed_timeout: PATIENCE * 2,
        ..impatient()
    };
    let mut one = Side::new(vec![left], patient()).await;
    let mut other = Side::new(vec![right], patient()).await;
    introduce(&mut one, &mut other).await;
    one.connected().await;
    other.connected().await;
    one.transport.tell_session(SessionFact::PoisonAgent);
    let failure = timeout(PATIENCE, one.failures.recv()).await.unwrap();
    assert_eq!(failure.unwrap(), AgentError::Deaf.to_string());
    // Whoever answers its checks goes on.
    assert!(other.failures.is_empty());
}

#[tokio::test]
async fn a_session_that_nobody_joins_fails() {
    let mut one = Side::new(vec![endpoint("127.0.0.1:0").await], impatient()).await;
    one.transport
        .start(IceRole::Controlling, IceParameters::generate(), false);
    one.state(IceConnectionState::Failed).await;
    let mut other = Side::new(vec![endpoint("127.0.0.1:0").await], impatient()).await;
    other
        .transport
        .start(IceRole::Controlled, IceParameters::generate(), false);
    other
        .transport
        .add_remote_candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned());
    other.state(IceConnectionState::Failed).await;
}

#[tokio::test]
async fn an_endpoint_that_stops_is_an_error_for_those_who_come_later() {
    let endpoint = endpoint("127.0.0.1:0").await;
    endpoint.cell().stop_and_wait(None, None).await.unwrap();
    let (events, _) = mpsc::unbounded_channel();
    let (owner, _) = Actor::spawn(None, Recorder(None), events).await.unwrap();
    let arguments = IceArguments {
        parameters: IceParameters::generate(),
        configuration: Arc::default(),
        endpoints: vec![endpoint],
        sinks: no_sinks(),
        outlet: Outlet::new(&owner),
    };
    assert!(
        IceTransport::spawn(arguments, owner.get_cell())
            .await
            .is_err()
    );
}
