//! [`Broadcaster`]: streams by name, each from one publisher to any number of viewers.
//!
//! Whoever publishes or watches comes with an offer and is answered at once: with [WHIP](super::whip_whep) over HTTP, as a
//! rule. A viewer has a place for sound and one for pictures from its first answer on, so that it may come before the publisher; and
//! a publisher that goes and comes back, or another one that takes its place, needs no negotiation with anybody.
//!
//! ```text
//! your actor                 the owner: hears what happens
//! └── Broadcaster            who comes in, what there is
//!     └── Stream             one for each name: who is on air
//!         ├── Forwarder      what goes where
//!         └── Session        one for each publisher and viewer: the owner of …
//!             └── PeerConnection
//! ```
//!
//! A stream begins with the first session of its name and vanishes with the last. A publisher goes **on air** when its
//! connection is up, and takes the place of the one before, whose session ends: who lost its network and returns need not wait until the
//! server has noticed, and who cannot connect disturbs nobody.
//!
//! | child of the Broadcaster | how it may end | what is lost | what we do | what the owner hears |
//! | --- | --- | --- | --- | --- |
//! | `Stream` | its last session has ended | nothing | forget it | nothing |
//! | `Stream` | panic | its sessions | forget it and them; clients come again | [`BroadcasterEvent::StreamFailed`] |
//!
//! Started by [`BroadcasterBuilder::spawn_linked`], with its owner as supervisor. It ends with its owner, or by
//! [`Broadcaster::shut_down`], and everything below it with it.

mod actor;
mod codecs;
mod error;
mod machine;
mod message;
mod name;
#[cfg(any(test, fuzzing))]
pub(crate) use self::session::fuzzing;
mod session;
mod stream;

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{ActorRef, Message, RpcReplyPort};

use self::actor::{BroadcasterActor, BroadcasterArguments};
pub use self::codecs::encoder_media;
pub use self::error::{OpenError, PatchError};
use self::message::BroadcasterMessage;
pub use self::message::{BroadcasterEvent, BroadcasterSnapshot, StreamSnapshot};
pub use self::name::{InvalidSessionId, InvalidStreamName, Role, SessionId, StreamName};
pub use self::session::{EntityTag, IfMatch, OfferError, Opened, Patched};
use self::session::{OpenRequest, PatchRequest};
use super::sdpfrag::SdpFragment;
use crate::call::{CallError, StartError, ask};
use crate::outlet::Outlet;
use crate::peer_connection::{CLOSE_DEADLINE, PeerConnection, PeerConnectionBuilder};
use crate::start::spawn_linked;
use crate::stop::force_after;

/// Handle to a running Broadcaster. Cheap to clone; without effect once it has ended.
///
/// See the [module](self) for what it does.
#[derive(Clone, Debug)]
pub struct Broadcaster {
    actor: ActorRef<BroadcasterMessage>,
}

/// Settings of a new Broadcaster.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is spawned"]
pub struct BroadcasterBuilder {
    connection: PeerConnectionBuilder,
    limits: BroadcasterLimits,
}

/// How much a Broadcaster takes on, and how long it waits.
///
/// Each stream has a session, so that the number of streams is bounded with that of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcasterLimits {
    /// Publishers at a time, in all streams (default 100). They are counted apart, so that no number of viewers
    /// keeps a publisher out.
    pub publishers: usize,
    /// Viewers at a time, in all streams (default 1000).
    pub viewers: usize,
    /// How long a session may take from its answer to its connection (default 20 s). Then it ends.
    pub connect: Duration,
    /// How long an answer waits for the candidates of this side (default 2 s). It goes without those that are
    /// not known by then.
    pub gathering: Duration,
}

impl Default for BroadcasterLimits {
    fn default() -> Self {
        Self {
            publishers: 100,
            viewers: 1000,
            connect: Duration::from_secs(20),
            gathering: Duration::from_secs(2),
        }
    }
}

impl BroadcasterLimits {
    /// So many publishers at a time.
    #[must_use]
    pub fn publishers(self, publishers: usize) -> Self {
        Self { publishers, ..self }
    }

    /// So many viewers at a time.
    #[must_use]
    pub fn viewers(self, viewers: usize) -> Self {
        Self { viewers, ..self }
    }

    /// So long may a session take to connect.
    #[must_use]
    pub fn connect(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// So long does an answer wait for candidates.
    #[must_use]
    pub fn gathering(self, gathering: Duration) -> Self {
        Self { gathering, ..self }
    }
}

impl BroadcasterBuilder {
    /// How the connection of each session is set up (default: [`PeerConnection::builder`] with [`encoder_media`]). For many
    /// sessions give it a [shared endpoint](PeerConnectionBuilder::endpoint) and a
    /// [certificate](PeerConnectionBuilder::certificate).
    pub fn connection(self, connection: PeerConnectionBuilder) -> Self {
        Self { connection, ..self }
    }

    /// How much is taken on.
    pub fn limits(self, limits: impl Into<BroadcasterLimits>) -> Self {
        let limits = limits.into();
        Self { limits, ..self }
    }

    /// Starts the Broadcaster with `owner` as owner and supervisor.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor did not start.
    pub async fn spawn_linked<M>(self, owner: &ActorRef<M>) -> Result<Broadcaster, StartError>
    where
        M: Message + From<BroadcasterEvent>,
    {
        let arguments = BroadcasterArguments {
            connection: self.connection,
            limits: self.limits,
            owner: Outlet::new(owner),
        };
        let supervisor = owner.get_cell();
        let actor = spawn_linked(BroadcasterActor, arguments, supervisor).await?;
        Ok(Broadcaster { actor })
    }
}

impl Broadcaster {
    /// Settings of a new Broadcaster; [`spawn_linked`](BroadcasterBuilder::spawn_linked) starts it.
    pub fn builder() -> BroadcasterBuilder {
        BroadcasterBuilder {
            connection: PeerConnection::builder().media(encoder_media()),
            limits: BroadcasterLimits::default(),
        }
    }

    /// Begins a session in a stream, which begins with it if need be. The answer has all candidates of this side.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says whose fault it is; nothing is left of the session then.
    pub async fn open(
        &self,
        role: Role,
        stream: StreamName,
        offer: String,
    ) -> Result<Opened, OpenError> {
        self.request(|reply| {
            let request = OpenRequest { role, offer, reply };
            BroadcasterMessage::Open { stream, request }
        })
        .await?
    }

    /// Gives a session what its client says of its own ICE session: candidates, or the credentials of a new one.
    ///
    /// # Errors
    ///
    /// [`PatchError`] says whose fault it is; the session goes on as it was.
    pub async fn patch(
        &self,
        role: Role,
        session: SessionId,
        if_match: IfMatch,
        fragment: SdpFragment,
    ) -> Result<Patched, PatchError> {
        self.request(|reply| BroadcasterMessage::Patch {
            role,
            session,
            request: PatchRequest {
                if_match,
                fragment,
                reply,
            },
        })
        .await?
    }

    /// Ends a session. Returns whether there was one; it is unknown from then on.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the Broadcaster has ended.
    pub async fn close(&self, role: Role, session: SessionId) -> Result<bool, CallError> {
        ask(&self.actor, |reply| BroadcasterMessage::Close {
            role,
            session,
            reply,
        })
        .await
    }

    /// Whether there is such a session.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the Broadcaster has ended.
    pub async fn knows(&self, role: Role, session: SessionId) -> Result<bool, CallError> {
        ask(&self.actor, |reply| BroadcasterMessage::Knows {
            role,
            session,
            reply,
        })
        .await
    }

    /// What there is now.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the Broadcaster has ended.
    pub async fn snapshot(&self) -> Result<BroadcasterSnapshot, CallError> {
        ask(&self.actor, |reply| BroadcasterMessage::Snapshot { reply }).await
    }

    /// Ends all sessions, so that their clients hear of it, and then the Broadcaster itself. Nobody is let in meanwhile.
    /// Returns when all is gone, within two seconds.
    ///
    /// When the owner ends, all is gone as well, at once, and clients find out by themselves.
    pub async fn shut_down(&self) {
        // One that has ended needs no telling.
        let _gone = self.actor.cast(BroadcasterMessage::ShutDown);
        // The actor keeps its deadline itself. The margin covers a busy machine, and what is behind it an actor that is stuck.
        force_after(self.actor.get_cell(), SHUT_DOWN_DEADLINE * 2)
            .wait()
            .await;
    }

    /// Asks for what may wait for the gathering of candidates.
    async fn request<T: Send + 'static>(
        &self,
        query: impl FnOnce(RpcReplyPort<T>) -> BroadcasterMessage,
    ) -> Result<T, CallError> {
        match self.actor.call(query, Some(REQUEST_TIMEOUT)).await {
            Ok(CallResult::Success(answer)) => Ok(answer),
            Ok(CallResult::Timeout) => Err(CallError::Timeout),
            Ok(CallResult::SenderError) | Err(_) => Err(CallError::Stopped),
        }
    }
}

/// A session that is begun waits for its peer connection and for its candidates, which has a limit of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Each session closes its connection within half of it, all at the same time.
const SHUT_DOWN_DEADLINE: Duration = CLOSE_DEADLINE.saturating_mul(2);
