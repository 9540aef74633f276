//! Every server with every number of viewers and every shape of stream.

use super::{Bench, Failure, Row, measure_row, print_rows};

pub(super) async fn every(bench: &Bench) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for fanout in &bench.arguments.fanouts {
        for kind in &bench.arguments.servers {
            let mut session = bench.session(*kind, *fanout).await?;
            for shape in &bench.arguments.shapes {
                let pace = bench.arguments.pace(*shape);
                rows.push(measure_row(bench, &mut session, pace).await?);
            }
        }
    }
    print_rows(&rows);
    print_growth(bench, &rows);
    Ok(())
}

/// What a packet costs with the most viewers, by what it costs with the fewest.
fn print_growth(bench: &Bench, rows: &[Row]) {
    let (Some(fewest), Some(most)) = (
        bench.arguments.fanouts.iter().min(),
        bench.arguments.fanouts.iter().max(),
    ) else {
        return;
    };
    if fewest == most {
        return;
    }
    println!("\nCPU per forwarded packet at {most} viewers by that at {fewest}:\n");
    for kind in &bench.arguments.servers {
        let growths: Vec<_> = (bench.arguments.shapes.iter())
            .filter_map(|shape| {
                let cost = |fanout: usize| {
                    let mut of_server = rows.iter().filter(|row| row.server == *kind);
                    let row =
                        of_server.find(|row| row.fanout == fanout && row.pace.shape == *shape)?;
                    Some(row.cpu_per_packet_us().median)
                };
                Some(format!("{shape} {:.2}", cost(*most)? / cost(*fewest)?))
            })
            .collect();
        println!("- {kind}: {}", growths.join(", "));
    }
}
