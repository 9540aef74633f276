//! The connection's states: facts in, summary out.

use super::event::Event;
use super::state::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState,
};

/// The five states of a peer connection at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerConnectionStates {
    /// Where offer and answer stand.
    pub signaling: SignalingState,
    /// Whether candidates are being collected.
    pub ice_gathering: IceGatheringState,
    /// Whether the remote side is reachable.
    pub ice_connection: IceConnectionState,
    /// Whether keys are agreed.
    pub dtls_transport: DtlsTransportState,
    /// All of it in one word.
    pub connection: PeerConnectionState,
}

impl PeerConnectionStates {
    /// The states of a connection that has ended.
    pub(crate) fn close(&mut self) {
        self.signaling = SignalingState::Closed;
        self.ice_connection = IceConnectionState::Closed;
        self.dtls_transport = DtlsTransportState::Closed;
        self.connection = PeerConnectionState::Closed;
    }
}

/// Keeps the states and says which events a change makes, in the order they must be told.
#[derive(Debug, Default)]
pub(crate) struct ConnectionMachine {
    states: PeerConnectionStates,
}

impl ConnectionMachine {
    pub(crate) fn states(&self) -> PeerConnectionStates {
        self.states
    }

    pub(crate) fn signaling_changed(&mut self, state: SignalingState, events: &mut Vec<Event>) {
        if replace(&mut self.states.signaling, state) {
            events.push(Event::SignalingStateChange(state));
        }
    }

    pub(crate) fn gathering_changed(&mut self, state: IceGatheringState, events: &mut Vec<Event>) {
        if replace(&mut self.states.ice_gathering, state) {
            events.push(Event::IceGatheringStateChange(state));
        }
    }

    pub(crate) fn ice_changed(&mut self, state: IceConnectionState, events: &mut Vec<Event>) {
        if replace(&mut self.states.ice_connection, state) {
            events.push(Event::IceConnectionStateChange(state));
            self.summarize(events);
        }
    }

    pub(crate) fn dtls_changed(&mut self, state: DtlsTransportState, events: &mut Vec<Event>) {
        if replace(&mut self.states.dtls_transport, state) {
            events.push(Event::DtlsTransportStateChange(state));
            self.summarize(events);
        }
    }

    /// All states end here. W3C fires no event for a close that the application asked for
    /// (§4.4.1.6), so none is made; the owner hears `Closed` once.
    pub(crate) fn close(&mut self) {
        self.states.close();
    }

    fn summarize(&mut self, events: &mut Vec<Event>) {
        let next = connection_state(
            self.states.connection,
            self.states.ice_connection,
            self.states.dtls_transport,
        );
        if replace(&mut self.states.connection, next) {
            events.push(Event::ConnectionStateChange(next));
        }
    }
}

/// W3C §4.3.3, for the one transport that bundling leaves.
fn connection_state(
    current: PeerConnectionState,
    ice: IceConnectionState,
    dtls: DtlsTransportState,
) -> PeerConnectionState {
    use DtlsTransportState as Dtls;
    use IceConnectionState as Ice;

    match (current, ice, dtls) {
        (PeerConnectionState::Closed, _, _) => PeerConnectionState::Closed,
        (_, Ice::Failed, _) | (_, _, Dtls::Failed) => PeerConnectionState::Failed,
        (_, Ice::Disconnected, _) => PeerConnectionState::Disconnected,
        (_, Ice::New | Ice::Closed, Dtls::New | Dtls::Closed) => PeerConnectionState::New,
        (_, Ice::Connected | Ice::Completed | Ice::Closed, Dtls::Connected | Dtls::Closed) => {
            PeerConnectionState::Connected
        }
        (_, Ice::Checking | Ice::New, _) | (_, _, Dtls::Connecting | Dtls::New) => {
            PeerConnectionState::Connecting
        }
    }
}

/// Stores the new value; `true` when it differs.
fn replace<T: PartialEq>(slot: &mut T, value: T) -> bool {
    let changed = *slot != value;
    *slot = value;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c004_a_connection_is_new_then_connecting_once_then_connected_once() {
        let mut machine = ConnectionMachine::default();
        let mut events = Vec::new();
        machine.ice_changed(IceConnectionState::Checking, &mut events);
        machine.ice_changed(IceConnectionState::Connected, &mut events);
        machine.dtls_changed(DtlsTransportState::Connecting, &mut events);
        machine.dtls_changed(DtlsTransportState::Connected, &mut events);
        let told: Vec<_> = events
            .iter()
            .filter_map(|event| {
                let Event::ConnectionStateChange(state) = event else {
                    return None;
                };
                Some(*state)
            })
            .collect();
        assert_eq!(
            told,
            [
                PeerConnectionState::Connecting,
                PeerConnectionState::Connected
            ]
        );
    }

    #[test]
    fn c009_the_dtls_transport_starts_new() {
        let states = ConnectionMachine::default().states();
        assert_eq!(states.dtls_transport, DtlsTransportState::New);
    }

    #[test]
    fn c028_a_remote_close_of_dtls_leaves_the_connection_to_ice() {
        let mut machine = ConnectionMachine::default();
        let mut events = Vec::new();
        machine.ice_changed(IceConnectionState::Connected, &mut events);
        machine.dtls_changed(DtlsTransportState::Connected, &mut events);
        events.clear();
        machine.dtls_changed(DtlsTransportState::Closed, &mut events);
        assert_eq!(machine.states().connection, PeerConnectionState::Connected);
        machine.ice_changed(IceConnectionState::Disconnected, &mut events);
        assert_eq!(
            machine.states().connection,
            PeerConnectionState::Disconnected
        );
    }

    #[test]
    fn the_same_state_twice_is_told_once() {
        let mut machine = ConnectionMachine::default();
        let mut events = Vec::new();
        machine.ice_changed(IceConnectionState::Checking, &mut events);
        machine.ice_changed(IceConnectionState::Checking, &mut events);
        assert_eq!(events.len(), 2, "one for ICE and one for the summary");
    }

    #[test]
    fn nothing_revives_a_closed_connection() {
        let mut machine = ConnectionMachine::default();
        let mut events = Vec::new();
        machine.close();
        machine.ice_changed(IceConnectionState::Connected, &mut events);
        assert_eq!(machine.states().connection, PeerConnectionState::Closed);
    }
}
