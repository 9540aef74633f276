//! One server with its clients, and what is measured of it.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::Failure;
use super::child::Server;
use super::clients::{
    Clients, FRAME, Histogram, KeyframeRequests, Pace, Publisher, SentTimes, Shape, Viewers,
};
use super::cores::Cores;
use super::kernel::dropped_at;
use super::protocol::Usage;
use super::servers::ServerKind;

/// A running server, a publisher and viewers.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) kind: ServerKind,
    pub(crate) server: Server,
    pub(crate) publisher: Publisher,
    pub(crate) keyframe_requests: KeyframeRequests,
    pub(crate) viewers: Viewers,
    pub(crate) fanout: usize,
    /// What the server used before anybody had joined.
    pub(crate) idle: Usage,
}

/// What is the same for many sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) cores: Cores,
    /// Threads of the server's runtime.
    pub(crate) workers: NonZeroUsize,
    pub(crate) clients: Clients,
}

/// What happened to the packets of one measured window.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Packets that the publisher sent.
    pub(crate) published: u64,
    /// How long the publisher stood still.
    pub(crate) behind: Duration,
    /// How long it took, from the first that was sent to the last that came.
    pub(crate) elapsed: Duration,
    /// Packets that the viewers got, each counted once.
    pub(crate) forwarded: u64,
    /// Packets that they should have got and did not.
    pub(crate) lost: u64,
    /// CPU of the server.
    pub(crate) cpu: Duration,
    /// CPU of the driver, clients and all.
    pub(crate) driver_cpu: Duration,
    pub(crate) latency: Histogram,
    /// Datagrams that the kernel dropped before the server read them, and before the clients did.
    pub(crate) unread: Unread,
    /// When it began and when it ended.
    pub(crate) usage: [Usage; 2],
}

/// A window that is being measured.
#[derive(Debug)]
pub(crate) struct Opened {
    packets: Range<u64>,
    unread: Unread,
    before: Usage,
    driver: ProcessTime,
    started: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unread {
    pub(crate) server: u64,
    pub(crate) clients: u64,
}

impl Session {
    pub(crate) async fn start(
        kind: ServerKind,
        fanout: usize,
        surroundings: Surroundings,
    ) -> Result<Self, Failure> {
        let Surroundings {
            cores,
            workers,
            clients,
        } = surroundings;
        let mut server = Server::start(kind, workers, cores).await?;
        let idle = server.usage().await?;
        let sent = SentTimes::new();
        let (mut publisher, keyframe_requests) =
            Publisher::connect(&mut server, sent.clone()).await?;
        // Some servers know of a track only when there is media.
        publisher.send(FRAME, TRICKLE).await?;
        let mut viewers = Viewers::default();
        viewers.connect(&mut server, fanout, &sent, clients).await?;
        let mut session = Self {
            kind,
            server,
            publisher,
            keyframe_requests,
            viewers,
            fanout,
            idle,
        };
        session.calibrate().await?;
        Ok(session)
    }

    /// Sends until every viewer has got something.
    async fn calibrate(&mut self) -> Result<(), Failure> {
        let calibrated = self.viewers.calibrated();
        let mut calibrated = std::pin::pin!(calibrated);
        loop {
            tokio::select! {
                outcome = &mut calibrated => return outcome,
                sent = self.publisher.send(FRAME, TRICKLE) => sent?,
            };
        }
    }

    /// Publishes for so long and measures.
    pub(crate) async fn window(&mut self, pace: Pace, time: Duration) -> Result<Window, Failure> {
        let packets = pace.packets_in(time);
        let opened = self.open(packets).await?;
        let behind = self.publisher.send(packets, pace).await?;
        self.close(opened, behind).await
    }

    /// Begins to measure, in silence, so that nothing is counted in part. The next `packets` count.
    pub(crate) async fn open(&mut self, packets: u64) -> Result<Opened, Failure> {
        let packets = self.publisher.upcoming(packets);
        self.viewers.open(packets.clone());
        Ok(Opened {
            packets,
            unread: self.unread(),
            before: self.server.usage().await?,
            driver: ProcessTime::try_now()?,
            started: Instant::now(),
        })
    }

    /// Waits until all has arrived, or nothing more does.
    pub(crate) async fn close(
        &mut self,
        opened: Opened,
        behind: Duration,
    ) -> Result<Window, Failure> {
        let published = opened.packets.end - opened.packets.start;
        let elapsed = self.viewers.settle(opened.packets).await - opened.started;
        let after = self.server.usage().await?;
        let driver_cpu = opened.driver.try_elapsed()?;
        let counts = self.viewers.counts();
        if counts.wrong > 0 || counts.proven == 0 {
            return Err(format!("what arrives is not what was sent: {counts:?}").into());
        }
        if counts.duplicated > 0 {
            return Err(format!("packets were sent twice: {counts:?}").into());
        }
        Ok(Window {
            published,
            behind,
            elapsed,
            forwarded: counts.received,
            lost: published * self.fanout as u64 - counts.received,
            cpu: Duration::from_micros(after.cpu_us - opened.before.cpu_us),
            driver_cpu,
            latency: self.viewers.latency(),
            unread: self.unread().since(opened.unread),
            usage: [opened.before, after],
        })
    }

    fn unread(&self) -> Unread {
        let clients = self.viewers.ports();
        let server = self.server.ports();
        Unread {
            server: dropped_at(|port| server.contains(&port)),
            clients: dropped_at(|port| clients.contains(&port)),
        }
    }
}

impl Window {
    /// What forwarding one packet to one viewer cost.
    pub(crate) fn cpu_per_packet_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.forwarded as f64
    }

    /// Whether it was the clients that could do no more.
    pub(crate) fn clients_gave_up(&self) -> bool {
        self.unread.clients > 0 || self.behind > self.elapsed / 10
    }

    /// What was really sent, by an overloaded publisher too.
    pub(crate) fn published_per_second(&self) -> f64 {
        self.published as f64 / self.elapsed.as_secs_f64()
    }

    /// Part of one core.
    pub(crate) fn load(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// The same of the driver, clients and all.
    pub(crate) fn driver_load(&self) -> f64 {
        self.driver_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

impl Unread {
    fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server - earlier.server,
            clients: self.clients - earlier.clients,
        }
    }
}

/// What is sent while nothing is measured.
const TRICKLE: Pace = Pace {
    shape: Shape::Paced,
    packets_per_second: 480,
};
