//! A remote side that has the keys and says what it likes: the media path of one peer, both halves.
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::machine::{Effect, MachineArguments, RtpTransportMachine, RtpTransportTimer};
use crate::codec::RtcpFeedback;
use crate::egress::{Outbox, Outgoing, SendingCommand, SendingCounters, SendingEvent, SendingHalf};
use crate::fixtures::{
    NUMBER, OUR_RTX_SSRC, OUR_SSRC, RTX, Session, THEIR_SSRC, VIDEO, datagrams, keys, made,
};
use crate::fuzzing::Input;
use crate::lane::LaneDrops;
use crate::limits::PeerLimits;
use crate::peer_connection::Event;
use crate::rtp::{CreditLimit, HeaderExtension, Load, RtcpPacket, RtpPacket, Ssrc};
use crate::srtp::{Protector, Unprotector};

/// The first byte says what was negotiated; then media and reports of the remote side, sealed as they should be or forged, packets
/// of ours, and time.
///
/// What the owner is told was sent to it, and is no more than came; what is forged changes nothing; what leaves can be
/// opened and read, is no more than what the application sends allows, and nothing is due again at once.
pub(crate) fn media(data: &[u8]) {
    let mut input = Input::new(data);
    let mut game = Game::new(input.byte());
    while input.has_move(MOST_MOVES) {
        game.play(&mut input);
    }
    game.pass(Duration::from_secs(3));
    game.check();
}

struct Game {
    session: Session,
    machine: RtpTransportMachine,
    sending: SendingHalf,
    theirs: (Protector, Unprotector),
    outbox: Outbox,
    effects: Vec<Effect>,
    timers: HashMap<RtpTransportTimer, Instant>,
    now: Instant,
    began: Instant,
    /// The newest numbers: of the remote media, of its repairs, and of ours.
    heads: [u16; 3],
    /// All payloads that may be told, as they are and as repairs of others.
    payloads: HashSet<Vec<u8>>,
    /// Packets of ours, as they left.
    opened: HashSet<Vec<u8>>,
    received: usize,
    offered: usize,
    told: usize,
    sent: usize,
}

impl Game {
    fn new(choice: u8) -> Self {
        let session = session(choice);
        let keys = keys();
        let limit = Load {
            packets: 1000,
            bytes: 1 << 22,
        };
        let mut machine = RtpTransportMachine::new(MachineArguments {
            credit: CreditLimit::new(limit, || {}),
            waiting: limit,
            batch_packets: 256,
            audio_levels: Some(Duration::from_millis(200)),
            ssrcs: 256,
            seed: 7,
        });
        let counters = Arc::new(SendingCounters::default());
        let mut sending = SendingHalf::new(counters, &PeerLimits::default());
        let mut outbox = Outbox::default();
        machine
            .install_key(keys.profile, &keys.remote)
            .expect("keys fit");
        sending
            .install_key(keys.profile, &keys.local)
            .expect("keys fit");
        machine.apply(&session.plan);
        sending.apply(&session.plan, &mut outbox);
        let protector = Protector::new(keys.profile, &keys.remote).expect("keys fit");
        let unprotector = Unprotector::new(keys.profile, &keys.local).expect("keys fit");
        let now = Instant::now();
        Self {
            session,
            machine,
            sending,
            theirs: (protector, unprotector),
            outbox,
            effects: Vec::new(),
            timers: HashMap::new(),
            now,
            began: now,
            heads: [0; 3],
            payloads: HashSet::new(),
            opened: HashSet::new(),
            received: 0,
            offered: 0,
            told: 0,
            sent: 0,
        }
    }

    fn play(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 => self.receive_rtp(input.long_block()),
            1..=3 => {
                let packet = self.packet(input);
                self.receive_rtp(&packet);
            }
            4 => self.receive_rtcp(input.block()),
            5 | 6 => {
                let report = self.report(input);
                self.receive_rtcp(&report);
            }
            7 => self.forge(input.block()),
            8 | 9 => self.send(input.byte()),
            10 => self.pass(Duration::from_micros(u64::from(input.number()))),
            _ => self.pass(Duration::from_millis(u64::from(input.byte()) << 2)),
        }
        self.settle();
    }

    /// A packet as it is before it is sealed.
    fn receive_rtp(&mut self, packet: &[u8]) {
        let mut sealed = packet.to_vec();
        if self.theirs.0.protect_rtp(&mut sealed, 0).is_err() {
            return;
        }
        if let Ok(read) = RtpPacket::parse(Bytes::copy_from_slice(packet)) {
            let payload = read.payload();
            self.payloads.insert(payload.to_vec());
            self.payloads.extend(payload.get(2..).map(<[u8]>::to_vec));
        }
        self.receive(&sealed);
    }

    fn receive_rtcp(&mut self, packets: &[u8]) {
        let mut sealed = packets.to_vec();
        if self.theirs.0.protect_rtcp(&mut sealed, 0).is_ok() {
            self.receive(&sealed);
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        self.received += datagram.len();
        let brought = datagrams(self.now, vec![BytesMut::from(datagram)]);
        self.machine.handle_datagrams(brought);
        self.machine
            .finish_inbound(LaneDrops::default(), self.now, &mut self.effects);
    }

    /// Bytes of somebody without keys.
    fn forge(&mut self, datagram: &[u8]) {
        let before = self.machine.stats();
        self.receive(datagram);
        let after = self.machine.stats();
        assert_eq!(after.unprotect_failed, before.unprotect_failed + 1);
        assert_eq!(after.rtp_received, before.rtp_received);
        assert_eq!(after.rtcp_received, before.rtcp_received);
    }

    /// Media or a repair of some stream, with header extensions.
    fn packet(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let (choice, ahead) = (input.byte(), input.byte());
        let repair = choice & 1;
        let (number, head) = match repair {
            0 => (VIDEO, &mut self.heads[0]),
            _ => (RTX, &mut self.heads[1]),
        };
        let step = match ahead {
            0..=0x7f => 1,
            0x80..=0xbf => u16::from(ahead - 0x80),
            0xc0..=0xfe => 0_u16.wrapping_sub(u16::from(ahead - 0xc0)),
            0xff => input.number(),
        };
        *head = head.wrapping_add(step);
        let ssrc = THEIR_SSRC.0 + u32::from(choice >> 1 & 3) + (u32::from(repair) << 8);
        let mut packet = vec![0x90, number | choice & 0x80];
        packet.extend(head.to_be_bytes());
        packet.extend((u32::from(*head) * 3000).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        let elements = elements(choice, input);
        packet.extend([0xbe, 0xde, 0, (elements.len() / 4) as u8]);
        packet.extend(elements);
        if repair == 1 {
            let original = self.heads[0].wrapping_sub(u16::from(input.byte()));
            packet.extend(original.to_be_bytes());
        }
        packet.extend(input.block());
        packet
    }

    /// One of the reports and requests that are read, with contents of the fuzzer's choice.
    fn report(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let (kind, ssrc) = (input.byte(), self.their_choice(input.byte()));
        let (packet_type, count) = [
            (200, 1),
            (201, 1),
            (202, 1),
            (203, 1),
            (205, 1),
            (205, 15),
            (206, 1),
            (206, 4),
            (206, 15),
            (207, 0),
        ][usize::from(kind) % 10];
        let mut body = ssrc.0.to_be_bytes().to_vec();
        let numbers = [OUR_SSRC.0, OUR_RTX_SSRC.0, THEIR_SSRC.0, 0];
        body.extend(numbers[usize::from(input.byte() % 4)].to_be_bytes());
        let recent = self.heads[2].wrapping_sub(u16::from(input.byte()));
        if input.byte() & 1 == 0 {
            body.extend(recent.to_be_bytes());
        }
        body.extend(input.block());
        body.resize(body.len().next_multiple_of(4), 0);
        let mut packet = vec![0x80 | count, packet_type];
        packet.extend(((body.len() / 4) as u16).to_be_bytes());
        packet.extend(body);
        packet
    }

    fn their_choice(&self, byte: u8) -> Ssrc {
        Ssrc(THEIR_SSRC.0 + u32::from(byte & 3))
    }

    /// The application sends so many packets.
    fn send(&mut self, count: u8) {
        for _ in 0..count % 32 {
            self.heads[2] = self.heads[2].wrapping_add(1);
            let packet = made(self.heads[2]);
            self.offered += packet.payload().len() + PACKET_OVERHEAD;
            let outgoing = Outgoing {
                track: self.session.local.into(),
                batch: packet.into(),
            };
            let mut events = Vec::new();
            self.sending
                .send_by_hand(&outgoing, self.now, &mut self.outbox, &mut events);
            self.hear(events);
        }
    }

    /// Time passes, and what becomes due meanwhile is done.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..MOST_TURNS {
            self.settle();
            let timer = self.timers.iter().min_by_key(|(_, at)| **at);
            let timer = timer.map(|(timer, at)| (*at, Some(*timer)));
            let pace = self.sending.wakes_at().map(|at| (at, None));
            let due = [timer, pace].into_iter().flatten().min_by_key(|it| it.0);
            let Some((at, timer)) = due.filter(|(at, _)| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            self.wake(timer);
        }
        panic!("due again and again within {time:?}");
    }

    fn wake(&mut self, timer: Option<RtpTransportTimer>) {
        let Some(timer) = timer else {
            let mut events = Vec::new();
            self.sending.pace(self.now, &mut self.outbox, &mut events);
            self.hear(events);
            return;
        };
        self.timers.remove(&timer);
        let ntp = 1 << 40 | (self.now - self.began).as_millis() as u64;
        self.machine
            .handle_timer(timer, self.now, ntp, &mut self.effects);
    }

    /// Does what the machine wants, until all is quiet.
    fn settle(&mut self) {
        while !self.effects.is_empty() {
            for effect in mem::take(&mut self.effects) {
                match effect {
                    Effect::Arm(timer, at) => {
                        self.timers.insert(timer, at);
                    }
                    Effect::Tell(event) => self.tell(&event),
                    Effect::Send(command) => self.command(command),
                    Effect::NoteSilentSource(_) => {}
                }
            }
        }
        self.read_sent();
    }

    fn tell(&mut self, event: &Event) {
        if let Event::Rtp {
            track_id, packets, ..
        } = event
        {
            assert_eq!(*track_id, self.session.remote);
            for packet in packets.iter() {
                self.told += packet.payload().len();
                assert!(self.payloads.contains(packet.payload()), "never sent");
            }
        }
    }

    fn command(&mut self, command: SendingCommand) {
        let mut events = Vec::new();
        let (half, outbox) = (&mut self.sending, &mut self.outbox);
        match command {
            SendingCommand::Rtcp { packets, encoded } => half.send_rtcp(&packets, &encoded, outbox),
            SendingCommand::Retransmit(request) => half.retransmit(&request, self.now, outbox),
            SendingCommand::Report(request) => half.send_reports(request, outbox, &mut events),
            SendingCommand::Arrivals(report) => {
                half.handle_arrivals(&report, self.now, &mut events);
            }
            SendingCommand::RequestKeyframe(track) => assert_eq!(track, self.session.local.into()),
            other => panic!("the machine does not say {other:?}"),
        }
        self.hear(events);
    }

    fn hear(&mut self, events: Vec<SendingEvent>) {
        for event in events {
            if let SendingEvent::ActivityChanged { active } = event {
                self.machine
                    .handle_activity(active, self.now, &mut self.effects);
            }
        }
    }

    /// The remote side opens and reads whatever leaves.
    fn read_sent(&mut self) {
        let outbox = mem::take(&mut self.outbox);
        for (bytes, segment, _) in outbox.runs() {
            for datagram in bytes.chunks(segment.unwrap_or(bytes.len())) {
                self.sent += datagram.len();
                assert!(datagram.len() <= LONGEST, "{}", datagram.len());
                self.open(datagram);
            }
        }
    }

    fn open(&mut self, datagram: &[u8]) {
        let unprotector = &mut self.theirs.1;
        let mut opened = BytesMut::from(datagram);
        if (192..=223).contains(&datagram[1]) {
            let outcome = unprotector.unprotect_rtcp(&mut opened);
            outcome.expect("sealed with our key");
            RtcpPacket::parse_compound(&opened.freeze()).expect("sound reports");
            return;
        }
        // Without a stream for repairs a packet goes again byte for byte; anything else would give the key away.
        if !self.opened.insert(datagram.to_vec()) {
            return;
        }
        let outcome = unprotector.unprotect_rtp(&mut opened);
        outcome.expect("sealed with our key, and under a number of its own");
        let packet = RtpPacket::parse(opened.freeze()).expect("sound packets");
        assert!([OUR_SSRC, OUR_RTX_SSRC].contains(&packet.ssrc()));
    }

    fn check(&self) {
        let seconds = (self.now - self.began).as_secs() as usize + 1;
        let allowed = 3 * self.offered + 2 * self.received + AT_ONCE + seconds * EACH_SECOND;
        assert!(self.sent <= allowed, "{} of {allowed}", self.sent);
        assert!(self.told <= self.received);
    }
}

/// Elements in one-byte form: where the packet belongs, which number it has, and what the fuzzer likes.
fn elements(choice: u8, input: &mut Input<'_>) -> Vec<u8> {
    let mut block = vec![4 << 4, b'v'];
    if choice & 0x08 != 0 {
        let rid = [b'h', b'l', b'x', 0][usize::from(choice >> 4 & 3)];
        block.extend([(10 + (choice & 1)) << 4, rid]);
    }
    if choice & 0x40 != 0 {
        let number = input.number().to_be_bytes();
        block.extend([NUMBER << 4 | 1, number[0], number[1]]);
        block.extend(input.block());
    }
    block.truncate(1000);
    block.resize(block.len().next_multiple_of(4), 0);
    block
}

/// One video m-line: with or without a stream for repairs, one encoding or two.
fn session(choice: u8) -> Session {
    let mut session = Session::repairable(choice & 1 == 0);
    let receive = session.receive();
    if choice & 2 != 0 {
        receive.rids = vec!["h".into(), "l".into()];
    }
    receive.extensions.entries.extend([
        (NUMBER, HeaderExtension::TransportWideCc),
        (6, HeaderExtension::AudioLevel),
        (11, HeaderExtension::RepairedRid),
        (12, HeaderExtension::DependencyDescriptor),
    ]);
    for codec in &mut receive.codecs {
        let codec = Arc::make_mut(&mut codec.codec);
        codec.feedback = vec![
            RtcpFeedback::Nack,
            RtcpFeedback::Pli,
            RtcpFeedback::TransportCc,
        ];
    }
    let section = &mut session.plan.sections[0];
    section.receiver_round_trip = choice & 4 != 0;
    section.reduced_size_rtcp = choice & 8 != 0;
    session
}

/// Header, extension, tag.
const PACKET_OVERHEAD: usize = 60;

/// No path carries more.
const LONGEST: usize = 1500;

/// What may be repeated before much was sent, and one probe.
const AT_ONCE: usize = 1 << 19;

/// Reports, requests for what is missing, and probes.
const EACH_SECOND: usize = 1 << 17;

/// Of the time that one move takes.
const MOST_TURNS: usize = 20_000;

const MOST_MOVES: usize = 300;
