//! The checker: its own SQL over the whole database, after recovery. It knows what was told and what the provider said, and
//! nothing of the library but its tables.

use std::collections::HashMap;

use crate::answers::{announced_once, answer, hooks, shown};
use crate::calls::{calls, stored_in_time, turns};
use crate::database::Conn;
use crate::held::held;
use crate::parts::pictures;
use crate::provider::Provider;
use crate::rules::{ONE_AT_A_TIME, RULES};
use crate::stored::{Run, runs};
use crate::submits::{submits, taken};
use crate::told::Told;
use crate::tools;

/// All that is broken, one line each.
pub fn check(
    conn: &mut Conn,
    told: &Told,
    provider: &Provider,
    ended: &HashMap<String, i64>,
) -> Vec<String> {
    let mut broken = told.errors.clone();
    let lost = told.missing.iter().filter(|id| !told.is_doomed(id));
    broken.extend(lost.map(|id| format!("{id} is lost")));
    for (name, rule) in RULES.into_iter().chain(tools::RULES) {
        let lines = conn.lines(&format!(
            "SELECT CAST({} AS TEXT) AS line FROM {}",
            split(rule).0,
            split(rule).1
        ));
        broken.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
    }
    broken.extend(conn.lines(ONE_AT_A_TIME));
    let runs = runs(conn);
    let own: Vec<&Run> = runs.iter().filter(|run| !run.copied).collect();
    // Who took them says nothing of the others that ask the same.
    let again = &told.again;
    for run in &runs {
        answer(run, &mut broken);
    }
    for run in &own {
        hooks(run, told, &mut broken);
        if !run.asked.iter().any(|question| again.contains(question)) {
            calls(run, provider, ended, &mut broken);
            stored_in_time(run, provider, ended, &mut broken);
        }
    }
    taken(&runs, told, &mut broken);
    announced_once(told, ended, &mut broken);
    shown(&runs, told, &mut broken);
    submits(conn, &own, told, again, &mut broken);
    turns(&own, provider, again, &mut broken);
    held(conn, &runs, &provider.fake, &mut broken);
    pictures(conn, &runs, &mut broken);
    broken.extend(provider.wrong());
    broken
}

fn split(rule: &str) -> (&str, &str) {
    rule.split_once(" FROM ").unwrap()
}
