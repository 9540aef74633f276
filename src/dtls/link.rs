//! What the crate takes for its socket: our queue, our guard, our path.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::sleep;
use webrtc_util::conn::Conn;

use super::actor::now;
use super::fingerprint::DtlsRole;
use super::guard::{ALERT, Record, RecordGuard};
use super::inbound::DtlsInbound;
use super::last_flight::LastFlight;
use super::traffic::Counted;
use crate::udp::TransportPath;

type ConnResult<T> = webrtc_util::Result<T>;

/// The way out. Must not wait.
pub(crate) trait Egress: Send + Sync {
    /// Sends one datagram.
    fn send(&self, datagram: &[u8]) -> io::Result<()>;
}

impl Egress for TransportPath {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.try_send(datagram, None)
    }
}

/// The current way out, which may change while a connection stands.
#[derive(Clone, Default)]
pub(super) struct PathSlot {
    current: Arc<Mutex<Option<Arc<dyn Egress>>>>,
    sent: Arc<Counted>,
}

impl PathSlot {
    pub(super) fn set(&self, path: Arc<dyn Egress>) {
        *self.slot() = Some(path);
    }

    /// What cannot be sent is lost, as it may be anywhere on the way. Nobody is told: the crate
    /// would end the handshake, which repeats itself, and ICE watches the path.
    fn send(&self, datagram: &[u8]) {
        let path = self.slot().clone();
        let Some(path) = path else {
            return;
        };
        match path.send(datagram) {
            Ok(()) => self.sent.add(datagram),
            Err(error) => tracing::trace!(%error, "a DTLS packet was not sent"),
        }
    }

    /// Datagrams that were sent, and their bytes.
    pub(super) fn sent(&self) -> (u64, u64) {
        self.sent.get()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<dyn Egress>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PathSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathSlot")
            .field("known", &self.slot().is_some())
            .finish()
    }
}

/// One connection's way to the network and back, with the guard in between.
pub(super) struct Link {
    inbound: DtlsInbound,
    path: PathSlot,
    state: Mutex<State>,
    /// Something was put into `State::ready` by a sender.
    released: Notify,
    alerted: Notify,
}

struct State {
    guard: RecordGuard,
    last_flight: LastFlight,
    /// Datagrams fit for the crate; what one datagram of the peer yields, and what the guard holds
    /// back, which is bounded there.
    ready: VecDeque<Vec<u8>>,
    /// An alert in plaintext that no handshake message has followed yet.
    alert: Option<(u8, Instant)>,
    /// The datagram that the crate was given last has an encrypted alert in it.
    gave_alert: bool,
    closed: bool,
}

impl Link {
    pub(super) fn new(role: DtlsRole, inbound: DtlsInbound, path: PathSlot) -> Self {
        Self {
            inbound,
            path,
            state: Mutex::new(State {
                guard: RecordGuard::new(role),
                last_flight: LastFlight::new(role),
                ready: VecDeque::new(),
                alert: None,
                gave_alert: false,
                closed: false,
            }),
            released: Notify::new(),
            alerted: Notify::new(),
        }
    }

    /// Waits for the ClientHello, and tells which SRTP protection profiles it offers. What it came
    /// in is kept for the crate.
    pub(super) async fn client_offer(&self) -> Vec<u16> {
        loop {
            if let Some(offered) = self.state().guard.offered_profiles() {
                return offered.to_vec();
            }
            let packet = self.inbound.pop().await;
            self.take_in(&packet);
        }
    }

    /// Waits until the remote side has sent an alert in plaintext and then, for a while, nothing
    /// that a handshake consists of. The alert alone proves nothing: anybody can forge one. Who
    /// really gave up stays silent.
    pub(super) async fn peer_gave_up(&self) -> u8 {
        loop {
            let alert = self.state().alert;
            match alert {
                None => self.alerted.notified().await,
                Some((description, at)) => {
                    let waited = now().saturating_duration_since(at);
                    if waited >= ALERT_GRACE {
                        return description;
                    }
                    sleep(ALERT_GRACE - waited).await;
                }
            }
        }
    }

    /// The handshake is done: from now on only encrypted data passes.
    pub(super) fn establish(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.guard.establish(&mut state.ready);
        self.released.notify_one();
    }

    /// Whether what the crate has read last may be the reason for it to end: an alert. Without one it ends for no reason
    /// of the remote side.
    pub(super) fn gave_alert(&self) -> bool {
        self.state().gave_alert
    }

    /// How many records the guard has dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.state().guard.dropped()
    }

    fn take_in(&self, packet: &[u8]) {
        let mut state = self.state();
        let state = &mut *state;
        let before = state.guard.dropped();
        let verdict = state.guard.accept(packet, &mut state.ready);
        self.inbound.note_refused(state.guard.dropped() - before);
        if verdict.handshake {
            state.alert = None;
        }
        if let Some(description) = verdict.alert {
            state.alert = Some((description, now()));
            self.alerted.notify_one();
        }
        if verdict.repeats_flight {
            for datagram in state.last_flight.repeat(now()) {
                self.path.send(datagram);
            }
        }
    }

    fn take_ready(&self, buffer: &mut [u8]) -> Option<usize> {
        let mut state = self.state();
        let datagram = state.ready.pop_front()?;
        state.gave_alert = has_record(&datagram, |record| record.content_type == ALERT);
        drop(state);
        #[cfg(test)]
        assert!(!datagram.ends_with(POISON), "told to");
        // The guard makes none longer than the crate's buffer.
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Some(length)
    }

    /// Nothing between lock and unlock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Conn for Link {
    async fn connect(&self, _: SocketAddr) -> ConnResult<()> {
        Err(not_applicable())
    }

    /// Never fails: the crate would ask again at once, for ever.
    async fn recv(&self, buffer: &mut [u8]) -> ConnResult<usize> {
        loop {
            if self.state().closed {
                future::pending::<()>().await;
            }
            if let Some(length) = self.take_ready(buffer) {
                return Ok(length);
            }
            tokio::select! {
                () = self.released.notified() => {}
                packet = self.inbound.pop() => self.take_in(&packet),
            }
        }
    }

    async fn recv_from(&self, _: &mut [u8]) -> ConnResult<(usize, SocketAddr)> {
        Err(not_applicable())
    }

    async fn send(&self, datagram: &[u8]) -> ConnResult<usize> {
        {
            let mut state = self.state();
            let state = &mut *state;
            state.last_flight.note_sent(datagram, now());
            if has_record(datagram, |record| record.epoch > 0) {
                state.guard.note_encrypted_sent(&mut state.ready);
                self.released.notify_one();
            }
        }
        self.path.send(datagram);
        Ok(datagram.len())
    }

    async fn send_to(&self, _: &[u8], _: SocketAddr) -> ConnResult<usize> {
        Err(not_applicable())
    }

    fn local_addr(&self) -> ConnResult<SocketAddr> {
        Err(not_applicable())
    }

    /// None, as it may change.
    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> ConnResult<()> {
        self.state().closed = true;
        self.released.notify_one();
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

fn has_record(mut datagram: &[u8], is_meant: impl Fn(&Record<'_>) -> bool) -> bool {
    while let Some((record, rest)) = Record::read(datagram) {
        if is_meant(&record) {
            return true;
        }
        datagram = rest;
    }
    false
}

fn not_applicable() -> webrtc_util::Error {
    webrtc_util::Error::Other("not applicable".to_owned())
}

/// Peers repeat a flight after a second at most; whoever is silent for longer has given up.
const ALERT_GRACE: Duration = Duration::from_millis(1500);

/// What a datagram ends with at which the task that reads it panics: one of the crate's.
#[cfg(test)]
pub(super) const POISON: &[u8] = b"the crate panics here";
