//! What a peer holds, and what a packet allocates.

use super::{Bench, Failure, Session, Shape, WARM_UP};
use crate::harness::protocol::{Heap, Usage};

pub(super) async fn every(bench: &Bench) -> Result<(), Failure> {
    println!("\n| server | viewers | heap per peer, KiB | allocations per forwarded packet |");
    println!("| --- | ---: | ---: | --- |");
    for fanout in &bench.arguments.fanouts {
        for kind in &bench.arguments.servers {
            let mut session = bench.session(*kind, *fanout).await?;
            let mut allocations = Vec::new();
            for shape in &bench.arguments.shapes {
                let count = allocations_per_packet(bench, &mut session, *shape).await?;
                allocations.push(format!("{shape} {count:.2}"));
            }
            let held = heap(session.server.usage().await?)?.bytes - heap(session.idle)?.bytes;
            println!(
                "| {kind} | {fanout} | {:.0} | {} |",
                held as f64 / (*fanout as f64 + 1.0) / 1024.0,
                allocations.join(", "),
            );
        }
    }
    Ok(())
}

async fn allocations_per_packet(
    bench: &Bench,
    session: &mut Session,
    shape: Shape,
) -> Result<f64, Failure> {
    let pace = bench.arguments.pace(shape);
    session.window(pace, WARM_UP).await?;
    let window = session.window(pace, bench.arguments.window).await?;
    let [before, after] = window.usage;
    let allocations = heap(after)?.allocations - heap(before)?.allocations;
    Ok(allocations as f64 / window.forwarded as f64)
}

fn heap(usage: Usage) -> Result<Heap, Failure> {
    Ok(usage.heap.ok_or("the allocator does not count")?)
}
