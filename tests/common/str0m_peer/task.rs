//! The task of a str0m peer: datagrams, commands and time in; datagrams and events out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::rtp::RawPacket;
use str0m::{Event, Input, Output, Rtc, RtcError};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::{IncomingRtp, Str0mEvent};

/// Something to do with the stack, within its task.
pub(super) type Command = Box<dyn FnOnce(&mut Rtc) + Send>;

pub(super) struct PeerTask {
    pub(super) rtc: Rtc,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) local_addr: SocketAddr,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<Str0mEvent>,
    pub(super) lost_events: Arc<AtomicU64>,
}

impl PeerTask {
    pub(super) async fn run(mut self) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let Some(deadline) = self.drain() else {
                return;
            };
            let socket = Arc::clone(&self.socket);
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => command(&mut self.rtc),
                    None => return,
                },
                received = socket.recv_from(&mut buffer) => {
                    // An ICMP error of an earlier send ends nothing.
                    if let Ok((length, source)) = received
                        && !self.receive(&buffer[..length], source)
                    {
                        return;
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => {
                    let outcome = self.rtc.handle_input(Input::Timeout(Instant::now()));
                    if !self.check(outcome) {
                        return;
                    }
                }
            }
        }
    }

    /// Hands one datagram to the stack; false when the stack gave up.
    fn receive(&mut self, datagram: &[u8], source: SocketAddr) -> bool {
        let Ok(received) = Receive::new(Protocol::Udp, source, self.local_addr, datagram) else {
            return true;
        };
        let outcome = self
            .rtc
            .handle_input(Input::Receive(Instant::now(), received));
        self.check(outcome)
    }

    fn check(&self, outcome: Result<(), RtcError>) -> bool {
        let Err(error) = outcome else {
            return true;
        };
        self.tell(Str0mEvent::Failed(error.to_string()));
        false
    }

    /// Carries out what the stack wants; the time of its next wish, `None` when it is done.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    if !self.rtc.is_alive() {
                        self.tell(Str0mEvent::Closed);
                        return None;
                    }
                    // The far future is too far for the timer wheel.
                    return Some(at.min(Instant::now() + Duration::from_secs(60)));
                }
                Ok(Output::Transmit(transmit)) => {
                    // A full socket buffer is a lost packet, as on any network.
                    let _lost = self
                        .socket
                        .try_send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(event)) => self.translate(event),
                Err(error) => {
                    self.tell(Str0mEvent::Failed(error.to_string()));
                    return None;
                }
            }
        }
    }

    fn translate(&self, event: Event) {
        let event = match event {
            Event::Connected => Str0mEvent::Connected,
            Event::IceConnectionStateChange(state) => Str0mEvent::IceState(state),
            Event::MediaAdded(media) => Str0mEvent::MediaAdded {
                mid: media.mid,
                kind: media.kind,
                direction: media.direction,
            },
            Event::KeyframeRequest(request) => Str0mEvent::KeyframeRequest {
                mid: request.mid,
                kind: request.kind,
            },
            Event::RtpPacket(packet) => Str0mEvent::Rtp(Box::new(IncomingRtp {
                ssrc: *packet.header.ssrc,
                payload_type: *packet.header.payload_type,
                sequence_number: packet.header.sequence_number,
                timestamp: packet.header.timestamp,
                marker: packet.header.marker,
                payload: packet.payload.to_vec(),
                extensions: packet.header.ext_vals,
            })),
            Event::RawPacket(packet) => match *packet {
                RawPacket::RtcpRx(rtcp) => Str0mEvent::Rtcp(Box::new(rtcp)),
                _ => return,
            },
            Event::MediaEgressStats(stats) => Str0mEvent::Sent(Box::new(stats)),
            Event::MediaIngressStats(stats) => Str0mEvent::Received(Box::new(stats)),
            Event::Closed => Str0mEvent::Closed,
            _ => return,
        };
        self.tell(event);
    }

    fn tell(&self, event: Str0mEvent) {
        if self.events.try_send(event).is_err() {
            self.lost_events.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Larger than any datagram either side sends.
const MAX_DATAGRAM: usize = 2_048;
