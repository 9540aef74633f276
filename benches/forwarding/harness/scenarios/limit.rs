//! How much a server carries: half of it, and all of it.

use super::{Bench, Failure, Row, ServerKind, at_load, print_rows};

/// At such a rate that the server is busy for a good part of the time, and has time to spare.
pub(super) async fn half_load(bench: &Bench) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for kind in &bench.arguments.servers {
        for shape in &bench.arguments.shapes {
            let mut session = bench.session(*kind, bench.arguments.load_fanout).await?;
            let pace = at_load(&mut session, bench.arguments.pace(*shape), HALF).await?;
            let window = session.window(pace, bench.arguments.window).await?;
            rows.push(session.row(pace, vec![window]).await?);
        }
    }
    print_rows(&rows);
    Ok(())
}

/// Higher and higher rates until packets are lost: the last rate without loss, and the first with.
pub(super) async fn ramp(bench: &Bench) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for kind in &bench.arguments.servers {
        let [clean, lossy] = find_limit(bench, *kind).await?;
        rows.extend(clean);
        rows.extend(lossy);
    }
    print_rows(&rows);
    Ok(())
}

/// The highest rate at which everything arrived, and the next, at which not everything did.
async fn find_limit(bench: &Bench, kind: ServerKind) -> Result<[Option<Row>; 2], Failure> {
    let mut session = bench.session(kind, bench.arguments.load_fanout).await?;
    let mut pace = at_load(&mut session, bench.load_pace(), HALF).await?;
    let mut clean = None;
    loop {
        let window = session.window(pace, bench.arguments.window).await?;
        let (lost, clients_gave_up) = (window.lost, window.clients_gave_up());
        let row = session.row(pace, vec![window]).await?;
        if lost > 0 {
            return Ok([clean, Some(row)]);
        }
        clean = Some(row);
        if clients_gave_up {
            return Ok([clean, None]);
        }
        pace = pace.times(STEP);
    }
}

/// The load that counts as half: with the other half, everything else that a machine does.
const HALF: f64 = 0.4;

/// From one rate to the next.
const STEP: f64 = 1.15;
