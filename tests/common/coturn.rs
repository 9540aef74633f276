//! A TURN server of Debian's, on loopback, with a user.

use std::io::{self, BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

use ractor_webrtc::ice::IceServer;

/// A running coturn; it ends when this is dropped.
pub(crate) struct Coturn {
    child: Child,
    pub(crate) port: u16,
    relay_ports: (u16, u16),
    log: Arc<Mutex<Vec<String>>>,
}

impl Coturn {
    /// Starts coturn, or says why the test is skipped where there is none.
    ///
    /// With `CI=true` a missing coturn fails the test: nobody reads the lines of a green run.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        let Some(program) = find("turnserver") else {
            assert!(
                env::var_os("CI").is_none_or(|ci| ci != "true"),
                "CI has to test against a TURN server, but there is no turnserver in $PATH"
            );
            // Not `eprintln!`, which the test harness keeps to itself when a test passes.
            let line = "SKIPPED: no turnserver in $PATH (apt-get install coturn)\n";
            io::stderr()
                .write_all(line.as_bytes())
                .expect("stderr takes a line");
            return None;
        };
        Some(Self::run(&program, options))
    }

    fn run(program: &Path, options: &[&str]) -> Self {
        let port = free_port();
        // Below the ports that the system gives to whoever asks for any.
        let first = 10_000 + port % 100 * 200;
        let relay_ports = (first, first + 199);
        let mut child = Command::new(program)
            .args([
                "-n",
                "--no-tls",
                "--no-dtls",
                "--no-cli",
                "--log-file=stdout",
            ])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
            .args(["--allow-loopback-peers", "--realm=test.local", "--verbose"])
            .args(["--lt-cred-mech", "--user=ada:lovelace", "--fingerprint"])
            .arg(format!("--listening-port={port}"))
            .args([
                format!("--min-port={}", relay_ports.0),
                format!("--max-port={}", relay_ports.1),
            ])
            .arg(format!(
                "--pidfile={}/coturn-{port}.pid",
                env::temp_dir().display()
            ))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        // Reads on for as long as there is something: a full pipe would stop the server.
        thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                written.lock().unwrap().push(line);
            }
        });
        let server = Self {
            child,
            port,
            relay_ports,
            log,
        };
        server.answers();
        server
    }

    /// Its URL, and the user's name and password.
    pub(crate) fn as_ice_server(&self) -> IceServer {
        IceServer::with_credentials([self.url()], "ada", "lovelace").unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("turn:127.0.0.1:{}", self.port)
    }

    /// Relay sockets that the server has open now.
    pub(crate) fn allocations(&self) -> usize {
        let table = fs::read_to_string("/proc/net/udp").expect("Linux tells of its sockets");
        let ports = table.lines().skip(1).filter_map(|line| {
            let local = line.split_whitespace().nth(1)?;
            u16::from_str_radix(local.split_once(':')?.1, 16).ok()
        });
        ports
            .filter(|port| (self.relay_ports.0..=self.relay_ports.1).contains(port))
            .count()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for the answer to a STUN request.
    fn answers(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_millis(100)))
            .unwrap();
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        request.extend([7; 12]);
        for _ in 0..100 {
            // Refused until it listens.
            let _refused = socket.send_to(&request, ("127.0.0.1", self.port));
            if socket.recv(&mut [0; 200]).is_ok() {
                return;
            }
        }
        panic!("coturn does not answer\n{}", self.log());
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.exists())
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}
