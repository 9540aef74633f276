//! The echo example's WebSocket, as a page may use and misuse it. No browser is needed for that.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "../examples/echo/main.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod echo;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ractor_webrtc::signaling::websocket::WebSocketLimits;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use self::echo::PAGE;
use self::echo::common::arguments::Arguments;
use self::echo::common::lobby::Lobby;
use self::echo::common::server::router;
use self::echo::forwarder::Forwarder;

#[tokio::test]
async fn an_offer_is_answered_before_candidates_come() {
    let mut page = Visit::to(&serve(Arguments::on_port(0)).await).await;
    page.say(&offer()).await;
    let answer = page.hear().await;
    assert_eq!(answer["type"], "answer");
    assert_eq!(answer["data"]["type"], "answer");
    assert!(
        answer["data"]["sdp"]
            .as_str()
            .unwrap()
            .starts_with("v=0\r\n")
    );
    let candidate = page.hear().await;
    assert_eq!(candidate["type"], "ice");
    let text = candidate["data"]["candidate"].as_str().unwrap();
    assert!(text.starts_with("candidate:"), "{text}");
    assert_eq!(candidate["data"]["sdpMLineIndex"], 0);
}

#[tokio::test]
async fn nonsense_is_told_to_the_page_and_the_visit_goes_on() {
    let mut page = Visit::to(&serve(Arguments::on_port(0)).await).await;
    let no_candidate = json!({ "candidate": "candidate:oops", "sdpMid": "0" });
    let no_sdp = json!({ "type": "offer", "sdp": "v=1\r\n" });
    for nonsense in [
        "{".to_owned(),
        json!({ "type": "sing" }).to_string(),
        json!({ "type": "offer", "data": 7 }).to_string(),
        json!({ "type": "offer", "data": no_sdp }).to_string(),
        json!({ "type": "answer", "data": { "type": "answer", "sdp": "" } }).to_string(),
        json!({ "type": "ice", "data": no_candidate }).to_string(),
    ] {
        page.send(Message::text(nonsense.clone())).await;
        let complaint = page.hear().await;
        assert_eq!(complaint["type"], "error", "{nonsense} got {complaint}");
        assert_ne!(complaint["data"], "", "{nonsense}");
    }
    page.say(&offer()).await;
    assert_eq!(page.hear().await["type"], "answer");
}

#[tokio::test]
async fn a_crash_closes_the_visitors_own_socket_only() {
    let url = serve(Arguments::on_port(0)).await;
    let (mut one, mut other) = (Visit::to(&url).await, Visit::to(&url).await);
    one.say(&json!({ "type": "crash" })).await;
    assert_eq!(one.closed().await, Some(CloseCode::Error));
    other.say(&offer()).await;
    assert_eq!(other.hear().await["type"], "answer");
}

#[tokio::test]
async fn who_is_too_many_is_turned_away_until_somebody_leaves() {
    let mut arguments = Arguments::on_port(0);
    arguments.visitors = 1;
    let url = serve(arguments).await;
    let mut first = Visit::to(&url).await;
    first.say(&offer()).await;
    assert_eq!(first.hear().await["type"], "answer");
    assert_eq!(Visit::to(&url).await.closed().await, Some(CloseCode::Again));

    drop(first);
    let answered = async {
        loop {
            let mut next = Visit::to(&url).await;
            next.say(&offer()).await;
            // Turned away again: the first one's actor is still on its way out.
            if let Some(answer) = next.heard().await {
                break answer;
            }
        }
    };
    assert_eq!(timeout(LIMIT, answered).await.unwrap()["type"], "answer");
}

#[tokio::test]
async fn a_message_without_measure_ends_the_visit() {
    let mut page = Visit::to(&serve(Arguments::on_port(0)).await).await;
    page.send(Message::text("x".repeat(100_000))).await;
    page.closed().await;
}

/// Runs the example on a free port and gives the address of its WebSocket.
async fn serve(arguments: Arguments) -> String {
    let listener = TcpListener::bind(arguments.listen).await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let lobby = Lobby::open(Forwarder, arguments, |it| it).await.unwrap();
    tokio::spawn(async move {
        axum::serve(listener, router(PAGE, lobby, WebSocketLimits::default()))
            .await
            .unwrap()
    });
    url
}

/// A page without a browser.
struct Visit(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Visit {
    async fn to(url: &str) -> Self {
        Self(connect_async(url).await.unwrap().0)
    }

    async fn say(&mut self, signal: &Value) {
        self.send(Message::text(signal.to_string())).await;
    }

    async fn send(&mut self, message: Message) {
        // A socket that is being closed is told by what is read from it.
        let _closing = self.0.send(message).await;
    }

    /// The next signal.
    async fn hear(&mut self) -> Value {
        self.heard().await.expect("the server says something")
    }

    /// The next signal; `None` when the socket closes instead.
    async fn heard(&mut self) -> Option<Value> {
        loop {
            match timeout(LIMIT, self.0.next()).await.unwrap()?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Waits for the end of the socket, and says with which code it came.
    async fn closed(&mut self) -> Option<CloseCode> {
        loop {
            let message = timeout(LIMIT, self.0.next()).await.unwrap()?.ok()?;
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code);
            }
        }
    }
}

/// What Chromium 156 offers for sound and pictures both ways.
fn offer() -> Value {
    let sdp = include_str!("data/sdp/chromium-sendrecv-av.sdp");
    json!({ "type": "offer", "data": { "type": "offer", "sdp": sdp } })
}

const LIMIT: Duration = Duration::from_secs(10);
