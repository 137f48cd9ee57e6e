//! Round after round, each client after the other: what the machine does beside them meets them all alike.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::clients;
use crate::server::Server;
use crate::wire::{self, Load};

/// Runs at once, deltas of each, and events that the server writes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub at_once: u32,
    pub deltas: u32,
    pub events_a_write: u32,
}

impl Case {
    pub fn quick() -> Vec<Self> {
        let case = |deltas| Self { at_once: 1, deltas, events_a_write: 1 };
        vec![case(200), case(5_000)]
    }

    /// But for what takes more than ten million deltas.
    pub fn full() -> Vec<Self> {
        let mut cases = Vec::new();
        for at_once in [1, 32, 1_000] {
            for deltas in [200, 5_000, 20_000, 100_000] {
                for events_a_write in [1, 20] {
                    cases.push(Self { at_once, deltas, events_a_write });
                }
            }
        }
        cases.retain(|case| u64::from(case.at_once) * u64::from(case.deltas) <= 10_000_000);
        cases
    }

    /// `K,DELTAS,EVENTS`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(',').map(|number| number.trim().parse().ok());
        let (at_once, deltas) = (numbers.next()??, numbers.next()??);
        Some(Self { at_once, deltas, events_a_write: numbers.next()?? })
    }

    pub fn load(self) -> Load {
        Load { deltas: self.deltas, events_a_write: self.events_a_write, pace: 0 }
    }

    /// How many streams each task reads: enough that the clock has something to measure.
    fn runs(self) -> u32 {
        const DELTAS: u32 = 100_000;
        (DELTAS / self.deltas / self.at_once).max(1)
    }

    pub fn streams(self) -> f64 {
        f64::from(self.at_once) * f64::from(self.runs())
    }

    pub fn all_deltas(self) -> f64 {
        self.streams() * f64::from(self.deltas)
    }

    pub fn bytes_a_delta(self) -> usize {
        let mut one = Vec::new();
        wire::delta(&mut one, self.deltas, "word ");
        one.len()
    }
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub rounds: usize,
    /// Other builds of this program, whose library is measured as well: a name, and where it is.
    pub others: Vec<(String, String)>,
    /// These clients alone; none is all.
    pub only: Vec<String>,
}

/// What a client costs in a case: the medians of the rounds.
#[derive(Debug, Clone)]
pub struct Cost {
    pub client: String,
    pub user: f64,
    pub system: f64,
    pub cpu: f64,
    pub seconds: f64,
    pub peak_kb: f64,
    /// Of each round, what the processor spent in it beside what the floor spent in the same.
    pub times_floor: f64,
}

/// A client: what it is called here, the program it is part of, its name there.
struct Client {
    name: String,
    program: String,
    of: &'static str,
}

pub fn run(settings: &Settings, cases: &[Case]) -> Vec<(Case, Vec<Cost>)> {
    let own = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let mut programs = vec![(String::new(), own)];
    programs.extend(settings.others.iter().map(|(name, path)| (format!(" {name}"), path.clone())));
    let mut clients = Vec::new();
    for of in clients::names() {
        let is_library = matches!(of, "sqlite" | "postgres");
        for (suffix, program) in programs.iter().take(if is_library { usize::MAX } else { 1 }) {
            let name = format!("{of}{suffix}");
            clients.push(Client { name, program: program.clone(), of });
        }
    }
    if !settings.only.is_empty() {
        clients.retain(|client| settings.only.iter().any(|only| *only == client.of));
    }
    cases.iter().map(|case| (*case, of_case(&clients, *case, settings.rounds))).collect()
}

fn of_case(clients: &[Client], case: Case, rounds: usize) -> Vec<Cost> {
    let mut measured: Vec<Vec<Value>> = clients.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        eprintln!("{} × {} deltas, round {round} of {rounds}", case.at_once, case.deltas);
        for (client, values) in clients.iter().zip(&mut measured) {
            values.push(once(client, case));
        }
    }
    let floor: Vec<f64> = measured[0].iter().map(cpu).collect();
    let costs = clients.iter().zip(&measured).map(|(client, values)| Cost {
        client: client.name.clone(),
        user: median(values.iter().map(|value| number(value, "user"))),
        system: median(values.iter().map(|value| number(value, "system"))),
        cpu: median(values.iter().map(cpu)),
        seconds: median(values.iter().map(|value| number(value, "seconds"))),
        peak_kb: median(values.iter().map(|value| number(value, "peak_kb"))),
        times_floor: median(values.iter().zip(&floor).map(|(value, floor)| cpu(value) / floor)),
    });
    costs.collect()
}

/// A server of its own each time: what one client leaves behind is not the next one's trouble.
fn once(client: &Client, case: Case) -> Value {
    let server = Server::start();
    let said = Command::new(&client.program)
        .args(["client", client.of, &server.base_url(), &case.load().model()])
        .args([case.at_once.to_string(), case.runs().to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(said.status.success(), "{} failed", client.name);
    serde_json::from_slice(&said.stdout).unwrap()
}

fn cpu(value: &Value) -> f64 {
    number(value, "user") + number(value, "system")
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}
