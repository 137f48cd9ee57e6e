//! The runs of the database, with what was asked and said in them, as the checker reads them: by SQL of its own.

use std::collections::HashMap;

use crate::database::Conn;
use crate::script::is_before_call;

#[derive(Debug)]
pub struct Run {
    pub id: i64,
    pub conversation: String,
    pub owner: i64,
    pub seq: i64,
    pub status: String,
    pub reason: String,
    pub attempts: usize,
    pub usage: (u64, u64),
    /// Some of it was not reported, but estimated.
    pub estimated: bool,
    pub finished: i64,
    /// A fork's copy of another run.
    pub copied: bool,
    pub superseded: bool,
    /// The provider that was asked last, by its name.
    pub provider: String,
    /// `retry` or `settle`; nothing where the request did not say.
    pub recovery: String,
    pub asked: Vec<String>,
    /// The protocols of the calls that were noted, in order.
    pub noted: Vec<String>,
    /// How many calls of tools are stored.
    pub tool_calls: usize,
    /// What the model said, in order.
    pub said: Vec<Said>,
}

/// A message of the model's.
#[derive(Debug)]
pub struct Said {
    pub id: i64,
    pub status: String,
    pub text: String,
}

impl Run {
    /// What it said before it called a tool.
    pub fn before_call(&self) -> Option<&Said> {
        self.said.iter().find(|said| is_before_call(&said.text))
    }

    /// What it answered in the end.
    pub fn answer(&self) -> Option<&Said> {
        self.said.iter().find(|said| !is_before_call(&said.text))
    }
}

/// All of the database, in the order of conversations and turns.
pub fn runs(conn: &mut Conn) -> Vec<Run> {
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
        "r.provider",
        "r.recovery",
        "(SELECT count(*) FROM ai_engine_tool_calls AS c WHERE c.run_id = r.id)",
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
            provider: row[13].clone(),
            recovery: row[14].clone(),
            tool_calls: row[15].parse().unwrap(),
            asked: Vec::new(),
            noted: Vec::new(),
            said: Vec::new(),
        });
    }
    let places: HashMap<i64, usize> =
        runs.iter().enumerate().map(|(index, run)| (run.id, index)).collect();
    let rest = "FROM ai_engine_responses ORDER BY id";
    for row in conn.rows(&["run_id", "protocol"], rest) {
        if let Some(run) = places.get(&number(&row[0])).and_then(|index| runs.get_mut(*index)) {
            run.noted.push(row[1].clone());
        }
    }
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
            run.said.push(Said { id, status: row[3].clone(), text });
        }
    }
    runs
}

fn micros(time: &str) -> i64 {
    let time = chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f");
    time.map_or(i64::MAX, |time| time.and_utc().timestamp_micros())
}
