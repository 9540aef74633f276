//! A forwarder on str0m, to compare with: what one page sends goes to the other, and requests for keyframes go back.
//! Repair is str0m's, as it comes.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::link::SERVER;

/// Handle of the thread that does it, which ends with this.
pub(crate) struct Str0mServer {
    address: SocketAddr,
    joining: SyncSender<Peer>,
}

struct Peer {
    rtc: Rtc,
    timeout: Instant,
    mid: Option<Mid>,
}

/// What one peer has for the other.
enum News {
    Packet(Box<RtpPacket>),
    KeyframeWanted(KeyframeRequestKind),
}

impl Str0mServer {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((SERVER, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let (joining, joined) = mpsc::sync_channel(2);
        thread::spawn(move || serve(&socket, address, &joined));
        Self { address, joining }
    }

    /// The first page is the camera, the second looks on.
    pub(crate) fn answer(&self, offer: &str) -> String {
        let now = Instant::now();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
        let candidate = Candidate::host(self.address, "udp").unwrap();
        rtc.add_local_candidate(candidate).unwrap();
        let offer = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = rtc.sdp_api().accept_offer(offer).unwrap();
        let peer = Peer {
            rtc,
            timeout: now,
            mid: None,
        };
        self.joining.send(peer).unwrap();
        answer.to_sdp_string()
    }
}

fn serve(socket: &UdpSocket, address: SocketAddr, joined: &Receiver<Peer>) {
    let mut peers: Vec<Peer> = Vec::new();
    let mut buffer = vec![0; 2000];
    loop {
        match joined.try_recv() {
            Ok(peer) => peers.push(peer),
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return,
        }
        let mut news = VecDeque::new();
        let mut now = Instant::now();
        for (index, peer) in peers.iter_mut().enumerate() {
            if peer.timeout <= now {
                peer.drive(index, Input::Timeout(now), socket, &mut news);
            }
        }
        let timeout = peers.iter().map(|peer| peer.timeout).min();
        let wait = timeout.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now));
        // No time at all would mean to wait for ever.
        let wait = wait.clamp(Duration::from_millis(1), LONGEST_WAIT);
        socket.set_read_timeout(Some(wait)).unwrap();
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && let Ok(receive) = Receive::new(Protocol::Udp, from, address, &buffer[..length])
        {
            now = Instant::now();
            let input = Input::Receive(now, receive);
            let mut known = peers.iter_mut().enumerate();
            if let Some((index, peer)) = known.find(|(_, peer)| peer.rtc.accepts(&input)) {
                peer.drive(index, input, socket, &mut news);
            }
        }
        while let Some((from, one)) = news.pop_front() {
            if let Some(other) = peers.get_mut(1 - from) {
                other.take(1 - from, one, socket, &mut news);
            }
        }
    }
}

impl Peer {
    fn drive(
        &mut self,
        index: usize,
        input: Input<'_>,
        socket: &UdpSocket,
        news: &mut VecDeque<(usize, News)>,
    ) {
        self.rtc.handle_input(input).unwrap();
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(timeout) => {
                    self.timeout = timeout;
                    return;
                }
                Output::Transmit(transmit) => {
                    // What the network does not take is lost, as everywhere on its way.
                    let _lost = socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::MediaAdded(media)) => self.mid = Some(media.mid),
                Output::Event(Event::RtpPacket(packet)) if index == CAMERA => {
                    news.push_back((index, News::Packet(Box::new(packet))));
                }
                Output::Event(Event::KeyframeRequest(request)) => {
                    news.push_back((index, News::KeyframeWanted(request.kind)));
                }
                Output::Event(_) => {}
            }
        }
    }

    fn take(
        &mut self,
        index: usize,
        one: News,
        socket: &UdpSocket,
        news: &mut VecDeque<(usize, News)>,
    ) {
        let Some(mid) = self.mid else { return };
        let now = Instant::now();
        let mut direct = self.rtc.direct_api();
        match one {
            News::Packet(packet) => {
                let Some(stream) = direct.stream_tx_by_mid(mid, None) else {
                    return;
                };
                let header = &packet.header;
                let payload = packet.payload.clone();
                let write = RtpWrite::new(
                    header.payload_type,
                    packet.seq_no,
                    header.timestamp,
                    now,
                    payload,
                );
                stream.write_rtp(write.marker(header.marker).nackable(true));
            }
            News::KeyframeWanted(kind) => {
                if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
                    stream.request_keyframe(kind);
                }
            }
        }
        self.drive(index, Input::Timeout(now), socket, news);
    }
}

/// Who comes first; only its picture is forwarded.
const CAMERA: usize = 0;

const LONGEST_WAIT: Duration = Duration::from_millis(20);
