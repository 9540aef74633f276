//! What an ICE transport shows of itself for statistics.

use std::net::SocketAddr;

use super::candidate::IceRole;
use super::ledger::PairCounts;
use super::local_candidate::LocalCandidate;
use super::machine::IceMachine;
use super::message::IceStatistics;
use super::path::Route;
use super::remote_candidate::CandidateKind;
use super::states::PEER_REFLEXIVE;

/// The session that counts at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct IceSnapshot {
    /// Unknown before the descriptions are exchanged.
    pub(crate) role: Option<IceRole>,
    /// Our name in this session.
    pub(crate) username_fragment: String,
    pub(crate) local: Vec<CandidateSnapshot>,
    pub(crate) remote: Vec<CandidateSnapshot>,
    pub(crate) pairs: Vec<PairSnapshot>,
    /// How often media was given another path, the first included, in all sessions.
    pub(crate) selections: u32,
    pub(crate) given_up: bool,
    /// In this session.
    pub(crate) counted: IceStatistics,
}

/// A candidate, ours or the other side's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CandidateSnapshot {
    pub(crate) address: SocketAddr,
    pub(crate) kind: CandidateKind,
    pub(crate) priority: u32,
    /// Unknown of one that was found by a check.
    pub(crate) foundation: Option<String>,
    pub(crate) related: Option<SocketAddr>,
    pub(crate) username_fragment: Option<String>,
}

/// Two candidates, as indices, and what has passed between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairSnapshot {
    pub(crate) local: usize,
    pub(crate) remote: usize,
    pub(crate) counts: PairCounts,
    pub(crate) selected: bool,
}

impl IceMachine {
    /// `candidates` are ours; `base` says from which address of ours a way leads, as far as that is known.
    pub(super) fn snapshot(
        &self,
        candidates: &[LocalCandidate],
        base: impl Fn(Route) -> Option<SocketAddr>,
    ) -> IceSnapshot {
        let username_fragment = &self.local.username_fragment;
        let mut snapshot = IceSnapshot {
            role: self.session.as_ref().map(|session| session.role),
            username_fragment: username_fragment.clone(),
            local: candidates
                .iter()
                .map(|it| CandidateSnapshot::of_ours(it, username_fragment))
                .collect(),
            remote: self.remote_candidates(),
            pairs: Vec::new(),
            selections: 0,
            given_up: self.given_up,
            counted: self.statistics,
        };
        let selected = self.path.selected();
        for (route, counts) in self.ledger.pairs() {
            let Some(remote) = snapshot.place_of_remote(route.remote) else {
                continue;
            };
            let Some(local) = base(route).map(|base| snapshot.place_of_base(base)) else {
                continue;
            };
            let key = (route.socket, route.remote);
            snapshot.pairs.push(PairSnapshot {
                local,
                remote,
                counts,
                selected: selected.is_some_and(|it| (it.socket, it.remote) == key),
            });
        }
        // For a hash map has no order, and reports are read by people.
        snapshot.pairs.sort_by_key(|pair| (pair.local, pair.remote));
        snapshot
    }

    fn remote_candidates(&self) -> Vec<CandidateSnapshot> {
        let name = self.remote_username_fragment().map(str::to_owned);
        let mut all: Vec<_> = self
            .remotes
            .all()
            .map(|(address, priority)| {
                let told = self.ledger.told().get(&address);
                CandidateSnapshot {
                    address,
                    kind: told.map_or(CandidateKind::PeerReflexive, |it| it.kind),
                    priority,
                    foundation: told.map(|it| it.foundation.clone()),
                    related: None,
                    username_fragment: name.clone(),
                }
            })
            .collect();
        all.sort_by_key(|it| (std::cmp::Reverse(it.priority), it.address));
        all
    }
}

impl IceSnapshot {
    fn place_of_remote(&self, address: SocketAddr) -> Option<usize> {
        self.remote.iter().position(|it| it.address == address)
    }

    /// The candidate of ours that stands for this base; a new one where none was told of it, as where its
    /// address is kept back.
    fn place_of_base(&mut self, base: SocketAddr) -> usize {
        let own_base = |it: &CandidateSnapshot| {
            matches!(it.kind, CandidateKind::Host | CandidateKind::Relayed)
        };
        let same = |it: &CandidateSnapshot| own_base(it) && it.address == base;
        // One that stands for the same socket behind a NAT that maps ports one to one, or for any address of it.
        let alike = |it: &CandidateSnapshot| {
            own_base(it)
                && it.address.port() == base.port()
                && it.address.is_ipv4() == base.is_ipv4()
        };
        let known = self.local.iter().position(same);
        known
            .or_else(|| self.local.iter().position(alike))
            .unwrap_or_else(|| {
                self.local.push(CandidateSnapshot {
                    address: base,
                    kind: CandidateKind::PeerReflexive,
                    priority: PEER_REFLEXIVE,
                    foundation: None,
                    related: None,
                    username_fragment: Some(self.username_fragment.clone()),
                });
                self.local.len() - 1
            })
    }
}

impl CandidateSnapshot {
    fn of_ours(candidate: &LocalCandidate, username_fragment: &str) -> Self {
        Self {
            address: candidate.address,
            kind: candidate.kind,
            priority: candidate.priority,
            foundation: Some(candidate.foundation.to_string()),
            related: candidate.related,
            username_fragment: Some(username_fragment.to_owned()),
        }
    }
}
