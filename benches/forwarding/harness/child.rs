//! The server process, as the driver sees it.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use serde_json::{from_str, to_string};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::Failure;
use super::cores::Cores;
use super::protocol::{Request, Role, Usage};
use super::servers::ServerKind;

/// A running server; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it receives.
    ports: HashSet<u16>,
    /// Killed on drop.
    _process: Child,
}

impl Server {
    /// Starts this executable once more, as a server.
    pub(crate) async fn start(
        kind: ServerKind,
        workers: NonZeroUsize,
        cores: Cores,
    ) -> Result<Self, Failure> {
        let executable = std::env::current_exe()?;
        let mut command = match cores.of_server(workers) {
            Some(list) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &list]).arg(executable);
                command
            }
            None => Command::new(executable),
        };
        let mut process = command
            .args(["--serve", kind.name(), "--workers", &workers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let mut server = Self {
            stdin: stdin.expect("piped"),
            lines: BufReader::new(stdout.expect("piped")).lines(),
            ports: HashSet::new(),
            _process: process,
        };
        server.answer::<()>().await?;
        Ok(server)
    }

    /// The answer to a client's offer.
    pub(crate) async fn join(&mut self, role: Role, offer: String) -> Result<String, Failure> {
        let answer: String = self.ask(&Request::Join { role, offer }).await?;
        self.ports.extend(candidate_ports(&answer));
        Ok(answer)
    }

    pub(crate) async fn usage(&mut self) -> Result<Usage, Failure> {
        self.ask(&Request::Usage).await
    }

    /// Packets that it says it has sent.
    pub(crate) async fn sent(&mut self) -> Result<u64, Failure> {
        self.ask(&Request::Sent).await
    }

    pub(crate) async fn control(&mut self) -> Result<(), Failure> {
        self.ask(&Request::Control).await
    }

    /// The ports that its answers named.
    pub(crate) fn ports(&self) -> &HashSet<u16> {
        &self.ports
    }

    async fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let mut line = to_string(request)?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).await?;
        self.answer().await
    }

    async fn answer<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let line = timeout(super::PATIENCE, self.lines.next_line()).await??;
        let answer: Result<T, String> = from_str(&line.ok_or("the server ended")?)?;
        Ok(answer?)
    }
}

/// `a=candidate:1 1 udp 2130706431 127.0.0.1 PORT typ host …`
fn candidate_ports(sdp: &str) -> impl Iterator<Item = u16> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .filter_map(|line| line.split(' ').nth(5)?.parse().ok())
}
