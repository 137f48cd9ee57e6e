//! Who called the model, when, and how often: by the note of the provider.

use std::collections::{HashMap, HashSet};

use crate::provider::{Call, Provider};
use crate::question::Question;
use crate::script::Script;
use crate::stored::Run;

/// Each call that the provider was sent is noted before, with the service it goes to, and none is made twice but for these reasons, in
/// any protocol:
///
/// * by the process that made the first: its connection broke before a word, or the answer failed without one; and the next
///   provider that the question names, when the first one fails so that another may not;
/// * by another process, or the same one after its lease had ended: the first one's end, if the run was to be asked again.
///
/// Chat Completions and a thread of Assistants tell nobody what an answer was that was lost, and what a conversation holds is not
/// stored as the answer: so a call whose answer was lost is not made good by looking, and only a run that asks for it is called again.
pub fn calls(
    run: &Run,
    provider: &Provider,
    ended: &HashMap<String, i64>,
    broken: &mut Vec<String>,
) {
    let Some(question) = run.asked.first() else { return };
    let (script, asked) = (Script::of(question), Question::of(question));
    let calls = provider.calls(question);
    for two in calls.windows(2) {
        let [first, second] = two else { continue };
        // A process that slept beyond its lease may take up again what was taken from it meanwhile.
        let is_over = ended.get(&first.key).is_some_and(|end| *end <= second.at);
        let falls = script.falls_from(first.api) && asked.then == Some(second.api);
        let again = first.api == second.api && script.may_be_repeated();
        let by_itself = first.key == second.key && (falls || again);
        let asked_again = is_over && run.recovery != "settle";
        // A run goes on behind its tools wherever it is taken up.
        let goes_on = second.told && !first.told;
        if !by_itself && !asked_again && !goes_on {
            broken.push(format!(
                "{question} of run {} (recovery {:?}) is asked by {} in {:?} and, {} µs later, by {} in {:?}",
                run.id,
                run.recovery,
                first.key,
                first.api,
                second.at - first.at,
                second.key,
                second.api,
            ));
        }
    }
    let named = |call: &&Call| Some(call.api) == asked.then || call.api == asked.first;
    if let Some(call) = calls.iter().find(|call| !named(call)) {
        broken.push(format!("{question} was asked in {:?}", call.api));
    }
    let mut noted = run.noted.iter();
    if !calls.iter().all(|call| noted.any(|noted| noted == call.api.stored())) {
        let made: Vec<_> = calls.iter().map(|call| call.api).collect();
        broken.push(format!("{question} was asked in {made:?}, noted is {:?}", run.noted));
    }
    if run.attempts < calls.len() {
        broken.push(format!(
            "{question} was asked {} times, counted {}",
            calls.len(),
            run.attempts
        ));
    }
}

/// How long text may wait to be stored, in microseconds: a flush comes every 250 ms, behind a lock of the host's.
const STORED_WITHIN: i64 = 4_000_000;

/// What was said long before a process was killed is stored, whatever else the process could not store.
pub fn stored_in_time(
    run: &Run,
    provider: &Provider,
    ended: &HashMap<String, i64>,
    broken: &mut Vec<String>,
) {
    let Some(question) = run.asked.first().filter(|_| run.reason == "interrupted") else { return };
    let (script, mut calls) = (Script::of(question), provider.calls(question));
    calls.retain(|call| call.told || !script.calls_a_tool());
    let ([call], Some(said), None) = (calls.as_slice(), script.before_stall(), script.hostile)
    else {
        return;
    };
    let lived = ended.get(&call.key).map_or(0, |end| end - call.at);
    let stored = run.answer().map_or("", |said| &said.text);
    if call.slow && lived > STORED_WITHIN && !said.trim().is_empty() && !stored.starts_with(&said) {
        broken.push(format!(
            "run {} was called {lived} µs before its process ended and said {said:?}, stored is {stored:?}",
            run.id
        ));
    }
}

/// G4, as the provider saw it: a run is asked after all before it have ended.
pub fn turns(
    runs: &[&Run],
    provider: &Provider,
    again: &HashSet<String>,
    broken: &mut Vec<String>,
) {
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
