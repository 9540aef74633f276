//! The one that sends, on a thread of its own: it keeps time better than a runtime's timers.

use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use str0m::media::Mid;
use str0m::net::{DatagramSend, Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Event, Input, Output, Rtc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::stream::{FRAME, Pace, SentTimes, payload};
use super::{PAYLOAD_TYPE, enlarge_buffers, negotiate};
use crate::harness::Failure;
use crate::harness::child::Server;
use crate::harness::protocol::Role;

/// Handle of the publisher; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Publisher {
    orders: Sender<Order>,
    /// The next packet of the stream.
    next: u64,
}

/// One for each request that arrived.
pub(crate) type KeyframeRequests = UnboundedReceiver<()>;

/// Packets to be sent.
#[derive(Debug)]
struct Order {
    pace: Pace,
    packets: Range<u64>,
    /// Told how long the publisher stood still.
    done: oneshot::Sender<Duration>,
}

impl Publisher {
    /// The other half says when somebody asked for a keyframe. The publisher makes none: every packet is as good as
    /// the next.
    pub(crate) async fn connect(
        server: &mut Server,
        sent: SentTimes,
    ) -> Result<(Self, KeyframeRequests), Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        enlarge_buffers(&socket)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let negotiated = negotiate(server, Role::Publisher, address, false).await?;
        let (orders, ordered) = mpsc::channel();
        let (connected, connects) = oneshot::channel();
        let (requested, requests) = unbounded_channel();
        let thread = PublisherThread {
            socket,
            address,
            rtc: negotiated.rtc,
            mid: negotiated.mid,
            sent,
            batch: Vec::new(),
            requested,
            left_alone_since: Instant::now(),
        };
        thread::spawn(move || thread.run(connected, &ordered));
        connects.await?;
        Ok((Self { orders, next: 0 }, requests))
    }

    /// The positions of the next `packets`.
    pub(crate) fn upcoming(&self, packets: u64) -> Range<u64> {
        self.next..self.next + packets
    }

    /// Sends packets at a pace, all of them; returns how much later than due. Where this process stood still it
    /// goes on from there, at its pace: a flood of what should have been sent meanwhile would be no fault of the
    /// server's.
    pub(crate) async fn send(&mut self, packets: u64, pace: Pace) -> Result<Duration, Failure> {
        let packets = self.upcoming(packets);
        self.next = packets.end;
        let (done, finished) = oneshot::channel();
        self.orders.send(Order {
            pace,
            packets,
            done,
        })?;
        Ok(finished.await?)
    }
}

struct PublisherThread {
    socket: UdpSocket,
    address: SocketAddr,
    rtc: Rtc,
    mid: Mid,
    sent: SentTimes,
    /// What goes out together; media with its position.
    batch: Vec<(Option<u64>, DatagramSend, SocketAddr)>,
    requested: UnboundedSender<()>,
    /// When the stack was last asked what else it has to do.
    left_alone_since: Instant,
}

impl PublisherThread {
    fn run(mut self, connected: oneshot::Sender<()>, orders: &Receiver<Order>) {
        while !self.rtc.is_connected() {
            self.turn();
            thread::sleep(TURN);
        }
        // Nobody waits for it any more when the driver gave up.
        let _gone = connected.send(());
        loop {
            match orders.try_recv() {
                Ok(order) => self.carry_out(order),
                Err(TryRecvError::Empty) => {
                    self.turn();
                    thread::sleep(TURN);
                }
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        let Order {
            pace,
            packets,
            done,
        } = order;
        let mut started = Instant::now();
        let mut behind = Duration::ZERO;
        let mut bursts = packets.clone().step_by(pace.burst() as usize).peekable();
        while let Some(first) = bursts.next() {
            let due = started + pace.due(first - packets.start);
            while let Some(early) = due.checked_duration_since(Instant::now()) {
                self.turn();
                thread::sleep(early.min(TURN));
            }
            let late = due.elapsed();
            if late > STALL {
                started += late;
                behind += late;
            }
            if self.left_alone_since.elapsed() > TURN {
                self.turn();
            }
            let end = bursts.peek().copied().unwrap_or(packets.end);
            self.send(first..end);
        }
        let _gone = done.send(behind);
    }

    /// Protects first and then sends back to back, one system call a packet, as packets of a frame come from afar.
    fn send(&mut self, positions: Range<u64>) {
        for position in positions {
            self.protect(position);
        }
        self.flush();
    }

    fn flush(&mut self) {
        for (position, datagram, destination) in self.batch.drain(..) {
            if let Some(position) = position {
                self.sent.note(position);
            }
            // A full socket buffer is a lost packet, as on any network.
            let _lost = self.socket.send_to(&datagram, destination);
        }
    }

    fn protect(&mut self, position: u64) {
        let now = Instant::now();
        let frame = position / FRAME;
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.mid, None);
        stream.expect("negotiated").write_rtp(
            RtpWrite::new(
                PAYLOAD_TYPE,
                position.into(),
                (frame * 3_000) as u32,
                now,
                payload(position),
            )
            .marker(position % FRAME == FRAME - 1),
        );
        self.input(Input::Timeout(now));
        self.drain(Some(position));
    }

    /// Everything but media: reads what came, lets time pass.
    fn turn(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            let datagram = &buffer[..length];
            if let Ok(receive) = Receive::new(Protocol::Udp, source, self.address, datagram) {
                self.input(Input::Receive(Instant::now(), receive));
                self.drain(None);
            }
        }
        self.input(Input::Timeout(Instant::now()));
        self.drain(None);
        self.flush();
        self.left_alone_since = Instant::now();
    }

    fn input(&mut self, input: Input<'_>) {
        self.rtc.handle_input(input).expect("the server is sane");
    }

    fn drain(&mut self, position: Option<u64>) {
        loop {
            match self.rtc.poll_output().expect("the server is sane") {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => {
                    let destination = transmit.destination;
                    self.batch.push((position, transmit.contents, destination));
                }
                Output::Event(Event::KeyframeRequest(_)) => {
                    // Nobody may care.
                    let _gone = self.requested.send(());
                }
                Output::Event(_) => {}
            }
        }
    }
}

/// The stack is not left alone for longer.
const TURN: Duration = Duration::from_millis(2);

/// Whoever is that late does not catch up.
const STALL: Duration = Duration::from_millis(20);
