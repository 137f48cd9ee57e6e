//! The results for people, and for programs.

use serde_json::{Value, json};

use crate::rounds::{Case, Cost};

pub fn print(results: &[(Case, Vec<Cost>)]) {
    println!(
        "| runs at once | deltas | events a write | client | CPU a delta, µs (user + system) | × floor | CPU a run, µs | deltas/s | bytes a delta | peak memory, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (case, costs) in results {
        for cost in costs {
            let a_delta = |seconds: f64| seconds * 1e6 / case.all_deltas();
            println!(
                "| {} | {} | {} | {} | {:.2} ({:.2} + {:.2}) | {:.2} | {:.0} | {:.0} | {} | {:.1} |",
                case.at_once,
                case.deltas,
                case.events_a_write,
                cost.client,
                a_delta(cost.cpu),
                a_delta(cost.user),
                a_delta(cost.system),
                cost.times_floor,
                cost.cpu * 1e6 / case.streams(),
                case.all_deltas() / cost.seconds,
                case.bytes_a_delta(),
                cost.peak_kb / 1024.0
            );
        }
    }
    besides(results);
}

/// What a run costs besides its deltas: where the line through the shortest and a longer answer begins.
fn besides(results: &[(Case, Vec<Cost>)]) {
    let of = |deltas: u32| {
        let at = |case: &Case| (case.at_once, case.events_a_write, case.deltas) == (1, 1, deltas);
        results.iter().find(|(case, _)| at(case))
    };
    let (Some((short, briefly)), Some((long, at_length))) = (of(200), of(5_000)) else { return };
    println!("\nCPU a run besides its deltas (1 run at once, 200 and 5000 deltas):");
    for (brief, length) in briefly.iter().zip(at_length) {
        let name = &brief.client;
        let (brief, length) = (brief.cpu / short.streams(), length.cpu / long.streams());
        let a_delta = (length - brief) / f64::from(long.deltas - short.deltas);
        println!("  {name}: {:.0} µs", (brief - a_delta * f64::from(short.deltas)) * 1e6);
    }
}

pub fn json(results: &[(Case, Vec<Cost>)]) -> Value {
    let rows = results.iter().flat_map(|(case, costs)| {
        costs.iter().map(|cost| {
            json!({
                "client": cost.client,
                "runs_at_once": case.at_once,
                "deltas": case.deltas,
                "events_a_write": case.events_a_write,
                "cpu_us_a_delta": cost.cpu * 1e6 / case.all_deltas(),
                "user_us_a_delta": cost.user * 1e6 / case.all_deltas(),
                "system_us_a_delta": cost.system * 1e6 / case.all_deltas(),
                "times_floor": cost.times_floor,
                "cpu_us_a_run": cost.cpu * 1e6 / case.streams(),
                "deltas_a_second": case.all_deltas() / cost.seconds,
                "bytes_a_delta": case.bytes_a_delta(),
                "peak_kb": cost.peak_kb,
            })
        })
    });
    rows.collect()
}
