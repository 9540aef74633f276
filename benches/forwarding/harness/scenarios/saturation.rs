//! More than a server can carry: what becomes of memory, and of everything that is not media.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::{Bench, CROWD, Failure, Pace, Row, ServerKind, Window, at_load, print_doubts};
use crate::harness::child::Server;
use crate::harness::clients::{KeyframeRequests, Viewers};
use crate::harness::protocol::Usage;

pub(super) async fn every(bench: &Bench) -> Result<(), Failure> {
    let mut rows = Vec::new();
    println!(
        "| server | packets | published/s | forwarded/s | lost, % | % of a core | driver, % | \
         RSS before / highest / after, MiB | `media_stats` ms, worst | keyframe request ms, worst | \
         answer to a new peer ms, worst | lost afterwards |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    for kind in bench.arguments.servers.iter().filter(|kind| kind.is_ours()) {
        rows.push(saturate(bench, *kind).await?);
    }
    println!();
    rows.iter().for_each(print_doubts);
    Ok(())
}

async fn saturate(bench: &Bench, kind: ServerKind) -> Result<Row, Failure> {
    let usual = bench.load_pace();
    let mut session = bench.session(kind, CROWD).await?;
    let part = at_load(&mut session, usual, PART).await?;
    let pace = part.times(EXCESS / PART);
    let packets = pace.packets_in(DURATION);
    let opened = session.open(packets).await?;
    let mut probe = Probe::default();
    let probing = probe.run(
        &mut session.server,
        &session.viewers,
        &mut session.keyframe_requests,
    );
    let (sent, probed) = tokio::join!(session.publisher.send(packets, pace), probing);
    probed?;
    let window = session.close(opened, sent?).await?;
    let afterwards = session.window(usual, bench.arguments.window).await?;
    print_row(kind, pace, &window, &probe, &afterwards);
    session.row(pace, vec![window]).await
}

/// What is asked of a server while it drowns.
#[derive(Debug, Default)]
struct Probe {
    highest_rss: u64,
    control: Duration,
    keyframe: Duration,
    answer: Duration,
}

impl Probe {
    /// Asks again and again for as long as packets are sent.
    async fn run(
        &mut self,
        server: &mut Server,
        viewers: &Viewers,
        keyframe_requests: &mut KeyframeRequests,
    ) -> Result<(), Failure> {
        let ends = Instant::now() + DURATION;
        while Instant::now() + PAUSE < ends {
            sleep(PAUSE).await;
            let Usage { rss_bytes, .. } = server.usage().await?;
            self.highest_rss = self.highest_rss.max(rss_bytes);
            let asked = Instant::now();
            server.control().await?;
            self.control = self.control.max(asked.elapsed());
            let asked = Instant::now();
            viewers.request_keyframe();
            // One that never arrives counts as one that took that long.
            let _never = timeout(PATIENCE, keyframe_requests.recv()).await;
            self.keyframe = self.keyframe.max(asked.elapsed());
            self.answer = self.answer.max(Viewers::try_one(server).await?);
        }
        Ok(())
    }
}

fn print_row(kind: ServerKind, pace: Pace, window: &Window, probe: &Probe, afterwards: &Window) {
    let elapsed = window.elapsed.as_secs_f64();
    let wanted = window.forwarded + window.lost;
    let mebibytes = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "| {kind} | {} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.1} / {:.1} / {:.1} | {:.1} | {:.1} | {:.1} | {} |",
        pace.shape,
        window.published as f64 / elapsed,
        window.forwarded as f64 / elapsed,
        window.lost as f64 * 100.0 / wanted as f64,
        window.load() * 100.0,
        window.driver_load() * 100.0,
        mebibytes(window.usage[0].rss_bytes),
        mebibytes(probe.highest_rss),
        mebibytes(afterwards.usage[1].rss_bytes),
        milliseconds(probe.control),
        milliseconds(probe.keyframe),
        milliseconds(probe.answer),
        afterwards.lost,
    );
}

/// So much more than a whole core, judged by what a part of it carries; a busy one carries up to twice that.
const EXCESS: f64 = 3.0;
const PART: f64 = 0.4;

const DURATION: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);
