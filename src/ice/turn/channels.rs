//! The channels of one allocation: which peers have one, and when to ask for it again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::udp::ChannelNumber;

/// The peers that may be reached through one allocation.
#[derive(Debug, Default)]
pub(super) struct Channels {
    channels: Vec<Channel>,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    number: ChannelNumber,
    state: State,
    used_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asked for, for the first time or after it had lapsed.
    Binding,
    /// The server permits it until it is to be asked again.
    Bound { again_at: Instant },
    /// Not used for long; the number stays the peer's.
    Lapsed,
    /// The server does not want to reach this peer.
    Refused,
}

/// How something is sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    On(ChannelNumber),
    /// Once there is a channel; `Some` if it is to be asked for now.
    After(Option<ChannelNumber>),
    Never,
}

impl Channels {
    /// How to send to a peer, which is noted as use of its channel.
    pub(super) fn sending(&mut self, peer: SocketAddr, now: Instant) -> Sending {
        if let Some(known) = self.channels.iter_mut().find(|it| it.peer == peer) {
            known.used_at = now;
            return match known.state {
                State::Bound { .. } => Sending::On(known.number),
                State::Binding => Sending::After(None),
                State::Lapsed => {
                    known.state = State::Binding;
                    Sending::After(Some(known.number))
                }
                State::Refused => Sending::Never,
            };
        }
        let number = match self.channels.last() {
            None => Some(ChannelNumber::FIRST),
            Some(last) => last.number.next(),
        };
        let Some(number) = number.filter(|_| self.channels.len() < MAX_CHANNELS) else {
            return Sending::Never;
        };
        self.channels.push(Channel {
            peer,
            number,
            state: State::Binding,
            used_at: now,
        });
        Sending::After(Some(number))
    }

    /// The server has granted it; whether that is new.
    pub(super) fn bound(&mut self, peer: SocketAddr, now: Instant) -> bool {
        let Some(channel) = self.channels.iter_mut().find(|it| it.peer == peer) else {
            return false;
        };
        let again_at = now + REBIND;
        let before = std::mem::replace(&mut channel.state, State::Bound { again_at });
        !matches!(before, State::Bound { .. })
    }

    /// The server does not want it.
    pub(super) fn refused(&mut self, peer: SocketAddr) {
        self.set(peer, State::Refused);
    }

    /// The server has not answered; it is asked again when there is something to send.
    pub(super) fn lapsed(&mut self, peer: SocketAddr) {
        self.set(peer, State::Lapsed);
    }

    fn set(&mut self, peer: SocketAddr, state: State) {
        if let Some(channel) = self.channels.iter_mut().find(|it| it.peer == peer) {
            channel.state = state;
        }
    }

    /// Whose channel it is.
    pub(super) fn peer(&self, number: ChannelNumber) -> Option<SocketAddr> {
        let channel = self.channels.iter().find(|it| it.number == number)?;
        (channel.state != State::Refused).then_some(channel.peer)
    }

    /// Whether a channel has permitted that address, whatever the port (RFC 8656 §9).
    pub(super) fn permits(&self, ip: IpAddr) -> bool {
        self.channels
            .iter()
            .any(|it| it.peer.ip() == ip && matches!(it.state, State::Bound { .. }))
    }

    /// What is to be asked for again. A channel that was not used lapses.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(SocketAddr, ChannelNumber)> {
        let mut again = Vec::new();
        for channel in &mut self.channels {
            let State::Bound { again_at } = channel.state else {
                continue;
            };
            if again_at > now {
                continue;
            }
            if now.duration_since(channel.used_at) > REBIND {
                channel.state = State::Lapsed;
            } else {
                // It stays bound while that is asked.
                let again_at = now + REBIND;
                channel.state = State::Bound { again_at };
                again.push((channel.peer, channel.number));
            }
        }
        again
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.channels
            .iter()
            .filter_map(|channel| match channel.state {
                State::Bound { again_at } => Some(again_at),
                State::Binding | State::Lapsed | State::Refused => None,
            })
            .min()
    }
}

/// A permission lasts five minutes (RFC 8656 §9), a channel ten (§12); consent is asked for every few seconds, so
/// a channel without traffic for so long is in use by nobody.
const REBIND: Duration = Duration::from_secs(240);

/// As many as a session admits addresses of the peer, twice over.
const MAX_CHANNELS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_channel_is_asked_for_once_and_used_when_it_is_bound() {
        let mut channels = Channels::default();
        let now = Instant::now();
        let first = ChannelNumber::FIRST;
        assert_eq!(channels.sending(peer(1), now), Sending::After(Some(first)));
        assert_eq!(channels.sending(peer(1), now), Sending::After(None));
        assert!(!channels.permits(peer(1).ip()));
        assert!(channels.bound(peer(1), now));
        assert!(!channels.bound(peer(1), now));
        assert_eq!(channels.sending(peer(1), now), Sending::On(first));
        assert_eq!(channels.peer(first), Some(peer(1)));
        assert!(channels.permits(peer(2).ip()));
        assert!(!channels.bound(peer(9), now));
    }

    #[test]
    fn a_channel_in_use_is_asked_for_again_and_one_that_is_not_lapses() {
        let mut channels = Channels::default();
        let start = Instant::now();
        for port in [1, 2] {
            channels.sending(peer(port), start);
            channels.bound(peer(port), start);
        }
        assert_eq!(channels.next_due(), Some(start + REBIND));
        let later = start + REBIND + Duration::from_secs(1);
        channels.sending(peer(1), later - Duration::from_secs(2));
        assert_eq!(channels.due(later), [(peer(1), ChannelNumber::FIRST)]);
        assert_eq!(channels.due(later), []);
        // It was granted for longer than it lapses here, so it works while it is asked for again.
        assert!(matches!(channels.sending(peer(1), later), Sending::On(_)));
        let lapsed = channels.sending(peer(2), later);
        assert_eq!(lapsed, Sending::After(ChannelNumber::FIRST.next()));
    }

    #[test]
    fn a_peer_that_the_server_refuses_is_left_alone_and_their_number_is_bounded() {
        let mut channels = Channels::default();
        let now = Instant::now();
        channels.sending(peer(1), now);
        channels.refused(peer(1));
        assert_eq!(channels.sending(peer(1), now), Sending::Never);
        assert_eq!(channels.peer(ChannelNumber::FIRST), None);
        let granted = (2..1000)
            .filter(|port| channels.sending(peer(*port), now) != Sending::Never)
            .count();
        assert_eq!(granted, MAX_CHANNELS - 1);
    }
}
