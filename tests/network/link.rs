//! The network between Chromium and the servers: a namespace for the one, a pair of TUN devices, and every packet of IP
//! between them in our hands.
//!
//! A TUN device gives its packets to whoever opens it with an `ioctl`, which takes unsafe code; `socat` does it, and passes
//! them on as datagrams of a Unix socket.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, process, thread};

use tokio::net::UnixDatagram;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::emulator::{Conditions, Counts, Direction};

/// Where the servers are.
pub(crate) const SERVER: &str = "10.79.0.2";
const BROWSER: &str = "10.79.0.1";

/// The running network; all of it goes when this is dropped.
pub(crate) struct Network {
    namespace: String,
    folder: PathBuf,
    programs: Vec<Child>,
    shared: Arc<Shared>,
    /// The thread that carries ends when this is dropped.
    _running: oneshot::Sender<()>,
}

struct Shared {
    conditions: Mutex<Conditions>,
    /// To the servers, and from them.
    directions: [Mutex<Direction>; 2],
}

impl Network {
    /// A good network so far.
    pub(crate) fn start() -> Self {
        let namespace = format!("ractor_webrtc-{}", process::id());
        let folder = env::temp_dir().join(&namespace);
        fs::create_dir_all(&folder).unwrap();
        let shared = Arc::new(Shared {
            conditions: Mutex::default(),
            directions: [1, 2].map(|seed| Mutex::new(Direction::new(seed))),
        });
        let (running, ended) = oneshot::channel();
        carry_in_a_thread(&folder, &shared, ended);
        run("ip", &["netns", "add", &namespace]);
        let mut network = Self {
            namespace,
            folder,
            programs: Vec::new(),
            shared,
            _running: running,
        };
        network.connect();
        network
    }

    fn connect(&mut self) {
        let inside = ["ip", "netns", "exec", &self.namespace].map(str::to_owned);
        let inside: Vec<_> = inside.iter().map(String::as_str).collect();
        for (words, address, end) in [(&inside[..], BROWSER, "browser"), (&[], SERVER, "server")] {
            let device = format!("TUN:{address}/24,tun-name=bad-{end},iff-no-pi,iff-up");
            let [ours, theirs] = ["link", "tun"].map(|it| self.folder.join(format!("{it}-{end}")));
            let socket = format!("UNIX-SENDTO:{},bind={}", ours.display(), theirs.display());
            self.spawn(words, &["socat", "-b", "2000", &device, &socket]);
            wait_for(&theirs);
        }
        let namespace = self.namespace.as_str();
        run("ip", &["-n", namespace, "link", "set", "lo", "up"]);
        // Browsers look for a default route.
        run(
            "ip",
            &["-n", namespace, "route", "add", "default", "via", SERVER],
        );
    }

    /// What starts Chromium in the namespace; `port` on this machine's loopback leads to the same in there.
    pub(crate) fn chromium(&mut self, program: &Path, port: u16) -> Command {
        let socket = self.folder.join("devtools");
        let namespace = self.namespace.clone();
        let inside = ["ip", "netns", "exec", &namespace];
        let listening = format!("UNIX-LISTEN:{},fork", socket.display());
        let browser = format!("TCP:127.0.0.1:{port}");
        self.spawn(&inside, &["socat", &listening, &browser]);
        wait_for(&socket);
        let listening = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
        let connecting = format!("UNIX-CONNECT:{}", socket.display());
        self.spawn(&[], &["socat", &listening, &connecting]);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace]).arg(program);
        command.arg(format!("--remote-debugging-port={port}"));
        command
    }

    fn spawn(&mut self, before: &[&str], words: &[&str]) {
        let mut words = before.iter().chain(words);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        self.programs.push(command.spawn().unwrap());
    }

    /// From now on it is like this, and what happens is counted anew.
    pub(crate) fn set(&self, conditions: Conditions) {
        *self.shared.conditions.lock().unwrap() = conditions;
        for (seed, direction) in (1..).zip(&self.shared.directions) {
            *direction.lock().unwrap() = Direction::new(seed);
        }
    }

    /// To the servers, and from them.
    pub(crate) fn counts(&self) -> [Counts; 2] {
        let directions = self.shared.directions.each_ref();
        directions.map(|direction| direction.lock().unwrap().counts)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for program in &mut self.programs {
            // It may have ended by itself.
            let _ended = program.kill();
            let _reaped = program.wait();
        }
        run("ip", &["netns", "delete", &self.namespace]);
        // Nothing but sockets of programs that are gone.
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// A thread of its own: what servers and test do makes no datagram late.
fn carry_in_a_thread(folder: &Path, shared: &Arc<Shared>, ended: oneshot::Receiver<()>) {
    let ends = ["browser", "server"].map(|end| {
        let ours = folder.join(format!("link-{end}"));
        let theirs = folder.join(format!("tun-{end}"));
        (
            std::os::unix::net::UnixDatagram::bind(ours).unwrap(),
            theirs,
        )
    });
    let shared = Arc::clone(shared);
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    thread::spawn(move || {
        runtime.block_on(async {
            let [browser, server] = ends.map(|(socket, theirs)| {
                socket.set_nonblocking(true).unwrap();
                (UnixDatagram::from_std(socket).unwrap(), theirs)
            });
            tokio::select! {
                () = carry(&browser.0, (&server.0, &server.1), &shared, 0) => {}
                () = carry(&server.0, (&browser.0, &browser.1), &shared, 1) => {}
                _ = ended => {}
            }
        });
    });
}

/// Carries one way for ever.
async fn carry(from: &UnixDatagram, to: (&UnixDatagram, &Path), shared: &Shared, way: usize) {
    let mut buffer = vec![0; 65_536];
    let mut travelling = BinaryHeap::new();
    for number in 0_u64.. {
        let next = travelling.peek();
        let due = next.map(|Reverse((at, ..)): &Reverse<(Instant, u64, Vec<u8>)>| *at);
        let due = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        tokio::select! {
            biased;
            () = sleep_until(due) => {
                if let Some(Reverse((_, _, packet))) = travelling.pop() {
                    // A full buffer is loss, as on any network.
                    let _lost = to.0.send_to(&packet, to.1).await;
                }
            }
            received = from.recv(&mut buffer) => {
                let packet = &buffer[..received.unwrap()];
                let conditions = *shared.conditions.lock().unwrap();
                let mut direction = shared.directions[way].lock().unwrap();
                let now = Instant::now().into_std();
                for at in direction.decide(&conditions, packet.len(), now) {
                    travelling.push(Reverse((at.into(), number, packet.to_vec())));
                }
            }
        }
    }
}

fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().unwrap();
    assert!(status.success(), "{program} {words:?}: {status}");
}

fn wait_for(path: &Path) {
    for _ in 0..500 {
        if path.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{} is not there", path.display());
}
