//! The checker: its own SQL over the whole database, after recovery. It knows what was told and what the provider said, and
//! nothing of the library but its tables.

use std::collections::{HashMap, HashSet};

use ai_engine::testing::FakeOpenAi;

use crate::database::Conn;
use crate::host::GONE;
use crate::kills::name;
use crate::provider::{Ending, Provider, Script, UNWELCOME, text_of};
use crate::rules::{ONE_AT_A_TIME, RULES};
use crate::told::Told;

/// What stands behind an answer that broke off, where it is sent.
const BREAKS_OFF: &str = "\n\n[This answer breaks off here.]";

struct Run {
    id: i64,
    conversation: String,
    owner: i64,
    seq: i64,
    status: String,
    reason: String,
    attempts: usize,
    usage: (u64, u64),
    /// Some of it was not reported, but estimated.
    estimated: bool,
    finished: i64,
    /// A fork's copy of another run.
    copied: bool,
    superseded: bool,
    asked: Vec<String>,
    /// Id, status, text.
    said: Vec<(i64, String, String)>,
}

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
    for (name, rule) in RULES {
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
    broken
}

fn split(rule: &str) -> (&str, &str) {
    rule.split_once(" FROM ").unwrap()
}

fn runs(conn: &mut Conn) -> Vec<Run> {
    let columns = [
        "r.id",
        "coalesce('t' || r.assistant_thread_id, 'c' || r.chat_id)",
        "coalesce(t.threadable_id, c.chattable_id)",
        "r.seq",
        "r.status",
        "r.reason",
        "r.attempts",
        "r.input_tokens",
        "r.output_tokens",
        "r.finished_at",
        "CASE WHEN r.usage_estimated THEN 1 ELSE 0 END",
        // Before there was a fork to ask on.
        "CASE WHEN coalesce(t.forked_from_id, c.forked_from_id) IS NOT NULL \
         AND r.created_at < coalesce(t.created_at, c.created_at) THEN 'yes' ELSE 'no' END",
        "CASE WHEN EXISTS (SELECT 1 FROM ai_engine_messages AS m WHERE m.run_id = r.id AND m.position = 0 \
         AND m.superseded_at_seq IS NOT NULL) THEN 'yes' ELSE 'no' END",
    ];
    let rest = "FROM ai_engine_runs AS r LEFT JOIN ai_engine_assistant_threads AS t ON t.id = r.assistant_thread_id \
         LEFT JOIN ai_engine_chats AS c ON c.id = r.chat_id ORDER BY r.assistant_thread_id, r.chat_id, r.seq";
    let number = |text: &String| text.parse::<i64>().unwrap_or_default();
    let mut runs: Vec<Run> = Vec::new();
    for row in conn.rows(&columns, rest) {
        runs.push(Run {
            id: number(&row[0]),
            conversation: row[1].clone(),
            owner: number(&row[2]),
            seq: number(&row[3]),
            status: row[4].clone(),
            reason: row[5].clone(),
            attempts: row[6].parse().unwrap(),
            usage: (row[7].parse().unwrap(), row[8].parse().unwrap()),
            finished: micros(&row[9]),
            estimated: number(&row[10]) == 1,
            copied: row[11] == "yes",
            superseded: row[12] == "yes",
            asked: Vec::new(),
            said: Vec::new(),
        });
    }
    let places: HashMap<i64, usize> =
        runs.iter().enumerate().map(|(index, run)| (run.id, index)).collect();
    // What the database refuses to have in one row stays beside it.
    let mut beside: HashMap<i64, String> = HashMap::new();
    let rest = "FROM ai_engine_message_deltas ORDER BY message_id, byte_offset";
    for row in conn.rows(&["message_id", "text"], rest) {
        beside.entry(number(&row[0])).or_default().push_str(&row[1]);
    }
    let columns = ["run_id", "id", "role", "status", "content"];
    let rest = "FROM ai_engine_messages WHERE run_id IS NOT NULL ORDER BY run_id, position";
    for row in conn.rows(&columns, rest) {
        let Some(run) = places.get(&number(&row[0])).and_then(|index| runs.get_mut(*index)) else {
            continue;
        };
        if row[2] == "user" {
            run.asked.push(row[4].clone());
        } else {
            let id = number(&row[1]);
            let text = row[4].clone() + beside.get(&id).map_or("", String::as_str);
            run.said.push((id, row[3].clone(), text));
        }
    }
    runs
}

fn micros(time: &str) -> i64 {
    let time = chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f");
    time.map_or(i64::MAX, |time| time.and_utc().timestamp_micros())
}

/// The texts and usage of a run are what the provider said, and no more.
fn answer(run: &Run, broken: &mut Vec<String>) {
    let mut wrong = |what: String| broken.push(format!("run {} ({}): {what}", run.id, run.status));
    let [question] = run.asked.as_slice() else {
        return wrong(format!("{} user messages", run.asked.len()));
    };
    let script = Script::of(question);
    let whole = script.text();
    if run.said.len() > 1 {
        wrong(format!("{} answers", run.said.len()));
    }
    for (id, status, text) in &run.said {
        if text.trim().is_empty() {
            wrong(format!("message {id} is blank"));
        }
        if !whole.starts_with(text.as_str()) {
            wrong(format!("message {id} says {text:?}, the provider said {whole:?}"));
        }
        if (status == "completed") != (run.status == "completed") {
            wrong(format!("message {id} is {status}"));
        }
    }
    let ends_so = match run.status.as_str() {
        // What had left its turn was not copied.
        _ if run.copied && run.said.is_empty() => true,
        "completed" => {
            script.ending == Ending::Completed && run.said.iter().any(|said| said.2 == whole)
        }
        // The host's database refuses what the answer says: that run ends so, and no other.
        "failed" if run.reason == "database" => script.hostile.is_some(),
        "failed" => {
            matches!(script.ending, Ending::Refused | Ending::Failed) && run.said.is_empty()
        }
        _ => true,
    };
    let unwelcome = script.hostile == Some(UNWELCOME) && script.ending == Ending::Completed;
    if run.status == "completed" && unwelcome {
        wrong(format!("the database takes no {UNWELCOME:?}, yet {question} is answered"));
    }
    if unwelcome && run.status == "incomplete" && run.reason != "interrupted" {
        wrong(format!("{question} ends with reason {:?}", run.reason));
    }
    if !ends_so {
        wrong(format!(
            "the provider's answer to {question} was {:?} {whole:?}, stored is {:?}",
            script.ending, run.said
        ));
    }
    let counted = if run.copied {
        run.usage == (0, 0)
    } else if run.estimated {
        // Calls whose answers were lost come beside what was reported.
        let reported = run.usage.0 >= script.usage.0 && run.usage.1 >= script.usage.1;
        run.status != "completed" || reported
    } else {
        run.usage == script.usage || run.said.is_empty() && run.usage == (0, 0)
    };
    if !counted {
        let (usage, estimated) = (run.usage, run.estimated);
        wrong(format!(
            "usage {usage:?} (estimated: {estimated}), the provider counted {:?}",
            script.usage
        ));
    }
}

/// G6: the last hooks of each run and message were heard as they ended, if there was anybody to hear.
fn hooks(run: &Run, told: &Told, broken: &mut Vec<String>) {
    if run.owner == GONE {
        return;
    }
    let heard = told
        .heard
        .get(&run.id)
        .is_some_and(|heard| heard.iter().all(|(_, status)| *status == run.status));
    if !heard {
        broken.push(format!(
            "run {} is {}, its owner heard {:?}",
            run.id,
            run.status,
            told.heard.get(&run.id)
        ));
    }
    for (id, _, text) in &run.said {
        let heard = told.messages.get(id);
        if !heard.is_some_and(|heard| heard.iter().all(|heard| heard == text)) {
            broken.push(format!("message {id} says {text:?}, its owner heard {heard:?}"));
        }
    }
}

/// G14: nobody delivers the last hooks of a run again while whoever delivered them lives.
fn announced_once(told: &Told, ended: &HashMap<String, i64>, broken: &mut Vec<String>) {
    for (run, heard) in &told.heard {
        let alive = heard.iter().filter(|(process, _)| !ended.contains_key(&name(*process)));
        let alive: Vec<usize> = alive.map(|(process, _)| *process).collect();
        if alive.len() > 1 {
            broken.push(format!("run {run} is announced by processes {alive:?}, which live"));
        }
    }
}

/// A process calls once, unless the connection broke before a word; another one calls when the lease of the first has ended.
fn calls(run: &Run, provider: &Provider, ended: &HashMap<String, i64>, broken: &mut Vec<String>) {
    let Some(question) = run.asked.first() else { return };
    let script = Script::of(question);
    let may_repeat =
        script.breaks_once || script.ending == Ending::Failed && script.text().is_empty();
    let calls = provider.calls(question);
    for two in calls.windows(2) {
        let [first, second] = two else { continue };
        // A process that slept beyond its lease may take up again what was taken from it meanwhile.
        let is_over = ended.get(&first.key).is_some_and(|end| *end <= second.at);
        let reason = is_over || first.key == second.key && may_repeat;
        if !reason {
            broken.push(format!(
                "{question} of run {} is asked by {} and, {} µs later, by {}",
                run.id,
                first.key,
                second.at - first.at,
                second.key
            ));
        }
    }
}

/// How long text may wait to be stored, in microseconds: a flush comes every 250 ms, behind a lock of the host's.
const STORED_WITHIN: i64 = 4_000_000;

/// What was said long before a process was killed is stored, whatever else the process could not store.
fn stored_in_time(
    run: &Run,
    provider: &Provider,
    ended: &HashMap<String, i64>,
    broken: &mut Vec<String>,
) {
    let Some(question) = run.asked.first().filter(|_| run.reason == "interrupted") else { return };
    let (script, calls) = (Script::of(question), provider.calls(question));
    let ([call], Some(said), None) = (calls.as_slice(), script.before_stall(), script.hostile)
    else {
        return;
    };
    let lived = ended.get(&call.key).map_or(0, |end| end - call.at);
    let stored = run.said.first().map_or("", |said| &said.2);
    if call.slow && lived > STORED_WITHIN && !said.trim().is_empty() && !stored.starts_with(&said) {
        broken.push(format!(
            "run {} was called {lived} µs before its process ended and said {said:?}, stored is {stored:?}",
            run.id
        ));
    }
}

/// What readers were shown is stored, or was on its way: of the provider's answer.
fn shown(runs: &[Run], told: &Told, broken: &mut Vec<String>) {
    let mut known: HashMap<i64, (&str, String)> = HashMap::new();
    for run in runs {
        let whole = run.asked.first().map(|question| Script::of(question).text());
        for (id, _, text) in &run.said {
            known.insert(*id, (text, whole.clone().unwrap_or_default()));
        }
    }
    for (id, for_good, text) in &told.shown {
        // Of a conversation that is destroyed there is nothing to compare with.
        let Some((stored, whole)) = known.get(id) else { continue };
        if *for_good && text != stored {
            broken.push(format!("message {id} was shown as {text:?}, stored is {stored:?}"));
        }
        if !whole.starts_with(text.as_str()) {
            broken.push(format!("of message {id} was shown {text:?}, the provider said {whole:?}"));
        }
    }
}

/// G3: what was acknowledged is there once, what was rolled back or refused is not, and the order is that of submitting.
fn submits(
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

/// G4, as the provider saw it: a run is asked after all before it have ended.
fn turns(runs: &[&Run], provider: &Provider, again: &HashSet<String>, broken: &mut Vec<String>) {
    let mut ended: HashMap<&str, (i64, i64)> = HashMap::new();
    for run in runs {
        let once = run.asked.first().filter(|question| !again.contains(*question));
        let asked = once.map(|question| provider.calls(question)).unwrap_or_default();
        let before = ended.get(run.conversation.as_str()).copied();
        if let (Some(first), Some((end, id))) = (asked.first(), before)
            && first.at < end
        {
            broken.push(format!(
                "run {} was asked {} µs before run {id} ended",
                run.id,
                end - first.at
            ));
        }
        if run.finished >= before.map_or(i64::MIN, |before| before.0) {
            ended.insert(&run.conversation, (run.finished, run.id));
        }
    }
}

/// The turns that were taken again, as was acknowledged.
fn taken(runs: &[Run], told: &Told, broken: &mut Vec<String>) {
    let there: HashSet<i64> = runs.iter().map(|run| run.id).collect();
    for (run, conversation) in &told.taken {
        if !there.contains(run) && !told.is_doomed(conversation) {
            broken.push(format!("run {run} of {conversation}, taken again, is lost"));
        }
    }
}

/// The provider's conversations hold nothing twice, nothing that left the path, and all in the order of ours.
fn held(conn: &mut Conn, runs: &[Run], fake: &FakeOpenAi, broken: &mut Vec<String>) {
    let mut turns: HashMap<(&str, &str), &Run> = HashMap::new();
    for run in runs.iter().filter(|run| !run.superseded) {
        if let Some(question) = run.asked.first() {
            turns.insert((&run.conversation, question), run);
        }
    }
    let threads = conn
        .rows(&["id", "remote_id"], "FROM ai_engine_assistant_threads WHERE remote_id IS NOT NULL");
    for thread in threads {
        let Some(items) = fake.conversation_items(&thread[1]) else { continue };
        let mut wrong =
            |what: String| broken.push(format!("thread {} at the provider: {what}", thread[0]));
        let conversation = format!("t{}", thread[0]);
        let mut ids = HashSet::new();
        let mut last: Option<&Run> = None;
        let mut answers = 0;
        for item in &items {
            if !ids.insert(item["id"].as_str().unwrap_or_default()) {
                wrong(format!("{} twice", item["id"]));
            }
            let text = text_of(item);
            match item["role"].as_str() {
                Some("user") => match turns.get(&(conversation.as_str(), text.as_str())) {
                    // A request that is cancelled on its way may be carried out after the next run has asked what the
                    // provider holds; nobody can know.
                    Some(run)
                        if run.status == "cancelled"
                            || last.is_none_or(|last| last.seq < run.seq) =>
                    {
                        (last, answers) = (Some(*run), 0)
                    }
                    _ => wrong(format!("{text:?} again, out of turn, off the path, or of no run")),
                },
                Some("assistant") => {
                    let whole = last
                        .and_then(|run| run.asked.first())
                        .map(|question| Script::of(question).text());
                    answers += 1;
                    // An answer that was cut short travels with a mark.
                    let said = text.strip_suffix(BREAKS_OFF).unwrap_or(&text);
                    if !whole.is_some_and(|whole| whole.starts_with(said)) {
                        wrong(format!("{text:?} is no answer to what came before"));
                    }
                    if answers > last.map_or(1, |run| run.attempts.max(1)) {
                        wrong(format!("{text:?} is answered again"));
                    }
                }
                _ => {}
            }
        }
    }
}
