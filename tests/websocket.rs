//! A page's WebSocket and the actor behind it, as a page may use and misuse it. No browser is needed for that.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header;
use futures_util::{SinkExt, StreamExt};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use ractor_webrtc::signaling::websocket::{
    self, Door, FromPage, Goodbye, Page, PageError, WebSocketLimits,
};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

#[tokio::test]
async fn an_actor_hears_its_page_and_answers() {
    let server = Server::start(WebSocketLimits::default()).await;
    let mut page = server.visit().await;
    page.say(r#"{"say":"hello"}"#).await;
    assert_eq!(page.hear().await, r#""hello""#);
    page.send(Message::binary(r#"{"say":"bytes"}"#)).await;
    assert_eq!(page.hear().await, r#""bytes""#);
}

#[tokio::test]
async fn a_page_that_leaves_ends_its_actor_and_nothing_of_the_visit_is_left() {
    let mut server = Server::start(WebSocketLimits::default()).await;
    let before = Handle::current().metrics().num_alive_tasks();
    for abrupt in [false, true] {
        let mut page = server.visit().await;
        page.say(r#"{"say":"hello"}"#).await;
        page.hear().await;
        let actor = server.actor().await;
        if abrupt {
            drop(page);
        } else {
            page.0.close(None).await.unwrap();
            assert_eq!(page.closed().await, None, "the goodbye is answered");
        }
        ends(&actor).await;
        let left = Instant::now();
        while Handle::current().metrics().num_alive_tasks() > before {
            assert!(left.elapsed() < PATIENCE, "a task is left");
            // There is no event for a task that ends.
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn an_actor_that_ends_closes_its_own_page_only() {
    let server = Server::start(WebSocketLimits::default()).await;
    let (mut one, mut other) = (server.visit().await, server.visit().await);
    one.say(r#""crash""#).await;
    let (code, reason) = one.closed().await.unwrap();
    assert_eq!((code, &*reason), (1011, "your actor has ended"));
    other.say(r#"{"say":"still there"}"#).await;
    assert_eq!(other.hear().await, r#""still there""#);
}

#[tokio::test]
async fn somebody_elses_line_to_the_page_does_not_keep_the_socket_of_an_ended_actor_open() {
    let mut server = Server::start(WebSocketLimits::default()).await;
    let mut page = server.visit().await;
    let Entered { actor, line } = server.guest().await;
    actor.stop(None);
    assert_eq!(page.closed().await.unwrap().0, 1011);
    let late = line.say(&"anybody there?".to_owned());
    assert!(matches!(late, Err(PageError::Gone)), "{late:?}");
}

#[tokio::test]
async fn a_page_is_told_everything_before_it_is_hung_up_on() {
    let mut server = Server::start(WebSocketLimits::default()).await;
    let mut page = server.visit().await;
    page.say(r#""leave""#).await;
    assert_eq!(page.hear().await, r#""one last word""#);
    let (code, reason) = page.closed().await.unwrap();
    assert_eq!((code, &*reason), (4001, "that was all"));
    ends(&server.actor().await).await;
}

#[tokio::test]
async fn a_page_has_one_message_in_the_mailbox_at_a_time() {
    let server = Server::start(WebSocketLimits::default()).await;
    let mut page = server.visit().await;
    for number in 0..200 {
        let count = format!(r#"{{"count":{number}}}"#);
        page.0.feed(Message::text(count)).await.unwrap();
    }
    page.0.flush().await.unwrap();
    for number in 0..200 {
        assert_eq!(page.hear().await, format!("\"{number}\""));
    }
    assert_eq!(MOST_WAITING.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nonsense_is_complained_of_and_too_much_of_it_ends_the_visit() {
    let mut server = Server::start(limits(|limits| limits.nonsense = 2)).await;
    let mut page = server.visit().await;
    for nonsense in ["{", r#"{"sing":1}"#] {
        page.say(nonsense).await;
        assert!(page.hear().await.contains("not understood"), "{nonsense}");
    }
    // A good one, and they are counted anew.
    page.say(r#"{"say":"sorry"}"#).await;
    assert_eq!(page.hear().await, r#""sorry""#);
    for _ in 0..2 {
        page.say("7").await;
        page.hear().await;
    }
    page.say("7").await;
    let (code, reason) = page.closed().await.unwrap();
    assert_eq!(code, 1008, "{reason}");
    ends(&server.actor().await).await;
}

#[tokio::test]
async fn a_message_without_measure_ends_the_visit_and_says_so() {
    let mut server = Server::start(limits(|limits| limits.message_bytes = 1000)).await;
    let mut page = server.visit().await;
    page.say(&format!("{{\"say\":\"{}\"}}", "x".repeat(1000)))
        .await;
    let (code, reason) = page.closed().await.unwrap();
    assert_eq!(
        (code, &*reason),
        (1009, "a message may have 1000 bytes, not 1010")
    );
    ends(&server.actor().await).await;
    // So large that it is not even read.
    let mut page = server.visit().await;
    page.say(&"x".repeat(1_000_000)).await;
    page.closed().await;
    ends(&server.actor().await).await;
}

#[tokio::test]
async fn a_page_that_does_not_even_answer_pings_is_closed() {
    let quick = limits(|limits| {
        limits.ping_interval = Duration::from_millis(50);
        limits.silence = Duration::from_millis(300);
    });
    let mut server = Server::start(quick).await;
    // Who reads answers pings, and may be silent for the rest.
    let mut reading = server.visit().await;
    let alive = server.actor().await;
    let quiet = timeout(Duration::from_millis(900), reading.0.next()).await;
    assert!(
        !matches!(quiet, Ok(None | Some(Ok(Message::Close(_))))),
        "{quiet:?}"
    );
    let mut deaf = server.visit().await;
    ends(&server.actor().await).await;
    let (code, reason) = deaf.closed().await.unwrap();
    assert_eq!(code, 1008, "{reason}");
    drop(reading);
    ends(&alive).await;
}

#[tokio::test]
async fn a_page_that_does_not_read_what_it_is_told_loses_its_actor() {
    let quick = limits(|limits| {
        limits.backlog = 4;
        limits.writing = Duration::from_millis(300);
    });
    let mut server = Server::start(quick).await;
    // All at once: more than the line holds.
    let mut page = server.visit().await;
    page.say(r#"{"flood":100}"#).await;
    ends(&server.actor().await).await;
    assert_eq!(page.closed().await.unwrap().0, 1008);
    // One by one: more than the network holds.
    let mut page = server.visit().await;
    page.say(r#""drip""#).await;
    ends(&server.actor().await).await;
}

#[tokio::test]
async fn an_actor_that_is_stuck_with_a_message_is_killed_and_its_page_told() {
    let quick = limits(|limits| limits.handling = Duration::from_millis(200));
    let mut server = Server::start(quick).await;
    let mut page = server.visit().await;
    page.say(r#""hang""#).await;
    assert_eq!(page.closed().await.unwrap().0, 1011);
    ends(&server.actor().await).await;
    // It does not have to be this page that it is stuck with.
    let page = server.visit().await;
    let Entered { actor, .. } = server.guest().await;
    actor.cast(GuestMessage::Hang).unwrap();
    drop(page);
    ends(&actor.get_cell()).await;
}

#[tokio::test]
async fn who_is_not_let_in_hears_why() {
    let quick = limits(|limits| limits.handling = Duration::from_millis(200));
    let (_server, url) = serve(Closed { waits: false }, quick).await;
    let mut page = Visit::to(&url).await;
    assert_eq!(page.closed().await.unwrap(), (1013, "full".to_owned()));
    let (_server, url) = serve(Closed { waits: true }, quick).await;
    let mut page = Visit::to(&url).await;
    assert_eq!(page.closed().await.unwrap().0, 1013);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let server = Server::start(WebSocketLimits::default()).await;
    let mut request = server.url.as_str().into_client_request().unwrap();
    let own = server.url.replace("ws://", "http://").replace("/ws", "");
    request
        .headers_mut()
        .insert(header::ORIGIN, own.parse().unwrap());
    connect_async(request.clone()).await.unwrap();
    let foreign = "https://elsewhere.example".parse().unwrap();
    request.headers_mut().insert(header::ORIGIN, foreign);
    match connect_async(request).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("{other:?}"),
    }
}

fn limits(change: impl FnOnce(&mut WebSocketLimits)) -> WebSocketLimits {
    let mut limits = WebSocketLimits::default();
    change(&mut limits);
    limits
}

/// What a page may ask of its actor.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Say(String),
    Count(u32),
    Flood(usize),
    Drip,
    Leave,
    Hang,
    Crash,
}

/// Does what its page asks.
struct Guest;

enum GuestMessage {
    Page(FromPage<Request>),
    Drip,
    Hang,
}

/// How many counted messages waited in a mailbox or were being handled, at most.
static MOST_WAITING: AtomicUsize = AtomicUsize::new(0);

static WAITING: AtomicUsize = AtomicUsize::new(0);

impl From<FromPage<Request>> for GuestMessage {
    fn from(said: FromPage<Request>) -> Self {
        if let Request::Count(_) = said.message {
            let waiting = WAITING.fetch_add(1, Ordering::Relaxed) + 1;
            MOST_WAITING.fetch_max(waiting, Ordering::Relaxed);
        }
        Self::Page(said)
    }
}

impl Actor for Guest {
    type Msg = GuestMessage;
    type State = Page<String>;
    type Arguments = Page<String>;

    async fn pre_start(
        &self,
        _: ActorRef<GuestMessage>,
        page: Page<String>,
    ) -> Result<Page<String>, ActorProcessingErr> {
        Ok(page)
    }

    async fn handle(
        &self,
        myself: ActorRef<GuestMessage>,
        message: GuestMessage,
        page: &mut Page<String>,
    ) -> Result<(), ActorProcessingErr> {
        let request = match message {
            GuestMessage::Page(said) => said,
            GuestMessage::Drip => return drip(&myself, page),
            GuestMessage::Hang => std::future::pending().await,
        };
        match &request.message {
            Request::Say(text) => page.say(text)?,
            Request::Count(number) => {
                // The socket's task would have time to read on.
                tokio::task::yield_now().await;
                page.say(&number.to_string())?;
                WAITING.fetch_sub(1, Ordering::Relaxed);
            }
            Request::Flood(messages) => {
                let told = (0..*messages).map(|number| page.say(&number.to_string()));
                let slow = told.filter_map(Result::err).next();
                assert!(matches!(slow, Some(PageError::Slow)), "{slow:?}");
            }
            Request::Drip => drip(&myself, page)?,
            Request::Leave => {
                page.say(&"one last word".to_owned())?;
                page.hang_up(Goodbye::with_code(4001, "that was all"));
            }
            Request::Hang => std::future::pending().await,
            Request::Crash => panic!("a page asked for it"),
        }
        Ok(())
    }
}

/// A large message every few milliseconds, so that the network is full before the line is.
fn drip(myself: &ActorRef<GuestMessage>, page: &Page<String>) -> Result<(), ActorProcessingErr> {
    if page.say(&"x".repeat(1_000_000)).is_ok() {
        myself.send_after(Duration::from_millis(50), || GuestMessage::Drip);
    }
    Ok(())
}

/// Lets every page in, and tells the test.
#[derive(Clone)]
struct Open(mpsc::UnboundedSender<Entered>);

struct Entered {
    actor: ActorRef<GuestMessage>,
    line: Page<String>,
}

impl Door for Open {
    type Incoming = Request;
    type Outgoing = String;
    type Message = GuestMessage;

    async fn enter(&self, page: Page<String>) -> Result<ActorRef<GuestMessage>, Goodbye> {
        let line = page.clone();
        let (actor, _) = Actor::spawn(None, Guest, page).await.unwrap();
        let entered = actor.clone();
        let _test_is_over = self.0.send(Entered {
            actor: entered,
            line,
        });
        Ok(actor)
    }

    fn complain(&self, nonsense: &serde_json::Error) -> Option<String> {
        Some(format!("not understood: {nonsense}"))
    }
}

/// Lets nobody in.
#[derive(Clone)]
struct Closed {
    waits: bool,
}

impl Door for Closed {
    type Incoming = Request;
    type Outgoing = String;
    type Message = GuestMessage;

    async fn enter(&self, _page: Page<String>) -> Result<ActorRef<GuestMessage>, Goodbye> {
        if self.waits {
            std::future::pending::<()>().await;
        }
        Err(Goodbye::try_again("full"))
    }
}

struct Server {
    url: String,
    entered: mpsc::UnboundedReceiver<Entered>,
    _task: AbortOnDrop,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    async fn start(limits: WebSocketLimits) -> Self {
        let (sender, entered) = mpsc::unbounded_channel();
        let (_task, url) = serve(Open(sender), limits).await;
        Self {
            url,
            entered,
            _task,
        }
    }

    async fn visit(&self) -> Visit {
        Visit::to(&self.url).await
    }

    /// The next one who came in.
    async fn guest(&mut self) -> Entered {
        timeout(PATIENCE, self.entered.recv())
            .await
            .unwrap()
            .unwrap()
    }

    async fn actor(&mut self) -> ActorCell {
        self.guest().await.actor.get_cell()
    }
}

async fn serve<D: Door>(door: D, limits: WebSocketLimits) -> (AbortOnDrop, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let app = Router::new().route("/ws", websocket::route(door, limits));
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (AbortOnDrop(task), url)
}

/// A page without a browser.
struct Visit(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Visit {
    async fn to(url: &str) -> Self {
        Self(connect_async(url).await.unwrap().0)
    }

    async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    async fn send(&mut self, message: Message) {
        // A socket that is being closed is told by what is read from it.
        let _closing = self.0.send(message).await;
    }

    async fn hear(&mut self) -> String {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.unwrap();
            match message.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("{other:?} instead of a text"),
            }
        }
    }

    /// Waits for the end of the socket; with which code and reason it came, if it was said.
    async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.unwrap()?.ok()?;
            if let Message::Close(frame) = message {
                return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
        }
    }
}

async fn ends(actor: &ActorCell) {
    actor.wait(Some(PATIENCE)).await.unwrap();
}

const PATIENCE: Duration = Duration::from_secs(10);
