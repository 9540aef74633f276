//! Drives a real Chromium, so that tests can ask a page what a user would see.
//!
//! A small client of the DevTools protocol over a WebSocket, and not one of the driver crates.
//! All that the tests need is to open a page, evaluate an expression in it and close it again: five
//! commands. `tokio-tungstenite` and `serde_json` are here anyway, so this file compiles in the
//! time it takes to read it, while `chromiumoxide` brings generated bindings for the whole protocol and
//! `fantoccini` or `thirtyfour` an HTTP client and a second program (chromedriver) that has to
//! match the browser's version. On two cores that is minutes against nothing.
//!
//! Chromium is looked for at `$CHROME`, then at `/usr/bin/chromium`. It gets fake devices (a green
//! picture with a moving pie and a clock, a beep each second) that need no permission.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use ractor_webrtc::PeerConnection;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::ChildStderr;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Serves a page until the test ends; gives its address.
pub(crate) async fn serve(page: &'static str) -> String {
    let site = Router::new().route("/", get(async move || Html(page)));
    serve_site(site).await.0
}

/// Serves several until the test ends, or the task is aborted; gives the address of the first.
pub(crate) async fn serve_site(site: Router) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
    (url, task)
}

/// Waits until no peer connection of this process runs any more.
pub(crate) async fn all_peers_end(limit: Duration) {
    let begun = Instant::now();
    while !PeerConnection::all_running().is_empty() {
        assert!(begun.elapsed() < limit, "peers outlive their supervisor");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A running Chromium with a profile of its own; both are gone when it is dropped.
pub(crate) struct Browser {
    devtools: Arc<DevTools>,
    reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
    _program: Program,
}

impl Browser {
    /// Starts Chromium, or says why the test is skipped where there is none.
    ///
    /// With `CI=true` a missing Chromium fails the test: nobody reads the lines of a green run.
    pub(crate) async fn launch() -> Option<Self> {
        Self::launch_with(|_| true).await
    }

    /// The same as users have it: pages without permission for camera or microphone hide the machine's addresses behind
    /// `.local` names.
    pub(crate) async fn launch_hiding_addresses() -> Option<Self> {
        Self::launch_with(|flag| {
            // A permission that is granted without asking counts as given.
            !flag.contains("WebRtcHideLocalIpsWithMdns") && !flag.contains("fake-ui")
        })
        .await
    }

    async fn launch_with(wanted: impl Fn(&str) -> bool) -> Option<Self> {
        let program = find_chromium_or_say_so()?;
        let flags = FLAGS.into_iter().chain([ANY_PORT]);
        let command = Command::new(program);
        Some(Self::start(command, flags.filter(|flag| wanted(flag))).await)
    }

    /// Lets `command` say how the program is started, so that its DevTools are reached at a port of loopback.
    pub(crate) async fn launch_by(command: impl FnOnce(&Path, u16) -> Command) -> Option<Self> {
        let program = find_chromium_or_say_so()?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.expect("loopback has a port to spare").port();
        Some(Self::start(command(&program, port), FLAGS.into_iter()).await)
    }

    async fn start(mut command: Command, flags: impl Iterator<Item = &str>) -> Self {
        let profile = create_profile();
        let mut child = command
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            // What it would leave behind elsewhere, being killed.
            .env("TMPDIR", &profile)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Chromium starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let program = Program { child, profile };
        let stderr = ChildStderr::from_std(stderr).expect("a pipe can be waited for");
        let (address, stderr) = timeout(START_LIMIT, devtools_address(stderr))
            .await
            .expect("Chromium names its DevTools address in time");
        let (socket, _) = connect_async(address).await.expect("DevTools answer");
        let (sink, stream) = socket.split();
        let devtools = Arc::new(DevTools {
            sink: tokio::sync::Mutex::new(sink),
            state: Mutex::default(),
            next_id: AtomicU64::new(1),
        });
        let reader = tokio::spawn(read(stream, Arc::clone(&devtools)));
        Self {
            devtools,
            reader,
            stderr,
            _program: program,
        }
    }

    /// Opens a page in a window of its own and waits until it has loaded.
    pub(crate) async fn open(&self, url: &str) -> Page {
        let create = json!({ "url": "about:blank", "newWindow": true });
        let created = self
            .devtools
            .call(None, "Target.createTarget", create)
            .await;
        let target = text_of(&created, "targetId");
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = self
            .devtools
            .call(None, "Target.attachToTarget", attach)
            .await;
        let page = Page {
            devtools: Arc::clone(&self.devtools),
            session: text_of(&attached, "sessionId"),
            target,
        };
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            page.call(domain, json!({})).await;
        }
        page.call("Page.navigate", json!({ "url": url })).await;
        page.wait_until(
            "document.readyState === 'complete' && location.href !== 'about:blank'",
            START_LIMIT,
        )
        .await;
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.reader.abort();
        self.stderr.abort();
    }
}

/// One page (a tab) of a [`Browser`].
pub(crate) struct Page {
    devtools: Arc<DevTools>,
    target: String,
    session: String,
}

impl Page {
    /// Evaluates an expression; a promise is awaited, and what it rejects with fails the test.
    pub(crate) async fn eval<T: DeserializeOwned>(&self, expression: &str) -> T {
        let arguments = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            // As if clicked: a page may start playing sound only after the user did something.
            "userGesture": true,
        });
        let answer = self.call("Runtime.evaluate", arguments).await;
        if let Some(exception) = answer.get("exceptionDetails") {
            panic!(
                "the page threw at `{expression}`: {exception:#}\n{}",
                self.log()
            );
        }
        let value = answer["result"].get("value").cloned().unwrap_or_default();
        serde_json::from_value(value.clone())
            .unwrap_or_else(|error| panic!("`{expression}` gave {value}: {error}"))
    }

    /// Loads the page anew, as a user does who presses F5.
    pub(crate) async fn reload(&self) {
        let url: String = self.eval("location.href").await;
        self.call("Page.navigate", json!({ "url": url })).await;
        self.wait_until("document.readyState === 'complete'", START_LIMIT)
            .await;
    }

    /// Waits until an expression is true, looking every 50 ms; says how long that took.
    pub(crate) async fn wait_until(&self, condition: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        // The page's own clock does the waiting, so that one round trip is enough.
        let wait = format!(
            "(async () => {{
                const end = performance.now() + {};
                while (!(await ({condition}))) {{
                    if (performance.now() > end) return false;
                    await new Promise(resolve => setTimeout(resolve, 50));
                }}
                return true;
            }})()",
            limit.as_millis()
        );
        let holds: bool = self.eval(&wait).await;
        assert!(
            holds,
            "`{condition}` is not true after {limit:?}\n{}",
            self.log()
        );
        begun.elapsed()
    }

    /// Presses the button with this id.
    pub(crate) async fn click(&self, id: &str) {
        let () = self
            .eval(&format!("document.getElementById('{id}').click()"))
            .await;
    }

    /// What the page wrote to its console and which exceptions nobody caught.
    pub(crate) fn log(&self) -> String {
        let state = self
            .devtools
            .state
            .lock()
            .expect("nothing panics under this lock");
        let lines = state.logs.get(&self.session);
        format!(
            "the page's log: {:#?}",
            lines.into_iter().flatten().collect::<Vec<_>>()
        )
    }

    /// A picture of the page as PNG, in base64.
    pub(crate) async fn screenshot(&self) -> String {
        let taken = self
            .call("Page.captureScreenshot", json!({ "format": "png" }))
            .await;
        text_of(&taken, "data")
    }

    /// Kills what runs the page, as a fault in the browser does: the page cannot say anything any more.
    pub(crate) async fn crash(self) {
        // Nobody is left to answer.
        self.devtools
            .send(Some(&self.session), "Page.crash", json!({}))
            .await;
    }

    /// Closes the page as a user closes a tab: nothing of it runs afterwards.
    pub(crate) async fn close(self) {
        let arguments = json!({ "targetId": self.target });
        self.devtools
            .call(None, "Target.closeTarget", arguments)
            .await;
    }

    async fn call(&self, method: &str, arguments: Value) -> Value {
        self.devtools
            .call(Some(&self.session), method, arguments)
            .await
    }
}

/// One WebSocket for all pages: commands are numbered, answers find their asker by number.
struct DevTools {
    sink: tokio::sync::Mutex<SplitSink<Socket, Message>>,
    state: Mutex<State>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    /// By session, the newest last; tests are short, so nothing is thrown away.
    logs: HashMap<String, Vec<String>>,
}

impl DevTools {
    async fn call(&self, session: Option<&str>, method: &str, arguments: Value) -> Value {
        let answered = self.send(session, method, arguments).await;
        let mut answer = timeout(CALL_LIMIT, answered)
            .await
            .unwrap_or_else(|_| panic!("{method} is answered within {CALL_LIMIT:?}"))
            .unwrap_or_else(|_| panic!("Chromium went away during {method}"));
        assert!(
            answer.get("error").is_none(),
            "{method}: {}",
            answer["error"]
        );
        answer["result"].take()
    }

    async fn send(
        &self,
        session: Option<&str>,
        method: &str,
        arguments: Value,
    ) -> oneshot::Receiver<Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.state
            .lock()
            .expect("nothing panics under this lock")
            .waiting
            .insert(id, answer);
        let mut command = json!({ "id": id, "method": method, "params": arguments });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut sink = self.sink.lock().await;
        sink.send(Message::text(command.to_string()))
            .await
            .expect("DevTools listen");
        answered
    }

    fn take_in(&self, message: Value) {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        if let Some(id) = message["id"].as_u64() {
            if let Some(asker) = state.waiting.remove(&id) {
                // A test that failed meanwhile does not listen any more.
                let _gone = asker.send(message);
            }
            return;
        }
        let (Some(session), Some(line)) = (message["sessionId"].as_str(), log_line(&message))
        else {
            return;
        };
        state.logs.entry(session.to_owned()).or_default().push(line);
    }
}

async fn read(mut stream: SplitStream<Socket>, devtools: Arc<DevTools>) {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message
            && let Ok(message) = serde_json::from_str(&text)
        {
            devtools.take_in(message);
        }
    }
    // Chromium is gone: whoever waits for an answer should hear it now.
    devtools
        .state
        .lock()
        .expect("nothing panics under this lock")
        .waiting
        .clear();
}

fn log_line(event: &Value) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" => {
            Some(format!("{}: {}", parameters["type"], parameters["args"]))
        }
        "Runtime.exceptionThrown" => Some(format!("uncaught: {}", parameters["exceptionDetails"])),
        "Log.entryAdded" => Some(format!("{}", parameters["entry"]["text"])),
        _ => None,
    }
}

/// Reads on in a task afterwards: a full pipe would stop the browser.
async fn devtools_address(stderr: ChildStderr) -> (String, JoinHandle<()>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await.expect("Chromium writes text") {
        if let Some(address) = line.strip_prefix("DevTools listening on ") {
            let drain =
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (address.to_owned(), drain);
        }
    }
    panic!("Chromium ended before it listened");
}

/// Says why the test is skipped where there is none.
fn find_chromium_or_say_so() -> Option<PathBuf> {
    let found = find_chromium();
    if found.is_none() {
        assert!(
            env::var_os("CI").is_none_or(|ci| ci != "true"),
            "CI has to test against a browser, but there is no Chromium at $CHROME or {CHROMIUM}"
        );
        // Not `eprintln!`, which the test harness keeps to itself when a test passes.
        let line =
            "SKIPPED: no Chromium at $CHROME or /usr/bin/chromium (apt-get install chromium)\n";
        io::stderr()
            .write_all(line.as_bytes())
            .expect("stderr takes a line");
    }
    found
}

fn find_chromium() -> Option<PathBuf> {
    let named = env::var_os("CHROME").map(PathBuf::from);
    named
        .into_iter()
        .chain([PathBuf::from(CHROMIUM)])
        .find(|path| path.exists())
}

fn text_of(answer: &Value, name: &str) -> String {
    answer[name]
        .as_str()
        .unwrap_or_else(|| panic!("{answer} has text at {name}"))
        .to_owned()
}

/// The running program and the folder it works in; both end with this.
struct Program {
    child: Child,
    profile: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        // Its helpers follow it in a moment, and may write their last files meanwhile.
        for _ in 0..100 {
            if fs::remove_dir_all(&self.profile).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A new empty folder.
fn create_profile() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("ractor_webrtc-chromium-{}-{number}", process::id()));
    fs::create_dir_all(&path).expect("the temporary folder is writable");
    path
}

const CHROMIUM: &str = "/usr/bin/chromium";

const FLAGS: [&str; 16] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    // Pages that nobody looks at would be slowed down.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--window-size=1280,900",
];

const ANY_PORT: &str = "--remote-debugging-port=0";

const START_LIMIT: Duration = Duration::from_secs(60);

/// Longer than any wait inside a page.
const CALL_LIMIT: Duration = Duration::from_secs(90);
