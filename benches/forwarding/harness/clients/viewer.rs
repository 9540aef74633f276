//! One that receives.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use socket2::SockRef;
use str0m::crypto::dtls::SrtpProfile;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Event, Input, Output, Rtc};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use super::histogram::Histogram;
use super::stream::{SentTimes, position_of, wall_clock};
use super::tally::{Counts, RtpHeader, Tally};
use super::{enlarge_buffers, negotiate};
use crate::harness::Failure;
use crate::harness::child::Server;
use crate::harness::observed::ObservedSlot;
use crate::harness::protocol::Role;

/// What is the same for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clients {
    /// Whether they take several packets from the kernel as one.
    pub(crate) gro: bool,
    /// Whether they negotiate what browsers do: retransmission, and transport-wide numbers.
    pub(crate) repairs: bool,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            gro: true,
            repairs: false,
        }
    }
}

/// All that receive.
#[derive(Debug, Default)]
pub(crate) struct Viewers {
    viewers: Vec<Viewer>,
}

impl Viewers {
    /// Connects `count` viewers more.
    pub(crate) async fn connect(
        &mut self,
        server: &mut Server,
        count: usize,
        sent: &SentTimes,
        clients: Clients,
    ) -> Result<(), Failure> {
        for index in 0..count {
            // The first and the last of them read everything.
            let proves = index == 0 || index + 1 == count;
            let viewer = Viewer::connect(server, sent.clone(), proves, clients).await?;
            self.viewers.push(viewer);
        }
        Ok(())
    }

    /// Lets one more in, for a moment; how long its offer waited for the answer.
    pub(crate) async fn try_one(server: &mut Server) -> Result<Duration, Failure> {
        let asked = Instant::now();
        Viewer::connect(server, SentTimes::new(), false, Clients::default()).await?;
        Ok(asked.elapsed())
    }

    /// Waits until everyone has decrypted a packet.
    pub(crate) async fn calibrated(&self) -> Result<(), Failure> {
        let wait = async {
            while !self
                .viewers
                .iter()
                .all(|viewer| viewer.tally().is_calibrated())
            {
                sleep(POLL).await;
            }
        };
        timeout(PATIENCE, wait).await.map_err(|_| {
            let deaf = |viewer: &&Viewer| !viewer.tally().is_calibrated();
            let deaf = self.viewers.iter().filter(deaf).count();
            format!("{deaf} of {} viewers get no media", self.viewers.len())
        })?;
        Ok(())
    }

    pub(crate) fn open(&self, window: Range<u64>) {
        for viewer in &self.viewers {
            viewer.tally().open(window.clone());
        }
    }

    /// Waits until all of the window has come, or nothing more comes; when the last of it came.
    pub(crate) async fn settle(&self, window: Range<u64>) -> Instant {
        let wanted = (window.end - window.start) * self.viewers.len() as u64;
        let mut received = 0;
        let mut last = Instant::now();
        // Counted and not timed, for this process may stand still as well.
        let mut silent_polls = 0;
        while received < wanted && silent_polls < SILENT_POLLS {
            let now = self.counts().received;
            silent_polls += 1;
            if now != received {
                (received, last, silent_polls) = (now, Instant::now(), 0);
            }
            sleep(POLL).await;
        }
        last
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for viewer in &self.viewers {
            let counts = viewer.tally().counts();
            sum.received += counts.received;
            sum.duplicated += counts.duplicated;
            sum.reordered += counts.reordered;
            sum.proven += counts.proven;
            sum.wrong += counts.wrong;
        }
        sum
    }

    pub(crate) fn latency(&self) -> Histogram {
        let mut sum = Histogram::new();
        for viewer in &self.viewers {
            sum.add(viewer.tally().latency());
        }
        sum
    }

    /// Has the first of them ask for a keyframe.
    pub(crate) fn request_keyframe(&self) {
        if let Some(viewer) = self.viewers.first() {
            viewer.wants_keyframe.notify_one();
        }
    }

    /// Reads no more, and has the kernel throw away what comes from now on.
    pub(crate) fn stop_reading(&self) -> io::Result<()> {
        for viewer in &self.viewers {
            viewer.reads.store(false, Ordering::Relaxed);
            // As little as it can be: to fill the buffers first would take gigabytes.
            SockRef::from(&*viewer.socket).set_recv_buffer_size(1)?;
        }
        Ok(())
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.viewers.iter().map(|viewer| viewer.port).collect()
    }

    /// How the server protects what it sends to the first.
    pub(crate) fn srtp_profile(&self) -> Option<SrtpProfile> {
        let observed = self.viewers.first()?.dtls.lock();
        observed.expect("no holder panics").profile
    }
}

/// One viewer; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Viewer {
    tally: Arc<Mutex<Tally>>,
    socket: Arc<UdpSocket>,
    port: u16,
    dtls: ObservedSlot,
    wants_keyframe: Arc<Notify>,
    reads: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Viewer {
    pub(crate) async fn connect(
        server: &mut Server,
        sent: SentTimes,
        proves: bool,
        clients: Clients,
    ) -> Result<Self, Failure> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        enlarge_buffers(&socket)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let negotiated = negotiate(server, Role::Viewer, address, clients.repairs).await?;
        let tally = Arc::new(Mutex::new(Tally::new(sent)));
        let wants_keyframe = Arc::new(Notify::new());
        let reads = Arc::new(AtomicBool::new(true));
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let task = ViewerTask {
            batches: clients
                .gro
                .then(|| UdpSocketState::new((&*socket).into()))
                .transpose()?,
            socket: Arc::clone(&socket),
            address,
            rtc: negotiated.rtc,
            mid: negotiated.mid,
            wants_keyframe: Arc::clone(&wants_keyframe),
            reads: Arc::clone(&reads),
            tally: Arc::clone(&tally),
            proves,
        };
        Ok(Self {
            tally,
            socket,
            port: address.port(),
            dtls: negotiated.dtls,
            wants_keyframe,
            reads,
            task: tokio::spawn(task.run()),
        })
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect("no holder panics")
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct ViewerTask {
    socket: Arc<UdpSocket>,
    /// Reads many datagrams at once, where that is wanted.
    batches: Option<UdpSocketState>,
    address: SocketAddr,
    rtc: Rtc,
    mid: Mid,
    wants_keyframe: Arc<Notify>,
    reads: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    /// Decrypts all packets, not the first one only.
    proves: bool,
}

impl ViewerTask {
    async fn run(mut self) {
        let mut wake = std::pin::pin!(sleep_until(self.drain().into()));
        loop {
            let told = tokio::select! {
                _ = self.socket.readable(), if self.reads.load(Ordering::Relaxed) => self.read(),
                () = self.wants_keyframe.notified() => {
                    self.request_keyframe();
                    true
                }
                () = &mut wake => {
                    self.input(Input::Timeout(Instant::now()));
                    true
                }
            };
            if told {
                wake.as_mut().reset(self.drain().into());
            }
        }
    }

    fn request_keyframe(&mut self) {
        let mut direct = self.rtc.direct_api();
        if let Some(stream) = direct.stream_rx_by_mid(self.mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.input(Input::Timeout(Instant::now()));
    }

    /// Reads once; whether the stack was told anything.
    fn read(&mut self) -> bool {
        SCRATCH.with_borrow_mut(|(buffers, meta)| {
            let mut slices: Vec<_> = buffers
                .chunks_exact_mut(BUFFER)
                .map(IoSliceMut::new)
                .collect();
            // It was a false alarm, or an ICMP error of an earlier send.
            let Ok(messages) = self.receive(&mut slices, meta) else {
                return false;
            };
            let mut told = false;
            for (meta, buffer) in meta.iter().zip(&slices).take(messages) {
                let arrived_at = meta
                    .timestamp
                    .map_or_else(wall_clock, |time| time.as_nanos() as u64);
                for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    told |= self.take(datagram, meta.addr, arrived_at);
                }
            }
            told
        })
    }

    fn receive(&self, slices: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> io::Result<usize> {
        let Some(batches) = &self.batches else {
            let (length, source) = self.socket.try_recv_from(&mut slices[0])?;
            meta[0] = RecvMeta::default();
            (meta[0].addr, meta[0].len, meta[0].stride) = (source, length, length);
            return Ok(1);
        };
        self.socket.try_io(Interest::READABLE, || {
            batches.recv((&*self.socket).into(), slices, meta)
        })
    }

    /// Counts media; hands everything else to the stack, and media where it is to be decrypted.
    fn take(&mut self, datagram: &[u8], source: SocketAddr, arrived_at: u64) -> bool {
        if let Some(header) = RtpHeader::read(datagram) {
            let mut tally = self.tally.lock().expect("no holder panics");
            tally.note(header, arrived_at);
            if tally.is_calibrated() && !self.proves {
                return false;
            }
        }
        if let Ok(receive) = Receive::new(Protocol::Udp, source, self.address, datagram) {
            self.input(Input::Receive(Instant::now(), receive));
            // The next datagram wants a stack that has said all it had to say.
            self.drain();
        }
        true
    }

    fn input(&mut self, input: Input<'_>) {
        self.rtc.handle_input(input).expect("the server is sane");
    }

    /// Carries out what the stack wants; when it wants to be woken.
    fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().expect("the server is sane") {
                // The far future is too far for the timer wheel.
                Output::Timeout(at) => return at.min(Instant::now() + Duration::from_secs(60)),
                Output::Transmit(transmit) => {
                    // A full socket buffer is a lost packet, as on any network.
                    let _lost = self
                        .socket
                        .try_send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    let mut tally = self.tally.lock().expect("no holder panics");
                    let position = position_of(&packet.payload);
                    tally.prove(packet.header.sequence_number, position);
                }
                Output::Event(_) => {}
            }
        }
    }
}

thread_local! {
    /// Buffers of one read; they belong to the thread, so that hundreds of viewers share them.
    static SCRATCH: RefCell<(Vec<u8>, [RecvMeta; BATCH_SIZE])> =
        RefCell::new((vec![0; BUFFER * BATCH_SIZE], [RecvMeta::default(); BATCH_SIZE]));
}

/// Whatever the kernel hands over at once: 64 segments, or the largest datagram.
const BUFFER: usize = 64 * 1024;

const POLL: Duration = Duration::from_millis(5);

/// Nothing is under way any more when so often nothing new has come.
const SILENT_POLLS: usize = 100;

const PATIENCE: Duration = Duration::from_secs(20);
