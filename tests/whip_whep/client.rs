//! A server of its own for each test, and an HTTP client that says exactly what it is told to: what the tests want to send is
//! not what a well-made client would.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::signaling::broadcaster::{
    Broadcaster, BroadcasterEvent, BroadcasterLimits, BroadcasterSnapshot,
};
use ractor_webrtc::signaling::guarded::GuardedListener;
use ractor_webrtc::signaling::whip_whep::WhipWhep;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::common::owner::{Ours, loopback};
use super::common::{PATIENCE, eventually};

pub(crate) const SDP: &str = "application/sdp";
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A Broadcaster behind a router.
pub(crate) struct Server {
    pub(crate) broadcaster: Broadcaster,
    address: SocketAddr,
    events: mpsc::UnboundedReceiver<BroadcasterEvent>,
    owner: ActorRef<BroadcasterEvent>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(BroadcasterLimits::default(), |whip_whep| whip_whep).await
    }

    pub(crate) async fn start_with(
        limits: BroadcasterLimits,
        set: impl FnOnce(WhipWhep) -> WhipWhep,
    ) -> Self {
        Self::start_below(limits, |whip_whep| set(whip_whep).router()).await
    }

    pub(crate) async fn start_below(
        limits: BroadcasterLimits,
        route: impl FnOnce(WhipWhep) -> Router,
    ) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (owner, _) = Actor::spawn(None, Owner, sender).await.unwrap();
        let broadcaster = Broadcaster::builder()
            .connection(loopback())
            .limits(limits)
            .spawn_linked(&owner)
            .await
            .unwrap();
        let router = route(WhipWhep::new(&broadcaster));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = GuardedListener::new(listener);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            broadcaster,
            address,
            events,
            owner,
            task,
        }
    }

    /// Sends a request, and reads what comes until the server closes.
    pub(crate) async fn ask(&self, request: &Request<'_>) -> Reply {
        self.send(&request.bytes()).await
    }

    pub(crate) async fn send(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        // A server that has heard enough may close before all is said.
        let _cut = stream.write_all(bytes).await;
        read(&mut stream).await.expect("a reply")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Publishes or watches as `path` says.
    pub(crate) async fn join(&self, path: &str) -> Client {
        let mut peer = Ours::spawn(loopback()).await;
        let offer = peer.offer().await;
        let reply = self.ask(&post(path, &offer)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        peer.accept_answer(&reply.body).await;
        Client {
            peer,
            location: reply.field("location").to_owned(),
            etag: reply.field("etag").to_owned(),
            answer: reply.body,
            offer,
        }
    }

    /// The same, up to a connection.
    pub(crate) async fn connected(&self, path: &str) -> Client {
        let mut client = self.join(path).await;
        client.peer.expect_connected().await;
        client
    }

    /// The actor of the Broadcaster.
    pub(crate) fn actor(&self) -> ActorCell {
        self.owner.get_children().remove(0)
    }

    /// The actors below the Broadcaster, one for each stream.
    pub(crate) fn streams(&self) -> Vec<ActorCell> {
        self.actor().get_children()
    }

    pub(crate) async fn snapshot(&self) -> BroadcasterSnapshot {
        self.broadcaster.snapshot().await.unwrap()
    }

    /// Waits until no stream is left.
    pub(crate) async fn is_empty(&self) {
        eventually(PATIENCE, "no streams", async || {
            self.snapshot().await.streams.is_empty().then_some(())
        })
        .await;
    }

    pub(crate) async fn event(&mut self) -> BroadcasterEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("an owner")
    }

    /// Waits for an event like this one, and drops those before it.
    pub(crate) async fn expect<T>(
        &mut self,
        mut pick: impl FnMut(BroadcasterEvent) -> Option<T>,
    ) -> T {
        loop {
            if let Some(found) = pick(self.event().await) {
                return found;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        self.owner.stop(None);
    }
}

/// Passes what it hears to a channel.
struct Owner;

impl Actor for Owner {
    type Msg = BroadcasterEvent;
    type State = mpsc::UnboundedSender<BroadcasterEvent>;
    type Arguments = mpsc::UnboundedSender<BroadcasterEvent>;

    async fn pre_start(
        &self,
        _: ActorRef<BroadcasterEvent>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _: ActorRef<BroadcasterEvent>,
        event: BroadcasterEvent,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A test that is over does not listen.
        let _over = events.send(event);
        Ok(())
    }

    /// Outlives its Broadcaster.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<BroadcasterEvent>,
        _: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A peer that publishes or watches.
pub(crate) struct Client {
    pub(crate) peer: Ours,
    pub(crate) location: String,
    pub(crate) etag: String,
    pub(crate) offer: String,
    pub(crate) answer: String,
}

/// What is sent; nothing is added but the host, the length, and that one request is enough.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) fields: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            fields: Vec::new(),
            body: &[],
        }
    }

    pub(crate) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    pub(crate) fn body(self, media_type: &'a str, body: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        let body = body.as_ref();
        Self { body, ..self }.with("content-type", media_type)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { method, path, .. } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        [head.as_bytes(), b"\r\n", self.body].concat()
    }
}

pub(crate) fn post<'a>(path: &'a str, offer: &'a str) -> Request<'a> {
    Request::new("POST", path).body(SDP, offer)
}

pub(crate) fn patch<'a>(path: &'a str, fragment: &'a str) -> Request<'a> {
    Request::new("PATCH", path).body(FRAGMENT, fragment)
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// All fields of a name.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// The one field of a name.
    pub(crate) fn field(&self, name: &str) -> &str {
        match self.fields(name).as_slice() {
            [value] => value,
            other => panic!("{name}: {other:?} in {self:?}"),
        }
    }

    /// What a refusal says is wrong.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.field("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string(), "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// Reads one reply; `None` where the connection closes without.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A connection that is reset has said what it had to say.
    let _end = timeout(READ_LIMIT, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Some(Reply {
        status,
        fields: fields.collect(),
        body: body.to_owned(),
    })
}

const READ_LIMIT: Duration = Duration::from_secs(20);
