//! A relay, through Debian's coturn.

use std::time::Duration;

use ractor_webrtc::faults::{Fault, part, running_below};
use ractor_webrtc::ice::IceTransportPolicy;
use ractor_webrtc::peer_connection::{CloseReason, Event, IceConnectionState, Part};

use super::call::Call;
use super::common::owner::loopback;
use super::coturn::Coturn;

async fn relayed(server: &Coturn) -> Call {
    let settings = loopback()
        .ice_server(server.as_ice_server())
        .ice_transport_policy(IceTransportPolicy::Relay)
        .consent_interval(Duration::from_millis(200))
        .ice_timeouts(Duration::from_secs(1), Duration::from_secs(1));
    Call::connect_with(settings).await
}

#[tokio::test]
async fn c107_a_relay_that_panics_ends_the_ice_transport_and_its_peer() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let call = relayed(&server).await;
    let relay = call.part("Relay");
    let injected = Fault::panic().in_actor(&relay).inject();
    call.remote
        .peer
        .send_pli(call.remote.remote[1].id(), None)
        .unwrap();
    injected.struck().await;
    let outcome = call.outcome().await;
    let part = Part::IceTransport;
    assert!(
        matches!(&outcome.reason, CloseReason::PartFailed { part: which, .. } if *which == part),
        "{outcome:?}"
    );
}

/// As a relay that its server has given up.
#[tokio::test]
async fn c107_a_relay_that_is_killed_costs_its_path_and_an_ice_restart_brings_another() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let Call { mut victim, .. } = relayed(&server).await;
    let parts = running_below(victim.owner()).len();
    part(victim.owner(), "Relay").kill();
    victim
        .expect("a path that is lost", |event| {
            let failed = IceConnectionState::Failed;
            matches!(event, Event::IceConnectionStateChange(state) if *state == failed)
                .then_some(())
        })
        .await;
    assert_eq!(running_below(victim.owner()).len(), parts - 1);
    victim.peer.restart_ice().await.unwrap();
    victim.offer().await;
    assert_eq!(running_below(victim.owner()).len(), parts);
}
