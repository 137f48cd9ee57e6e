//! What the provider's conversations hold of what was said, in the protocols that have them.

use std::collections::{HashMap, HashSet};

use ai_engine::testing::FakeOpenAi;

use crate::database::Conn;
use crate::provider::{is_told_in_words, text_of};
use crate::question::newest;
use crate::script::{Script, is_before_call};
use crate::stored::Run;

/// What stands behind an answer that broke off, where it is sent.
const BREAKS_OFF: &str = "\n\n[This answer breaks off here.]";

/// The provider's conversations hold nothing twice, nothing that left the path, and all in the order of ours.
pub fn held(conn: &mut Conn, runs: &[Run], fake: &FakeOpenAi, broken: &mut Vec<String>) {
    let mut turns: HashMap<(&str, &str), &Run> = HashMap::new();
    for run in runs.iter().filter(|run| !run.superseded) {
        if let Some(question) = run.asked.first() {
            turns.insert((&run.conversation, question), run);
        }
    }
    let threads = conn.rows(
        &["id", "remote_id", "protocol"],
        "FROM ai_engine_assistant_threads WHERE remote_id IS NOT NULL",
    );
    for thread in threads {
        let items = match thread[2].as_str() {
            "assistants" => fake.thread_messages(&thread[1]),
            _ => fake.conversation_items(&thread[1]),
        };
        let Some(items) = items else { continue };
        let mut wrong =
            |what: String| broken.push(format!("thread {} at the provider: {what}", thread[0]));
        let conversation = format!("t{}", thread[0]);
        let mut ids = HashSet::new();
        let mut asked = Asked::default();
        // What was said before a call of a tool, and behind it.
        let mut answers = [0; 2];
        for item in &items {
            if !ids.insert(item["id"].as_str().unwrap_or_default()) {
                wrong(format!("{} twice", item["id"]));
            }
            let text = text_of(item);
            match item["role"].as_str() {
                Some("user") if is_told_in_words(&text) => {}
                Some("assistant") if text.starts_with("[Call ") => {}
                Some("user") => match turns.get(&(conversation.as_str(), newest(&text))) {
                    Some(run) if asked.take(run) => answers = [0; 2],
                    _ => wrong(format!("{text:?} again, out of turn, off the path, or of no run")),
                },
                Some("assistant") => {
                    // An answer that was cut short travels with a mark.
                    let said = text.strip_suffix(BREAKS_OFF).unwrap_or(&text);
                    let last = asked.last;
                    let whole = last
                        .and_then(|run| run.asked.first())
                        .map(|question| Script::of(question).whole(said));
                    let [before_call, answered] = &mut answers;
                    let times = if is_before_call(said) { before_call } else { answered };
                    *times += 1;
                    if !whole.is_some_and(|whole| whole.starts_with(said)) {
                        wrong(format!("{text:?} is no answer to what came before"));
                    }
                    if *times > last.map_or(1, |run| run.attempts.max(1)) {
                        wrong(format!("{text:?} is answered again"));
                    }
                }
                _ => {}
            }
        }
        if !asked.ends_well() {
            wrong("turns are told again that no cancelled run told".to_owned());
        }
    }
}

/// The questions in the order of the turns.
///
/// A request that is cancelled on its way may be carried out after the next run has asked what the provider holds; nobody can know. So a
/// cancelled run may have told the turns up to its own once more, before or after the others.
#[derive(Default)]
struct Asked<'a> {
    last: Option<&'a Run>,
    /// The newest turn so far.
    newest: i64,
    /// Turns are told again; whether a cancelled run had told them before.
    again: Option<bool>,
}

impl<'a> Asked<'a> {
    /// Whether this question may stand here.
    fn take(&mut self, run: &'a Run) -> bool {
        let (before, is_new) = (self.last, self.last.is_none() || self.newest < run.seq);
        let fits = if is_new {
            self.ends_well()
        } else {
            let is_first = self.again.is_none();
            self.again.get_or_insert_with(|| before.is_some_and(is_cancelled));
            is_first || is_cancelled(run) || before.is_none_or(|before| before.seq < run.seq)
        };
        if is_new {
            (self.again, self.newest) = (None, run.seq);
        }
        self.last = Some(run);
        fits
    }

    /// Whether what is told again, if anything is, is what a cancelled run told.
    fn ends_well(&self) -> bool {
        self.again.is_none_or(|told_before| told_before || self.last.is_some_and(is_cancelled))
    }
}

fn is_cancelled(run: &Run) -> bool {
    run.status == "cancelled"
}
