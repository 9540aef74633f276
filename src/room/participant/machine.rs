//! When a participant has to go: what it says too much, and what it waits for too long.

use std::time::{Duration, Instant};

use crate::peer_connection::{
    DtlsTransportState, IceConnectionState, PeerConnectionState, SignalingState,
};
use crate::room::event::LeaveReason;
use crate::room::limits::{RoomLimits, RoomTimes};

/// Decides; the shell has the timers.
#[derive(Debug)]
pub(super) struct ParticipantMachine {
    times: RoomTimes,
    pace: Pace,
    /// An offer was made, by either side.
    is_negotiating: bool,
    was_connected: bool,
    /// ICE has failed, and has found no way since.
    is_lost: bool,
    /// An offer is due, and waits for what else may change.
    is_collecting: bool,
}

/// What may take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::room) enum ParticipantTimer {
    /// From the first offer to the connection.
    Connecting,
    /// From the failure of ICE to the next connection.
    Reconnecting,
    /// From the end of DTLS to its next beginning.
    Closed,
    /// From the first change that wants an offer to the offer.
    Collecting,
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Arm(ParticipantTimer, Duration),
    Disarm(ParticipantTimer),
    /// The room is to know.
    Announce(PeerConnectionState),
    /// Let the negotiator make an offer.
    Offer,
    /// Ask the room to let the participant go.
    Leave(LeaveReason),
}

impl ParticipantMachine {
    pub(super) fn new(limits: &RoomLimits, times: RoomTimes) -> Self {
        Self {
            times,
            pace: Pace::new(limits.messages_per_second, limits.message_burst),
            is_negotiating: false,
            was_connected: false,
            is_lost: false,
            is_collecting: false,
        }
    }

    /// The page has said something; whether to listen.
    pub(super) fn handle_request(&mut self, now: Instant, effects: &mut Vec<Effect>) -> bool {
        let is_in_time = self.pace.admit(now);
        if !is_in_time {
            effects.push(Effect::Leave(LeaveReason::TooManyMessages));
        }
        is_in_time
    }

    /// An offer is due. What changes within a moment goes into one: tracks of a newcomer are attached one after the other.
    ///
    /// The very first offer is the page's, if it has one to make: what it is to be sent fits into the answer. If both made
    /// one, the page would take its own back, and Chromium then may never look for candidates.
    pub(super) fn handle_negotiation_needed(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_collecting {
            self.is_collecting = true;
            let time = if self.is_negotiating {
                COLLECTED
            } else {
                FIRST_OFFER
            };
            effects.push(Effect::Arm(ParticipantTimer::Collecting, time));
        }
    }

    /// The end of an exchange tells again if an offer is due, so that one that comes before ours spares it.
    ///
    /// The time to connect begins with the first offer of either side: who has nothing to negotiate has nothing to be
    /// late with.
    pub(super) fn handle_signaling_state(
        &mut self,
        state: SignalingState,
        effects: &mut Vec<Effect>,
    ) {
        if state != SignalingState::Stable && self.is_collecting {
            self.is_collecting = false;
            effects.push(Effect::Disarm(ParticipantTimer::Collecting));
        }
        if state != SignalingState::Stable && !self.is_negotiating {
            self.is_negotiating = true;
            let timer = ParticipantTimer::Connecting;
            effects.push(Effect::Arm(timer, self.times.connecting));
        }
    }

    pub(super) fn handle_connection_state(
        &mut self,
        state: PeerConnectionState,
        effects: &mut Vec<Effect>,
    ) {
        if state == PeerConnectionState::Connected && !self.was_connected {
            self.was_connected = true;
            effects.push(Effect::Disarm(ParticipantTimer::Connecting));
        }
        effects.push(Effect::Announce(state));
    }

    /// Before the first connection the time to connect counts alone. After it, a restart that fails as well gives no new
    /// time: only a way that was found does.
    pub(super) fn handle_ice_state(
        &mut self,
        state: IceConnectionState,
        effects: &mut Vec<Effect>,
    ) {
        match state {
            IceConnectionState::Failed if self.was_connected && !self.is_lost => {
                self.is_lost = true;
                let timer = ParticipantTimer::Reconnecting;
                effects.push(Effect::Arm(timer, self.times.reconnecting));
            }
            IceConnectionState::Connected | IceConnectionState::Completed if self.is_lost => {
                self.is_lost = false;
                effects.push(Effect::Disarm(ParticipantTimer::Reconnecting));
            }
            IceConnectionState::Failed
            | IceConnectionState::Connected
            | IceConnectionState::Completed
            | IceConnectionState::New
            | IceConnectionState::Checking
            | IceConnectionState::Disconnected
            | IceConnectionState::Closed => {}
        }
    }

    /// A page that closes its peer connection ends DTLS; Chromium also does when it stops its first transceiver, and begins
    /// anew at once.
    pub(super) fn handle_dtls_state(&self, state: DtlsTransportState, effects: &mut Vec<Effect>) {
        match state {
            DtlsTransportState::Failed => {
                effects.push(Effect::Leave(LeaveReason::ConnectionFailed));
            }
            DtlsTransportState::Closed => {
                effects.push(Effect::Arm(ParticipantTimer::Closed, CLOSED_FOR_GOOD));
            }
            DtlsTransportState::Connecting | DtlsTransportState::Connected => {
                effects.push(Effect::Disarm(ParticipantTimer::Closed));
            }
            DtlsTransportState::New => {}
        }
    }

    pub(super) fn handle_timer(&mut self, timer: ParticipantTimer, effects: &mut Vec<Effect>) {
        effects.push(match timer {
            ParticipantTimer::Connecting => Effect::Leave(LeaveReason::NeverConnected),
            ParticipantTimer::Reconnecting => Effect::Leave(LeaveReason::ConnectionLost),
            ParticipantTimer::Closed => Effect::Leave(LeaveReason::ConnectionClosed),
            ParticipantTimer::Collecting => {
                self.is_collecting = false;
                Effect::Offer
            }
        });
    }
}

/// So many at once, and so many a second in the long run (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
struct Pace {
    interval: Duration,
    burst: Duration,
    /// When all that was admitted would have come, had it come evenly.
    even: Option<Instant>,
}

impl Pace {
    fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            burst: interval * burst.max(1),
            even: None,
        }
    }

    fn admit(&mut self, now: Instant) -> bool {
        let even = self.even.map_or(now, |even| even.max(now)) + self.interval;
        let is_in_time = even.duration_since(now) <= self.burst;
        if is_in_time {
            self.even = Some(even);
        }
        is_in_time
    }
}

/// A handshake that follows begins within a round trip or two.
const CLOSED_FOR_GOOD: Duration = Duration::from_secs(2);

/// Longer than a forwarder takes to attach some dozens of tracks, and not worth noticing in a connection that takes
/// several round trips.
const COLLECTED: Duration = Duration::from_millis(20);

/// A page that has something to send offers it within a round trip; one that only watches waits so long for its first offer.
const FIRST_OFFER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> ParticipantMachine {
        let limits = RoomLimits {
            messages_per_second: 10,
            message_burst: 3,
            ..RoomLimits::default()
        };
        ParticipantMachine::new(&limits, RoomTimes::default())
    }

    fn effects(act: impl FnOnce(&mut Vec<Effect>)) -> Vec<Effect> {
        let mut effects = Vec::new();
        act(&mut effects);
        effects
    }

    fn connected() -> ParticipantMachine {
        let mut machine = machine();
        effects(|all| machine.handle_connection_state(PeerConnectionState::Connected, all));
        machine
    }

    fn negotiating() -> ParticipantMachine {
        let mut machine = machine();
        effects(|all| machine.handle_signaling_state(SignalingState::HaveRemoteOffer, all));
        effects(|all| machine.handle_signaling_state(SignalingState::Stable, all));
        machine
    }

    const WAIT: Duration = Duration::from_secs(30);

    #[test]
    fn the_time_to_connect_runs_from_the_first_offer_of_either_side_to_the_first_connection() {
        use ParticipantTimer::Connecting;
        for first in [
            SignalingState::HaveLocalOffer,
            SignalingState::HaveRemoteOffer,
        ] {
            let mut machine = machine();
            let told = effects(|all| machine.handle_signaling_state(SignalingState::Stable, all));
            assert_eq!(told, []);
            let told = effects(|all| machine.handle_signaling_state(first, all));
            assert_eq!(told, [Effect::Arm(Connecting, WAIT)]);
            let told = effects(|all| machine.handle_signaling_state(first, all));
            assert_eq!(told, [], "no offer gives it more");
            let state = PeerConnectionState::Connected;
            let told = effects(|all| machine.handle_connection_state(state, all));
            assert_eq!(told, [Effect::Disarm(Connecting), Effect::Announce(state)]);
        }
        let late = effects(|all| machine().handle_timer(Connecting, all));
        assert_eq!(late, [Effect::Leave(LeaveReason::NeverConnected)]);
    }

    #[test]
    fn changes_that_come_together_are_one_offer_and_none_if_the_other_side_comes_first() {
        use ParticipantTimer::Collecting;
        let mut machine = negotiating();
        let needed = |machine: &mut ParticipantMachine| {
            effects(|all| machine.handle_negotiation_needed(all))
        };
        assert_eq!(needed(&mut machine), [Effect::Arm(Collecting, COLLECTED)]);
        assert_eq!(needed(&mut machine), []);
        let due = effects(|all| machine.handle_timer(Collecting, all));
        assert_eq!(due, [Effect::Offer]);
        assert_eq!(needed(&mut machine), [Effect::Arm(Collecting, COLLECTED)]);
        let theirs = SignalingState::HaveRemoteOffer;
        let told = effects(|all| machine.handle_signaling_state(theirs, all));
        assert_eq!(told[0], Effect::Disarm(Collecting));
        assert_eq!(needed(&mut machine), [Effect::Arm(Collecting, COLLECTED)]);
    }

    /// Both sides offered at once when somebody joined. The page took its offer back, answered, and never looked for candidates: one
    /// in five was not connected at all.
    #[test]
    fn the_first_offer_is_left_to_the_page_for_a_while() {
        use ParticipantTimer::Collecting;
        let mut machine = machine();
        let told = effects(|all| machine.handle_negotiation_needed(all));
        assert_eq!(told, [Effect::Arm(Collecting, FIRST_OFFER)]);
        let theirs = SignalingState::HaveRemoteOffer;
        let told = effects(|all| machine.handle_signaling_state(theirs, all));
        assert_eq!(told[0], Effect::Disarm(Collecting));
        let told = effects(|all| machine.handle_negotiation_needed(all));
        assert_eq!(told, [Effect::Arm(Collecting, COLLECTED)]);
        // Who does not offer is offered to.
        let mut watching = self::machine();
        effects(|all| watching.handle_negotiation_needed(all));
        let told = effects(|all| watching.handle_timer(Collecting, all));
        assert_eq!(told, [Effect::Offer]);
    }

    #[test]
    fn a_restart_that_fails_too_gives_no_more_time_and_one_that_connects_all_of_it() {
        use ParticipantTimer::Reconnecting;
        let mut machine = connected();
        let table = [
            (IceConnectionState::Disconnected, vec![]),
            (
                IceConnectionState::Failed,
                vec![Effect::Arm(Reconnecting, WAIT)],
            ),
            (IceConnectionState::Checking, vec![]),
            (IceConnectionState::Failed, vec![]),
            (IceConnectionState::Checking, vec![]),
            (
                IceConnectionState::Connected,
                vec![Effect::Disarm(Reconnecting)],
            ),
            (IceConnectionState::Completed, vec![]),
            (
                IceConnectionState::Failed,
                vec![Effect::Arm(Reconnecting, WAIT)],
            ),
        ];
        for (step, (state, expected)) in table.into_iter().enumerate() {
            let told = effects(|all| machine.handle_ice_state(state, all));
            assert_eq!(told, expected, "step {step}");
        }
        let late = effects(|all| machine.handle_timer(Reconnecting, all));
        assert_eq!(late, [Effect::Leave(LeaveReason::ConnectionLost)]);
    }

    #[test]
    fn ice_that_fails_before_the_first_connection_leaves_it_to_the_time_to_connect() {
        let mut machine = machine();
        let told = effects(|all| machine.handle_ice_state(IceConnectionState::Failed, all));
        assert_eq!(told, []);
    }

    #[test]
    fn dtls_that_fails_is_the_end_and_one_that_closes_only_if_no_other_follows() {
        use DtlsTransportState::{Closed, Connecting, Failed};
        let mut machine = connected();
        let told = effects(|all| machine.handle_dtls_state(Failed, all));
        assert_eq!(told, [Effect::Leave(LeaveReason::ConnectionFailed)]);
        let told = effects(|all| machine.handle_dtls_state(Closed, all));
        let timer = ParticipantTimer::Closed;
        assert_eq!(told, [Effect::Arm(timer, CLOSED_FOR_GOOD)]);
        let told = effects(|all| machine.handle_dtls_state(Connecting, all));
        assert_eq!(told, [Effect::Disarm(timer)]);
        let late = effects(|all| machine.handle_timer(timer, all));
        assert_eq!(late, [Effect::Leave(LeaveReason::ConnectionClosed)]);
    }

    #[test]
    fn who_says_too_much_goes_and_who_waits_may_go_on() {
        let mut machine = machine();
        let start = Instant::now();
        let mut all = Vec::new();
        for _ in 0..3 {
            assert!(machine.handle_request(start, &mut all));
        }
        let later = start + Duration::from_millis(100);
        assert!(machine.handle_request(later, &mut all));
        assert_eq!(all, []);
        assert!(!machine.handle_request(later, &mut all));
        assert_eq!(all, [Effect::Leave(LeaveReason::TooManyMessages)]);
    }

    #[test]
    fn no_more_than_the_burst_and_the_rate_is_admitted_in_any_time() {
        let mut pace = Pace::new(10, 3);
        let start = Instant::now();
        let steps = (0..10_000_u32).map(|step| start + Duration::from_millis(step.into()));
        let admitted = steps.filter(|now| pace.admit(*now)).count();
        // Ten seconds at ten a second, and three to begin with.
        assert!((100..=103).contains(&admitted), "{admitted}");
    }
}
