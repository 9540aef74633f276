//! A forwarder on str0m: one thread, one socket, packets as they are (its RTP mode). The loop is that of its
//! example `chat.rs`, but peers are driven only when there is something to do for them.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{Direction, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcError};

use super::{Failure, Forwarder, Role};

/// Handle of the thread that does it.
pub(super) struct Str0mForwarder {
    address: SocketAddr,
    joining: SyncSender<Peer>,
}

impl Str0mForwarder {
    pub(super) fn start() -> Result<Self, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // As large as our own endpoint asks for.
        let buffers = socket2::SockRef::from(&socket);
        buffers.set_recv_buffer_size(BUFFER_BYTES)?;
        buffers.set_send_buffer_size(BUFFER_BYTES)?;
        let address = socket.local_addr()?;
        let (joining, joined) = mpsc::sync_channel(1);
        thread::spawn(move || {
            Loop {
                socket,
                address,
                peers: Vec::new(),
            }
            .run(&joined)
            .expect("the socket works");
        });
        Ok(Self { address, joining })
    }
}

impl Forwarder for Str0mForwarder {
    fn join(&mut self, _role: Role, offer: &str) -> Result<String, Failure> {
        let now = Instant::now();
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(self.address, "udp")?);
        let answer = rtc
            .sdp_api()
            .accept_offer(SdpOffer::from_sdp_string(offer)?)?;
        let peer = Peer {
            rtc,
            timeout: now,
            outgoing: None,
        };
        self.joining.send(peer)?;
        Ok(answer.to_sdp_string())
    }
}

struct Peer {
    rtc: Rtc,
    /// When its stack wants to hear of the time.
    timeout: Instant,
    /// What is sent to it, if it is a viewer.
    outgoing: Option<Mid>,
}

struct Loop {
    socket: UdpSocket,
    address: SocketAddr,
    peers: Vec<Peer>,
}

impl Loop {
    fn run(mut self, joined: &Receiver<Peer>) -> io::Result<()> {
        let mut buffer = vec![0; 2000];
        let mut arrived = Vec::new();
        loop {
            self.peers.extend(joined.try_recv());
            self.peers.retain(|peer| peer.rtc.is_alive());
            let now = Instant::now();
            for peer in self.peers.iter_mut().filter(|peer| peer.timeout <= now) {
                peer.drive(Input::Timeout(now), &self.socket, &mut arrived);
            }
            let timeouts = self.peers.iter().map(|peer| peer.timeout);
            let timeout = timeouts.min().unwrap_or(now + IDLE).min(now + IDLE);
            // No time at all would mean to wait for ever.
            let wait = timeout
                .saturating_duration_since(now)
                .max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait))?;
            self.read(&mut buffer, &mut arrived)?;
            for packet in arrived.drain(..) {
                self.forward(&packet);
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8], arrived: &mut Vec<RtpPacket>) -> io::Result<()> {
        let (length, source) = match self.socket.recv_from(buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let datagram = &buffer[..length];
        let Ok(receive) = Receive::new(Protocol::Udp, source, self.address, datagram) else {
            return Ok(());
        };
        let input = Input::Receive(Instant::now(), receive);
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.rtc.accepts(&input)) {
            peer.drive(input, &self.socket, arrived);
        }
        Ok(())
    }

    fn forward(&mut self, packet: &RtpPacket) {
        let now = Instant::now();
        for peer in &mut self.peers {
            let Some(mid) = peer.outgoing else {
                continue;
            };
            let mut direct = peer.rtc.direct_api();
            if let Some(stream) = direct.stream_tx_by_mid(mid, None) {
                let header = &packet.header;
                stream.write_rtp(
                    RtpWrite::new(
                        header.payload_type,
                        packet.seq_no,
                        header.timestamp,
                        now,
                        Arc::clone(&packet.payload),
                    )
                    .marker(header.marker),
                );
                // A viewer sends nothing that would have to be forwarded.
                peer.drive(Input::Timeout(now), &self.socket, &mut Vec::new());
            }
        }
    }
}

impl Peer {
    /// Takes one input and carries out what comes of it. A stack that gave up is dropped with the next turn.
    fn drive(&mut self, input: Input<'_>, socket: &UdpSocket, arrived: &mut Vec<RtpPacket>) {
        let outcome = self
            .rtc
            .handle_input(input)
            .and_then(|()| self.poll(socket, arrived));
        if outcome.is_err() {
            self.rtc.disconnect();
        }
    }

    fn poll(&mut self, socket: &UdpSocket, arrived: &mut Vec<RtpPacket>) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(timeout) => {
                    self.timeout = timeout;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // What the network does not take is lost, as everywhere on its way.
                    let _lost = socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => arrived.push(packet),
                Output::Event(Event::MediaAdded(media)) => {
                    if media.direction == Direction::SendOnly {
                        self.outgoing = Some(media.mid);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}

const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// New peers wait no longer than this.
const IDLE: Duration = Duration::from_millis(100);
