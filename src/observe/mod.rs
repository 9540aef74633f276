//! [`observe`]: a look at actors while they run: who is there, below whom, in which state, how much waits, how much flows.
//!
//! ```no_run
//! # use ractor_webrtc::Room;
//! # use ractor_webrtc::observe::{Observer, observe};
//! # async fn example(room: Room) -> Result<(), Box<dyn std::error::Error>> {
//! // Once: any actor, or a handle of this crate.
//! let tree = observe(room.clone()).await;
//! println!("{}", serde_json::to_string_pretty(&tree)?);
//!
//! // Again and again: bitrates are between one look and the next.
//! let mut observer = Observer::new();
//! let tree = observer.look(room.clone()).await;
//! # Ok(())
//! # }
//! ```
//!
//! A look never holds anybody up. Who is there, and the states, are read beside the actors. Those of this crate that keep figures are asked for
//! copies, which costs each some microseconds, and whoever has not answered within a quarter of a second
//! ([`Observer::answer_within`]) is shown as [`Answer::Missing`]. So a look ends even when everybody hangs.
//!
//! What ractor does not tell, and what stands here instead:
//!
//! | what one would like to know | what is known |
//! | --- | --- |
//! | how many messages wait in a mailbox | nothing: ractor keeps no count. [`Answer::After`] is how long a question to an actor of this crate took, its turn in the mailbox included |
//! | the same of an actor of yours | of its owner's mailbox, how much *media* is in it: the lane `owner` of an `RtpTransport`. Nothing of other messages, and it is asked nothing |
//! | what kind of actor one of yours is | its ractor name, its name at its [`Supervisor`](crate::Supervisor), and what you call its messages with [`Observer::kind`] |
//! | how often an actor was started again | what its [`Supervisor`](crate::Supervisor) has counted; others keep no count |
//! | the children of an actor that is stopping | nothing: ractor takes them off first |

mod actors;
mod question;
mod rates;
mod snapshot;

use std::collections::HashMap;
use std::time::Duration;

use ractor::{ActorCell, Message};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::actors::Found;
use self::question::Question;
use self::rates::Rates;
pub use self::snapshot::{
    ActorDetail, ActorSnapshot, ActorState, Answer, LaneSnapshot, TrafficSnapshot, TreeSnapshot,
};
use crate::peer_connection::PeerConnection;

/// Looks once at an actor and all below it. There is nothing to compare with, so that there are no bitrates.
pub async fn observe(root: impl Into<ActorCell>) -> TreeSnapshot {
    Observer::new().look(root).await
}

/// Looks at actors again and again.
#[derive(Debug)]
pub struct Observer {
    answer_within: Duration,
    max_actors: usize,
    kinds: Vec<Kind>,
    rates: Rates,
}

/// A name for actors that take certain messages.
#[derive(Debug)]
struct Kind {
    name: String,
    is_of: fn(&ActorCell) -> bool,
}

impl Observer {
    /// One that has seen nothing yet.
    pub fn new() -> Self {
        Self {
            answer_within: ANSWER_WITHIN,
            max_actors: MAX_ACTORS,
            kinds: Vec::new(),
            rates: Rates::default(),
        }
    }

    /// Actors that take messages of this type are shown by this name.
    #[must_use]
    pub fn kind<M: Message>(mut self, name: impl Into<String>) -> Self {
        self.kinds.push(Kind {
            name: name.into(),
            is_of: |actor| actor.is_message_type_of::<M>() == Some(true),
        });
        self
    }

    /// How long those that are asked may take: a quarter of a second unless this is said. A look takes as long at most.
    #[must_use]
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.answer_within = limit;
        self
    }

    /// How many actors are looked at: 10 000 unless this is said. Who is further down is left out first.
    #[must_use]
    pub fn max_actors(mut self, limit: usize) -> Self {
        self.max_actors = limit;
        self
    }

    /// Looks at an actor and all below it.
    pub async fn look(&mut self, root: impl Into<ActorCell>) -> TreeSnapshot {
        let begun = Instant::now();
        let (mut found, is_truncated) = actors::walk(root.into(), self.max_actors);
        self.ask(&mut found).await;
        self.rates.note(Instant::now().into_std(), &mut found);
        for one in &mut found {
            if let Some(kind) = self.kinds.iter().find(|kind| (kind.is_of)(&one.actor)) {
                one.snapshot.kind = Some(kind.name.clone());
            }
        }
        TreeSnapshot {
            actors: found.len(),
            root: actors::assemble(found),
            is_truncated,
            took: begun.elapsed(),
        }
    }

    /// All at once, so that nobody waits for anybody else.
    async fn ask(&self, found: &mut [Found]) {
        let mut peers: HashMap<_, _> = PeerConnection::all_running()
            .into_iter()
            .map(|peer| (peer.cell().get_id(), peer))
            .collect();
        let mut answers = JoinSet::new();
        for (index, one) in found.iter_mut().enumerate() {
            let peer = peers.remove(&one.actor.get_id());
            let Some(question) = Question::for_actor(&one.actor, peer) else {
                continue;
            };
            one.snapshot.answer = Some(Answer::Missing);
            let within = self.answer_within;
            answers.spawn(async move { (index, question.ask(within).await) });
        }
        while let Some(answered) = answers.join_next().await {
            if let Ok((index, report)) = answered {
                found[index].take(report);
            }
        }
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

/// Handlers take microseconds; whoever needs longer hangs, or works off a mailbox that is worth knowing of.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);

/// A thousand peers with all their parts.
const MAX_ACTORS: usize = 10_000;
