//! Which session counts, when there are several (RFC 8445 §9; W3C §5.6.3).
//!
//! A restart is agreed on in two steps, and takes effect in a third: a session is *proposed* with new
//! credentials; *started* when the other side's are known; and becomes the *current* one when it has selected
//! a pair. Until then the current one carries media. It lingers a while after that, since the other side may still send on
//! its pair.

use super::message::SessionNumber;
use crate::peer_connection::{IceConnectionState, IceGatheringState};

/// The sessions of one transport, by what they are for.
#[derive(Debug)]
pub(super) struct Generations {
    /// Not heard any more; takes what comes late.
    former: Option<SessionNumber>,
    current: Generation,
    /// Agreed on; looks for its pair.
    started: Option<Generation>,
    /// Not agreed on.
    proposed: Option<Generation>,
    told: IceConnectionState,
}

#[derive(Clone, Copy, Debug)]
struct Generation {
    number: SessionNumber,
    state: IceConnectionState,
    gathering: IceGatheringState,
}

impl Generation {
    fn new(number: SessionNumber) -> Self {
        Self {
            number,
            state: IceConnectionState::New,
            gathering: IceGatheringState::New,
        }
    }

    fn is_started(&self) -> bool {
        self.state != IceConnectionState::New
    }
}

/// A session selected a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Media goes there from now on.
    Follow,
    /// The same, and the session took over. The one before it is to go after a while, and `gone` at once.
    TakeOver { gone: Option<SessionNumber> },
    /// It does not count any more.
    Ignore,
}

impl Generations {
    pub(super) fn new(first: SessionNumber) -> Self {
        Self {
            former: None,
            current: Generation::new(first),
            started: None,
            proposed: None,
            told: IceConnectionState::New,
        }
    }

    /// A session with new credentials; gives the one that makes way for it.
    pub(super) fn propose(&mut self, number: SessionNumber) -> Option<SessionNumber> {
        let proposed = Generation::new(number);
        if !self.current.is_started() {
            // Nobody has anything of it.
            let gone = std::mem::replace(&mut self.current, proposed);
            return Some(gone.number);
        }
        let gone = self.proposed.replace(proposed);
        gone.map(|gone| gone.number)
    }

    /// The proposal was taken back; gives the session that goes.
    pub(super) fn abandon(&mut self) -> Option<SessionNumber> {
        self.proposed.take().map(|proposed| proposed.number)
    }

    /// The newest session is agreed on; gives the one that makes way for it.
    pub(super) fn start(&mut self) -> Option<SessionNumber> {
        let proposed = self.proposed.take()?;
        let gone = self.started.replace(proposed);
        gone.map(|gone| gone.number)
    }

    /// The one begun last, whose candidates are told.
    pub(super) fn newest(&self) -> SessionNumber {
        let newest = self.proposed.or(self.started).unwrap_or(self.current);
        newest.number
    }

    /// The one that carries media, or will.
    pub(super) fn current(&self) -> SessionNumber {
        self.current.number
    }

    /// The one agreed on last, which a candidate belongs to that does not say more.
    pub(super) fn agreed(&self) -> SessionNumber {
        self.started.unwrap_or(self.current).number
    }

    /// Gathering as the newest session has it.
    pub(super) fn gathering(&self) -> IceGatheringState {
        let newest = self.proposed.or(self.started).unwrap_or(self.current);
        newest.gathering
    }

    /// Whether that is news of the newest session.
    pub(super) fn gathering_changed(
        &mut self,
        number: SessionNumber,
        state: IceGatheringState,
    ) -> bool {
        if let Some(generation) = self.find(number) {
            generation.gathering = state;
        }
        number == self.newest()
    }

    /// A session changed its state; gives that of the whole, where it changes too.
    pub(super) fn state_changed(
        &mut self,
        number: SessionNumber,
        state: IceConnectionState,
    ) -> Option<IceConnectionState> {
        self.find(number)?.state = state;
        self.news()
    }

    /// The state of the whole, where it differs from the one told last.
    pub(super) fn news(&mut self) -> Option<IceConnectionState> {
        let state = self.state();
        (std::mem::replace(&mut self.told, state) != state).then_some(state)
    }

    /// A session selected a pair.
    pub(super) fn selected(&mut self, number: SessionNumber) -> Selection {
        if number == self.current.number {
            return Selection::Follow;
        }
        let Some(mut started) = self.started.filter(|started| started.number == number) else {
            return Selection::Ignore;
        };
        self.started = None;
        // It will say so itself; until then, what it said last is behind what it did.
        started.state = IceConnectionState::Connected;
        let former = std::mem::replace(&mut self.current, started).number;
        let gone = self.former.replace(former);
        Selection::TakeOver { gone }
    }

    /// The former session has lingered long enough.
    pub(super) fn forget_former(&mut self) -> Option<SessionNumber> {
        self.former.take()
    }

    /// Nothing but the current session is left; gives it.
    pub(super) fn close(&mut self) -> SessionNumber {
        self.former = None;
        self.started = None;
        self.proposed = None;
        self.current.number
    }

    /// A restart forgets that connectivity was lost, and does not lose it where there is some
    /// (W3C §5.6.3). What fails beside a pair that works costs nothing yet.
    fn state(&self) -> IceConnectionState {
        use IceConnectionState as State;

        let Some(started) = self.started else {
            return self.current.state;
        };
        match (self.current.state, started.state) {
            (State::Connected | State::Completed, State::Failed) => self.current.state,
            (State::Connected | State::Completed, _) => State::Connected,
            (_, State::Failed) => self.current.state,
            (_, state) => state,
        }
    }

    fn find(&mut self, number: SessionNumber) -> Option<&mut Generation> {
        [
            Some(&mut self.current),
            self.started.as_mut(),
            self.proposed.as_mut(),
        ]
        .into_iter()
        .flatten()
        .find(|generation| generation.number == number)
    }
}

#[cfg(test)]
mod tests {
    use IceConnectionState as State;

    use super::*;

    const FIRST: SessionNumber = SessionNumber(0);
    const SECOND: SessionNumber = SessionNumber(1);
    const THIRD: SessionNumber = SessionNumber(2);

    /// One session, in this state.
    fn running(state: State) -> Generations {
        let mut generations = Generations::new(FIRST);
        assert_eq!(generations.start(), None);
        generations.state_changed(FIRST, State::Checking);
        generations.state_changed(FIRST, state);
        generations
    }

    #[test]
    fn a_proposal_changes_nothing_and_may_be_taken_back() {
        let mut generations = running(State::Connected);
        assert_eq!(generations.propose(SECOND), None);
        assert_eq!(
            (generations.newest(), generations.agreed()),
            (SECOND, FIRST)
        );
        assert_eq!(generations.propose(THIRD), Some(SECOND));
        assert_eq!(generations.selected(FIRST), Selection::Follow);
        assert_eq!(generations.abandon(), Some(THIRD));
        assert_eq!(generations.abandon(), None);
        assert_eq!((generations.newest(), generations.news()), (FIRST, None));
    }

    #[test]
    fn a_session_that_nobody_knows_of_makes_way_at_once() {
        let mut generations = Generations::new(FIRST);
        assert_eq!(generations.propose(SECOND), Some(FIRST));
        assert_eq!(generations.start(), None);
        assert_eq!(
            generations.state_changed(SECOND, State::Checking),
            Some(State::Checking)
        );
    }

    #[test]
    fn the_states_of_a_restart_are_those_of_w3c() {
        for (old, beside_checking, beside_failed) in [
            (State::Checking, State::Checking, State::Checking),
            (State::Connected, State::Connected, State::Connected),
            (State::Completed, State::Connected, State::Completed),
            (State::Disconnected, State::Checking, State::Disconnected),
            (State::Failed, State::Checking, State::Failed),
        ] {
            let mut generations = running(old);
            generations.propose(SECOND);
            generations.start();
            generations.state_changed(SECOND, State::Checking);
            assert_eq!(generations.told, beside_checking, "{old}");
            generations.state_changed(SECOND, State::Failed);
            assert_eq!(generations.told, beside_failed, "{old}");
        }
    }

    #[test]
    fn the_old_session_counts_until_the_new_one_has_its_pair() {
        let mut generations = running(State::Connected);
        generations.propose(SECOND);
        generations.start();
        generations.state_changed(SECOND, State::Checking);
        assert_eq!(generations.selected(FIRST), Selection::Follow);
        let news = generations.state_changed(FIRST, State::Disconnected);
        assert_eq!(news, Some(State::Checking));
        let takes_over = Selection::TakeOver { gone: None };
        assert_eq!(generations.selected(SECOND), takes_over);
        assert_eq!(generations.news(), Some(State::Connected));
        assert_eq!(generations.state_changed(SECOND, State::Connected), None);
        assert_eq!(generations.selected(FIRST), Selection::Ignore);
        assert_eq!(generations.state_changed(FIRST, State::Failed), None);
        assert_eq!(generations.forget_former(), Some(FIRST));
        assert_eq!(generations.forget_former(), None);
    }

    #[test]
    fn a_restart_amid_a_restart_supersedes_it_when_it_is_agreed_on() {
        let mut generations = running(State::Connected);
        generations.propose(SECOND);
        generations.start();
        generations.propose(THIRD);
        // Not agreed on yet: the second goes on looking.
        assert_eq!(generations.agreed(), SECOND);
        assert_eq!(generations.start(), Some(SECOND));
        assert_eq!(generations.selected(SECOND), Selection::Ignore);
        let takes_over = Selection::TakeOver { gone: None };
        assert_eq!(generations.selected(THIRD), takes_over);
    }

    #[test]
    fn two_restarts_in_a_row_leave_one_former_session() {
        let mut generations = running(State::Connected);
        for (number, gone) in [(SECOND, None), (THIRD, Some(FIRST))] {
            generations.propose(number);
            generations.start();
            generations.state_changed(number, State::Checking);
            assert_eq!(generations.selected(number), Selection::TakeOver { gone });
        }
    }

    #[test]
    fn gathering_is_the_newest_sessions_and_comes_back_with_the_old_one() {
        use IceGatheringState::{Complete, Gathering};
        let mut generations = running(State::Connected);
        assert!(generations.gathering_changed(FIRST, Gathering));
        generations.propose(SECOND);
        assert!(generations.gathering_changed(SECOND, Gathering));
        assert!(!generations.gathering_changed(FIRST, Complete));
        generations.abandon();
        assert_eq!(generations.gathering(), Complete);
    }
}
