//! Who is below whom, and which name each goes by.

use std::collections::{HashMap, HashSet, VecDeque};

use ractor::ActorCell;

use super::question::Report;
use super::snapshot::{ActorDetail, ActorSnapshot, Answer};
use crate::peer_connection::PeerId;
use crate::start::kind_of;

/// An actor that was found, its place in the tree, and what is known of it so far.
pub(super) struct Found {
    pub(super) actor: ActorCell,
    pub(super) snapshot: ActorSnapshot,
    peer: Option<PeerId>,
    /// The place of its supervisor among all that were found, which is before its own.
    above: Option<usize>,
}

impl Found {
    fn new(actor: ActorCell, above: Option<usize>) -> Self {
        let snapshot = ActorSnapshot {
            id: actor.get_id().to_string(),
            kind: kind_of(&actor).map(ToOwned::to_owned),
            name: actor.get_name(),
            state: actor.get_status().into(),
            answer: None,
            restarts: None,
            lanes: Vec::new(),
            traffic: None,
            detail: None,
            children: Vec::new(),
            actor: actor.clone(),
        };
        Self {
            actor,
            snapshot,
            peer: None,
            above,
        }
    }

    pub(super) fn take(&mut self, report: Report) {
        let snapshot = &mut self.snapshot;
        snapshot.answer = Some(report.after.map_or(Answer::Missing, Answer::After));
        snapshot.detail = report.detail;
        snapshot.lanes = report.lanes;
        snapshot.traffic = report.traffic;
        self.peer = report.peer;
        if let Some(peer) = report.peer {
            snapshot.name = Some(peer.to_string());
        }
    }
}

/// An actor and those below it, level by level, so many at most; and whether there are more.
pub(super) fn walk(root: ActorCell, limit: usize) -> (Vec<Found>, bool) {
    let mut seen = HashSet::from([root.get_id()]);
    let mut waiting = VecDeque::from([(root, None, 0)]);
    let mut found: Vec<Found> = Vec::new();
    let mut is_truncated = false;
    while let Some((actor, above, depth)) = waiting.pop_front() {
        if found.len() >= limit.max(1) {
            return (found, true);
        }
        let place = found.len();
        let mut children = actor.get_children();
        children.sort_by_key(ActorCell::get_id);
        // Whoever links two actors to each other goes no further.
        children.retain(|child| seen.insert(child.get_id()));
        found.push(Found::new(actor, above));
        if depth == MAX_DEPTH {
            is_truncated |= !children.is_empty();
            continue;
        }
        let below = children.into_iter().map(|it| (it, Some(place), depth + 1));
        waiting.extend(below);
    }
    (found, is_truncated)
}

/// Puts each below its supervisor. There is one at least.
pub(super) fn assemble(mut found: Vec<Found>) -> ActorSnapshot {
    give_names(&mut found);
    let mut children: Vec<Vec<ActorSnapshot>> = found.iter().map(|_| Vec::new()).collect();
    // Nobody stands before their supervisor.
    while let Some(one) = found.pop() {
        let mut snapshot = one.snapshot;
        snapshot.children = children.pop().unwrap_or_default();
        snapshot.children.reverse();
        match one.above {
            Some(above) => children[above].push(snapshot),
            None => return snapshot,
        }
    }
    unreachable!("the root is above all")
}

/// Names and restarts, as those above know them.
fn give_names(found: &mut [Found]) {
    let (mut by_actor, mut by_peer) = (HashMap::new(), HashMap::new());
    for one in found.iter() {
        match &one.snapshot.detail {
            Some(ActorDetail::Supervisor(supervisor)) => {
                for child in &supervisor.children {
                    let actor = child.actor.as_ref().map(ActorCell::get_id);
                    let known = actor.map(|id| (id, (child.id.to_string(), child.restarts)));
                    by_actor.extend(known);
                }
            }
            Some(ActorDetail::Room(room)) => {
                for participant in &room.participants {
                    let known = participant
                        .peer
                        .map(|peer| (peer, participant.name.clone()));
                    by_peer.extend(known);
                }
            }
            Some(_) | None => {}
        }
    }
    name_participants(found, &by_peer);
    for one in found {
        if let Some((name, restarts)) = by_actor.remove(&one.actor.get_id()) {
            one.snapshot.name = Some(name);
            one.snapshot.restarts = Some(restarts);
        }
    }
}

/// The owner of a peer that a room knows is its participant.
fn name_participants(found: &mut [Found], by_peer: &HashMap<PeerId, String>) {
    let owners: Vec<(usize, String)> = found
        .iter()
        .filter_map(|one| Some((one.above?, by_peer.get(&one.peer?)?.clone())))
        .collect();
    for (owner, name) in owners {
        found[owner].snapshot.name = Some(name);
    }
}

/// Further down than anybody builds.
const MAX_DEPTH: usize = 100;
