//! What a delta costs: the library beside the floor, async-openai and rig, all in one run. README.md says how.

mod clients;
#[path = "../../support/database.rs"]
#[allow(unreachable_pub, reason = "shared with the other benchmarks")]
mod database;
mod latency;
#[path = "../../crowd/process.rs"]
#[allow(dead_code, reason = "its clock is too coarse for this")]
mod process;
mod rounds;
mod server;
mod table;
mod wire;

use std::env;

use clients::Work;
use rounds::{Case, Settings};
use wire::Load;

const USAGE: &str = "floor [quick|full|latency] [--rounds N] [--json FILE] [--other NAME=PROGRAM]… [--only CLIENT,…] [--case K,DELTAS,EVENTS]…";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["serve"] => server::serve(),
        ["client", name, base_url, model, at_once, runs] => {
            let load = Load::of_model(model).unwrap();
            let work =
                Work { load, at_once: at_once.parse().unwrap(), runs: runs.parse().unwrap() };
            clients::work_as(name, base_url, work);
        }
        ["paced", database, base_url, model, at_once] => {
            latency::listen(database, base_url, model, at_once.parse().unwrap());
        }
        ["latency"] => latency::measure(),
        [] | ["quick", ..] => compare(&words, Case::quick(), 5),
        ["full", ..] => compare(&words, Case::full(), 3),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}

fn compare(words: &[&str], mut cases: Vec<Case>, rounds: usize) {
    let mut settings = Settings { rounds, ..Settings::default() };
    let mut own_cases = Vec::new();
    let mut words = words.iter().skip(1);
    let mut json = None;
    while let Some(option) = words.next() {
        let Some(value) = words.next() else { panic!("{option} wants a value: {USAGE}") };
        match *option {
            "--rounds" => settings.rounds = value.parse().unwrap(),
            "--json" => json = Some((*value).to_owned()),
            "--other" => {
                let (name, program) = value.split_once('=').expect("NAME=PROGRAM");
                settings.others.push((name.to_owned(), program.to_owned()));
            }
            "--only" => settings.only = value.split(',').map(str::to_owned).collect(),
            "--case" => own_cases.push(Case::parse(value).expect("K,DELTAS,EVENTS")),
            _ => panic!("{USAGE}"),
        }
    }
    if !own_cases.is_empty() {
        cases = own_cases;
    }
    let results = rounds::run(&settings, &cases);
    table::print(&results);
    if let Some(path) = json {
        std::fs::write(path, table::json(&results).to_string()).unwrap();
    }
}
