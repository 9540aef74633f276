//! Figures, as Markdown.

use str0m::crypto::dtls::SrtpProfile;

use super::clients::Pace;
use super::servers::ServerKind;
use super::session::Window;

/// One row: a server in one scenario, measured several times.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) server: ServerKind,
    pub(crate) fanout: usize,
    pub(crate) srtp: SrtpProfile,
    pub(crate) pace: Pace,
    pub(crate) windows: Vec<Window>,
    pub(crate) rss_per_peer: u64,
}

/// Of several runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    pub(crate) highest: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            lowest: values[0],
            median: values[values.len() / 2],
            highest: values[values.len() - 1],
        }
    }
}

impl Row {
    pub(crate) fn cpu_per_packet_us(&self) -> Spread {
        self.spread(Window::cpu_per_packet_us)
    }

    fn spread(&self, figure: impl Fn(&Window) -> f64) -> Spread {
        Spread::of(self.windows.iter().map(figure).collect())
    }

    fn sum(&self, figure: impl Fn(&Window) -> u64) -> u64 {
        self.windows.iter().map(figure).sum()
    }

    fn latency_ms(&self, part: f64) -> f64 {
        self.spread(|window| window.latency.quantile(part).as_secs_f64() * 1e3)
            .median
    }
}

/// The table of all rows; costs also as multiples of str0m's in the same scenario.
pub(crate) fn print_rows(rows: &[Row]) {
    println!(
        "| server | SRTP | viewers | packets | published/s | CPU µs per forwarded packet (lowest–highest) | × str0m | \
         % of a core | lost | latency p50 / p99 / p99.9, ms | RSS per peer, KiB |"
    );
    println!("| --- | --- | ---: | --- | ---: | --- | ---: | ---: | ---: | --- | ---: |");
    for row in rows {
        print_row(row, rows);
    }
    println!();
    rows.iter().for_each(print_doubts);
}

fn print_row(row: &Row, rows: &[Row]) {
    let yardstick = rows.iter().find(|other| {
        other.server == ServerKind::Str0m
            && other.fanout == row.fanout
            && other.pace.shape == row.pace.shape
    });
    let cpu = row.cpu_per_packet_us();
    let multiple = yardstick.map_or_else(String::new, |yardstick| {
        format!("{:.2}", cpu.median / yardstick.cpu_per_packet_us().median)
    });
    println!(
        "| {} | {} | {} | {} | {:.0} | {:.2} ({:.2}–{:.2}) | {} | {:.1} | {} | {:.2} / {:.2} / {:.2} | {} |",
        row.server,
        row.srtp,
        row.fanout,
        row.pace.shape,
        row.spread(Window::published_per_second).median,
        cpu.median,
        cpu.lowest,
        cpu.highest,
        multiple,
        row.spread(Window::load).median * 100.0,
        row.sum(|window| window.lost),
        row.latency_ms(0.5),
        row.latency_ms(0.99),
        row.latency_ms(0.999),
        row.rss_per_peer / 1024,
    );
}

/// What may have come between the server and its figures.
pub(crate) fn print_doubts(row: &Row) {
    let name = format!("{}, {} viewers, {}", row.server, row.fanout, row.pace.shape);
    let behind = row.sum(|window| window.behind.as_millis() as u64);
    if behind > 0 {
        println!("- {name}: the publisher stood still for {behind} ms");
    }
    let unread = row.sum(|window| window.unread.clients);
    if unread > 0 {
        println!("- {name}: the clients left {unread} packets unread, which count as lost");
    }
    let unread = row.sum(|window| window.unread.server);
    if unread > 0 {
        println!("- {name}: the server left {unread} datagrams unread");
    }
}
