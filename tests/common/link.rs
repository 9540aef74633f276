//! A network between two peers on this machine, in the test's hands.
//!
//! Two sockets stand in for the two peers: each peer is told the address of the other's stand-in
//! instead of the other's own, by rewriting candidates. Whatever arrives at a stand-in is shown
//! to a policy, which forwards or drops it; the test can also send anything from the very
//! addresses that the peers have verified.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    AToB,
    BToA,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Forward,
    Drop,
    /// Forward after this time, in the order of arrival as far as the times are equal.
    Later(Duration),
    /// The same twice.
    LaterTwice(Duration),
}

/// The running link; dropping it cuts it.
pub(crate) struct Link {
    /// Stands in for a: b sends here, and what b gets comes from here.
    stand_in_a: Arc<UdpSocket>,
    /// Stands in for b; another one after [`Self::move_b`].
    stand_in_b: StandIn,
    targets: Arc<Mutex<Targets>>,
    policy: Policy,
    tasks: [JoinHandle<()>; 2],
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

/// Where the peers themselves are reached.
#[derive(Clone, Copy, Debug, Default)]
struct Targets {
    a: Option<SocketAddr>,
    b: Option<SocketAddr>,
}

/// A socket that may be exchanged for another.
type StandIn = Arc<Mutex<Arc<UdpSocket>>>;

type Policy = Arc<Mutex<dyn FnMut(Way, &[u8]) -> Verdict + Send>>;

impl Link {
    /// A link on which `policy` decides over every datagram.
    pub(crate) async fn new(
        policy: impl FnMut(Way, &[u8]) -> Verdict + Send + 'static,
    ) -> io::Result<Self> {
        let stand_in_a = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let socket_b = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let stand_in_b = Arc::new(Mutex::new(Arc::clone(&socket_b)));
        let targets = Arc::<Mutex<Targets>>::default();
        let policy: Policy = Arc::new(Mutex::new(policy));
        let a_to_b = forward(
            Way::AToB,
            socket_b,
            Arc::new(Mutex::new(Arc::clone(&stand_in_a))),
            Arc::clone(&targets),
            Arc::clone(&policy),
        );
        let b_to_a = forward(
            Way::BToA,
            Arc::clone(&stand_in_a),
            Arc::clone(&stand_in_b),
            Arc::clone(&targets),
            Arc::clone(&policy),
        );
        Ok(Self {
            stand_in_a,
            stand_in_b,
            targets,
            policy,
            tasks: [tokio::spawn(a_to_b), tokio::spawn(b_to_a)],
        })
    }

    /// From now on a sees b at another address, as behind a NAT that has forgotten it; nothing is forwarded any more that a
    /// sends to the one before.
    pub(crate) async fn move_b(&mut self) -> io::Result<()> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        *self.stand_in_b.lock().expect("no holder panics") = Arc::clone(&socket);
        let a_to_b = forward(
            Way::AToB,
            socket,
            Arc::new(Mutex::new(Arc::clone(&self.stand_in_a))),
            Arc::clone(&self.targets),
            Arc::clone(&self.policy),
        );
        std::mem::replace(&mut self.tasks[0], tokio::spawn(a_to_b)).abort();
        Ok(())
    }

    /// A link that loses `loss` (0 to 1) of all datagrams either way, the same ones in every run
    /// that sends the same ones.
    pub(crate) async fn lossy(seed: u64, loss: f64) -> io::Result<Self> {
        let mut random = [0, 1].map(|way| StdRng::seed_from_u64(seed << 1 | way));
        Self::new(move |way, _| {
            if random[way as usize].random_bool(loss) {
                Verdict::Drop
            } else {
                Verdict::Forward
            }
        })
        .await
    }

    /// A link as long as a round trip of `round_trip` that carries `bits_per_second` from a to b, which may be changed at
    /// any time. What would wait longer than `queue` is lost.
    pub(crate) async fn narrow(
        bits_per_second: Arc<AtomicU64>,
        queue: Duration,
        round_trip: Duration,
    ) -> io::Result<Self> {
        let mut free_at = Instant::now();
        Self::new(move |way, datagram| {
            if way == Way::BToA {
                return Verdict::Later(round_trip / 2);
            }
            let now = Instant::now();
            let begins_at = free_at.max(now);
            if begins_at - now > queue {
                return Verdict::Drop;
            }
            // With the headers of UDP and IPv4.
            let bits = (datagram.len() + 28) as f64 * 8.0;
            let rate = bits_per_second.load(Ordering::Relaxed) as f64;
            free_at = begins_at + Duration::from_secs_f64(bits / rate);
            Verdict::Later(free_at - now + round_trip / 2)
        })
        .await
    }

    /// A link as long as a round trip of `round_trip`, that loses `loss` (0 to 1) of the media and its reports either
    /// way. What connects the peers gets through.
    pub(crate) async fn far(seed: u64, loss: f64, round_trip: Duration) -> io::Result<Self> {
        let mut random = [0, 1].map(|way| StdRng::seed_from_u64(seed << 1 | way));
        Self::new(move |way, datagram| {
            let is_media = matches!(Class::of(datagram), Class::Rtp | Class::Rtcp);
            if is_media && random[way as usize].random_bool(loss) {
                Verdict::Drop
            } else {
                Verdict::Later(round_trip / 2)
            }
        })
        .await
    }

    /// A candidate of a as b must see it; `None` when the link cannot carry it.
    pub(crate) fn candidate_of_a(&self, candidate: &str) -> Option<String> {
        let stand_in = local_addr(&self.stand_in_a);
        let (candidate, addr) = redirect(candidate, stand_in)?;
        self.lock().a = Some(addr);
        Some(candidate)
    }

    /// A candidate of b as a must see it; `None` when the link cannot carry it.
    pub(crate) fn candidate_of_b(&self, candidate: &str) -> Option<String> {
        let stand_in = local_addr(&self.socket_b());
        let (candidate, addr) = redirect(candidate, stand_in)?;
        self.lock().b = Some(addr);
        Some(candidate)
    }

    /// A description of a as b must see it.
    pub(crate) fn description_of_a(&self, sdp: &str) -> String {
        redirect_all(sdp, |candidate| self.candidate_of_a(candidate))
    }

    /// A description of b as a must see it.
    pub(crate) fn description_of_b(&self, sdp: &str) -> String {
        redirect_all(sdp, |candidate| self.candidate_of_b(candidate))
    }

    /// Sends `datagram` to a from the address that a takes for b's.
    pub(crate) async fn inject_to_a(&self, datagram: &[u8]) -> io::Result<()> {
        let target = self.lock().a.expect("a told a candidate");
        self.socket_b().send_to(datagram, target).await.map(drop)
    }

    /// Sends `datagram` to b from the address that b takes for a's.
    pub(crate) async fn inject_to_b(&self, datagram: &[u8]) -> io::Result<()> {
        let target = self.lock().b.expect("b told a candidate");
        self.stand_in_a.send_to(datagram, target).await.map(drop)
    }

    /// Where a itself listens.
    pub(crate) fn address_of_a(&self) -> Option<SocketAddr> {
        self.lock().a
    }

    fn socket_b(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.stand_in_b.lock().expect("no holder panics"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Targets> {
        self.targets.lock().expect("no holder panics")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Carries one way for ever.
async fn forward(
    way: Way,
    from: Arc<UdpSocket>,
    to: StandIn,
    targets: Arc<Mutex<Targets>>,
    policy: Policy,
) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut waiting = Waiting::default();
    loop {
        let Ok((length, _)) = from.recv_from(&mut buffer).await else {
            continue;
        };
        let datagram = &buffer[..length];
        let target = {
            let targets = targets.lock().expect("no holder panics");
            match way {
                Way::AToB => targets.b,
                Way::BToA => targets.a,
            }
        };
        let Some(target) = target else { continue };
        let verdict = (policy.lock().expect("no holder panics"))(way, datagram);
        let to = Arc::clone(&to.lock().expect("no holder panics"));
        // A full buffer or a closed port is loss, as on any network.
        match verdict {
            Verdict::Drop => {}
            Verdict::Forward => drop(to.send_to(datagram, target).await),
            Verdict::LaterTwice(delay) => {
                waiting.push(delay, datagram.to_vec(), Arc::clone(&to), target);
                waiting.push(delay, datagram.to_vec(), to, target);
            }
            Verdict::Later(delay) => waiting.push(delay, datagram.to_vec(), to, target),
        }
    }
}

/// What is on its way: one task for each delay, so that those of one delay stay in order.
#[derive(Default)]
struct Waiting {
    ways: HashMap<Duration, mpsc::UnboundedSender<Travelling>>,
    tasks: JoinSet<()>,
}

struct Travelling {
    at: Instant,
    datagram: Vec<u8>,
    from: Arc<UdpSocket>,
    to: SocketAddr,
}

impl Waiting {
    fn push(&mut self, delay: Duration, datagram: Vec<u8>, from: Arc<UdpSocket>, to: SocketAddr) {
        let tasks = &mut self.tasks;
        let way = self.ways.entry(delay).or_insert_with(|| {
            let (sender, mut travelling) = mpsc::unbounded_channel::<Travelling>();
            tasks.spawn(async move {
                while let Some(it) = travelling.recv().await {
                    sleep_until(it.at).await;
                    // A full buffer or a closed port is loss, as on any network.
                    let _lost = it.from.send_to(&it.datagram, it.to).await;
                }
            });
            sender
        });
        let at = Instant::now() + delay;
        let travelling = Travelling {
            at,
            datagram,
            from,
            to,
        };
        // The task lasts as long as this.
        let _sent = way.send(travelling);
    }
}

/// The candidate with another address, and the address it had (RFC 8839 §5.1).
fn redirect(candidate: &str, stand_in: SocketAddr) -> Option<(String, SocketAddr)> {
    let mut fields: Vec<&str> = candidate.split(' ').collect();
    let &[_, _, transport, _, ip, port, _, kind, ..] = fields.as_slice() else {
        return None;
    };
    if !transport.eq_ignore_ascii_case("udp") || kind != "host" {
        return None;
    }
    let addr = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
    if !addr.is_ipv4() {
        return None;
    }
    let (ip, port) = (stand_in.ip().to_string(), stand_in.port().to_string());
    fields[4] = &ip;
    fields[5] = &port;
    Some((fields.join(" "), addr))
}

/// Redirects every candidate of a description; drops those that the link cannot carry.
fn redirect_all(sdp: &str, redirect: impl Fn(&str) -> Option<String>) -> String {
    sdp.lines()
        .filter_map(|line| match line.strip_prefix("a=candidate:") {
            Some(rest) => {
                redirect(&format!("candidate:{rest}")).map(|candidate| format!("a={candidate}\r\n"))
            }
            None => Some(format!("{line}\r\n")),
        })
        .collect()
}

fn local_addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("the socket is bound")
}

/// Larger than any datagram that the tests send.
const MAX_DATAGRAM: usize = 65_536;

/// What a datagram is, by its first bytes (RFC 7983, RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

impl Class {
    pub(crate) fn of(datagram: &[u8]) -> Self {
        match datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, ..] => Self::Rtp,
            _ => Self::Other,
        }
    }
}

/// A hand on one direction of a link: holds datagrams of one class back, and keeps them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    state: Arc<Mutex<GateState>>,
}

#[derive(Debug, Default)]
struct GateState {
    holding: Option<Class>,
    held: Vec<Vec<u8>>,
}

impl Gate {
    /// A link whose way from b to a passes this gate.
    pub(crate) async fn link(&self) -> io::Result<Link> {
        let gate = self.clone();
        Link::new(move |way, datagram| match way {
            Way::AToB => Verdict::Forward,
            Way::BToA => gate.decide(datagram),
        })
        .await
    }

    /// From now on datagrams of `class` are kept and not forwarded.
    pub(crate) fn hold(&self, class: Class) {
        self.lock().holding = Some(class);
    }

    /// Forwards everything again; what was kept.
    pub(crate) fn release(&self) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        state.holding = None;
        std::mem::take(&mut state.held)
    }

    /// What has been kept since the last time; goes on holding.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.lock().held)
    }

    /// A copy of what has been kept so far.
    pub(crate) fn held(&self) -> Vec<Vec<u8>> {
        self.lock().held.clone()
    }

    fn decide(&self, datagram: &[u8]) -> Verdict {
        let mut state = self.lock();
        if state.holding != Some(Class::of(datagram)) {
            return Verdict::Forward;
        }
        if state.held.len() < MAX_HELD {
            state.held.push(datagram.to_vec());
        }
        Verdict::Drop
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, GateState> {
        self.state.lock().expect("no holder panics")
    }
}

/// More than this is dropped unseen.
const MAX_HELD: usize = 256;
