//! What is stored of an answer, and what was told of it: to hooks and to readers.

use std::collections::HashMap;

use crate::host::GONE;
use crate::kills::name;
use crate::script::{Ending, STEP, Script, UNWELCOME};
use crate::stored::{Run, Said};
use crate::told::Told;

/// The texts and usage of a run are what the provider said, and no more.
pub fn answer(run: &Run, broken: &mut Vec<String>) {
    let mut wrong = |what: String| broken.push(format!("run {} ({}): {what}", run.id, run.status));
    let [question] = run.asked.as_slice() else {
        return wrong(format!("{} user messages", run.asked.len()));
    };
    let script = Script::of(question);
    for Said { id, text, .. } in &run.said {
        let whole = script.whole(text);
        if text.trim().is_empty() {
            wrong(format!("message {id} is blank"));
        }
        if !whole.starts_with(text.as_str()) {
            wrong(format!("message {id} says {text:?}, the provider said {whole:?}"));
        }
    }
    let (before_call, answer) = (run.before_call(), run.answer());
    let in_order = before_call.into_iter().chain(answer).map(|said| said.id);
    if !in_order.eq(run.said.iter().map(|said| said.id)) {
        wrong(format!("said is {:?}", run.said));
    }
    if let Some(said) =
        answer.filter(|said| (said.status == "completed") != (run.status == "completed"))
    {
        wrong(format!("message {} is {}", said.id, said.status));
    }
    step(run, &script, &mut wrong);
    let whole = script.text();
    let ends_so = match run.status.as_str() {
        // What had left its turn was not copied.
        _ if run.copied && answer.is_none() => true,
        "completed" => {
            script.ending == Ending::Completed && answer.is_some_and(|said| said.text == whole)
        }
        // The host's database refuses what the answer says: that run ends so, and no other.
        "failed" if run.reason == "database" => script.hostile.is_some(),
        "failed" => matches!(script.ending, Ending::Refused | Ending::Failed) && answer.is_none(),
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
    if run.status == "completed" && !script.may_be_answered_by(&run.provider) {
        wrong(format!("{question} is answered by {}", run.provider));
    }
    let counted = if run.copied {
        run.usage == (0, 0)
    } else if run.estimated {
        // Calls whose answers were lost come beside what was reported.
        let reported = run.usage.0 >= script.usage.0 && run.usage.1 >= script.usage.1;
        run.status != "completed" || reported
    } else {
        // What a failed answer cost is reported by some, each time.
        let times = if script.may_be_repeated() { run.noted.len() as u64 } else { 1 };
        let steps = if script.calls_a_tool() { run.noted.len() as u64 } else { 0 };
        let least = u64::from(answer.is_some());
        let all = (least..=times).flat_map(|n| (0..=steps).map(move |step| (n, step)));
        let cost = |of: u64, step: u64, (n, steps): (u64, u64)| of * n + step * steps;
        all.into_iter().any(|all| {
            run.usage == (cost(script.usage.0, STEP.0, all), cost(script.usage.1, STEP.1, all))
        })
    };
    if !counted {
        let (usage, estimated) = (run.usage, run.estimated);
        wrong(format!(
            "usage {usage:?} (estimated: {estimated}), the provider counted {:?}",
            script.usage
        ));
    }
}

/// What was said before a tool was called is stored with the call: whole, and for good.
fn step(run: &Run, script: &Script, wrong: &mut impl FnMut(String)) {
    let whole = script.text_before_call();
    let stored = run.before_call();
    // What had left its turn was not copied; a fork may begin behind what was said before the call.
    if run.tool_calls == 0 || run.copied && run.said.is_empty() {
        let is_wrong = |said: &&Said| run.answer().is_some() || said.status == "completed";
        if let Some(said) = stored.filter(|said| !run.copied && is_wrong(said)) {
            wrong(format!("message {} is {}, and no call is stored", said.id, said.status));
        }
        return;
    }
    let is_right = match stored {
        // Its process may have died, or been told to stop, between the call and the end of its step.
        Some(said) => said.text == whole && (said.status == "completed" || run.answer().is_none()),
        None => whole.is_empty(),
    };
    if !is_right {
        wrong(format!("before its call the provider said {whole:?}, stored is {stored:?}"));
    }
}

/// G6: the last hooks of each run and message were heard as they ended, if there was anybody to hear.
pub fn hooks(run: &Run, told: &Told, broken: &mut Vec<String>) {
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
    for Said { id, text, .. } in &run.said {
        let heard = told.messages.get(id);
        if !heard.is_some_and(|heard| heard.iter().all(|heard| heard == text)) {
            broken.push(format!("message {id} says {text:?}, its owner heard {heard:?}"));
        }
    }
}

/// G14: nobody delivers the last hooks of a run again while whoever delivered them lives.
pub fn announced_once(told: &Told, ended: &HashMap<String, i64>, broken: &mut Vec<String>) {
    for (run, heard) in &told.heard {
        let alive = heard.iter().filter(|(process, _)| !ended.contains_key(&name(*process)));
        let alive: Vec<usize> = alive.map(|(process, _)| *process).collect();
        if alive.len() > 1 {
            broken.push(format!("run {run} is announced by processes {alive:?}, which live"));
        }
    }
}

/// What readers were shown is stored, or was on its way: of the provider's answer.
pub fn shown(runs: &[Run], told: &Told, broken: &mut Vec<String>) {
    let mut known: HashMap<i64, (&str, String)> = HashMap::new();
    for run in runs {
        let script = run.asked.first().map(|question| Script::of(question));
        for Said { id, text, .. } in &run.said {
            let whole = script.as_ref().map(|script| script.whole(text));
            known.insert(*id, (text, whole.unwrap_or_default()));
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
