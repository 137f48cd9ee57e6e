//! What was submitted is there, once, where and after what it was asked.

use std::collections::{HashMap, HashSet};

use crate::database::Conn;
use crate::stored::Run;
use crate::told::Told;

/// G3: what was acknowledged is there once, what was rolled back or refused is not, and the order is that of submitting.
pub fn submits(
    conn: &mut Conn,
    runs: &[&Run],
    told: &Told,
    again: &HashSet<String>,
    broken: &mut Vec<String>,
) {
    let by_id: HashMap<i64, &Run> = runs.iter().map(|run| (run.id, *run)).collect();
    let notes: HashSet<String> =
        conn.lines("SELECT question AS line FROM notes").into_iter().collect();
    let mut seen: HashMap<&str, i64> = HashMap::new();
    for run in runs {
        for question in &run.asked {
            let asked = told.asked.get(question);
            let elsewhere = asked.is_some_and(|asked| asked.conversation != run.conversation);
            // A copy may have been taken again, too.
            if again.contains(question) && (elsewhere || seen.contains_key(question.as_str())) {
                continue;
            }
            if let Some(other) = seen.get(question.as_str()).copied() {
                broken.push(format!("{question} is asked in run {other} and {}", run.id));
            }
            seen.insert(question, run.id);
            match asked {
                Some(asked) if asked.conversation != run.conversation => {
                    broken.push(format!(
                        "{question} is in {}, not {}",
                        run.conversation, asked.conversation
                    ));
                }
                Some(asked) if asked.never => {
                    broken.push(format!("{question} was rolled back or refused: run {}", run.id))
                }
                Some(asked) if asked.noted != notes.contains(question) => {
                    broken.push(format!("{question} without its note: run {}", run.id))
                }
                Some(_) => {}
                None => broken.push(format!("{question} was never asked: run {}", run.id)),
            }
        }
    }
    for (question, asked) in &told.asked {
        let stored = seen.get(question.as_str()).copied();
        let lost = asked.run.is_some() || notes.contains(question);
        if lost && stored.is_none() && !told.is_doomed(&asked.conversation) {
            broken.push(format!(
                "{question}, run {:?} of {}, is lost",
                asked.run, asked.conversation
            ));
        }
        if asked.run.is_some() && stored.is_some() && asked.run != stored {
            broken.push(format!("{question} is run {stored:?}, told was {:?}", asked.run));
        }
        let turn = |id: Option<i64>| id.and_then(|id| by_id.get(&id)).map(|run| run.seq);
        if let (Some(before), Some(own)) = (turn(asked.after), turn(stored))
            && before >= own
        {
            broken.push(format!(
                "{question} has turn {own}, after run {:?} with turn {before}",
                asked.after
            ));
        }
    }
}

/// The turns that were taken again, as was acknowledged.
pub fn taken(runs: &[Run], told: &Told, broken: &mut Vec<String>) {
    let there: HashSet<i64> = runs.iter().map(|run| run.id).collect();
    for (run, conversation) in &told.taken {
        if !there.contains(run) && !told.is_doomed(conversation) {
            broken.push(format!("run {run} of {conversation}, taken again, is lost"));
        }
    }
}
