//! What must hold once recovery has looked after what the child left.

use ai_engine::openai::Protocol;
use ai_engine::testing::{Reply, Request};
use ai_engine::{AiEngine, Error, Role, Run, RunStatus, prelude::*};

use super::scene::{END_LEASES, PICTURE, PNG_IN_BASE64, Scene, Stage, USAGE, WORDS};
use super::there::{calls, conversation, conversations, own_of_calls, said};
use crate::support::*;

/// What is left of the question, or of another thing that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// No trace of it.
    Nothing,
    /// A complete answer.
    Completed,
    /// This much of one, ended by recovery.
    Interrupted(&'static str),
    /// As much as was stored by then, which varies.
    InterruptedSomewhere,
    /// The same, or a complete answer: the point is passed beside the end of the run.
    Anyhow,
    Cancelled(&'static str),
    /// This much of one; the database refused the rest.
    FailedInTheDatabase(&'static str),
    /// The thread is gone, here and at the provider.
    Destroyed,
    /// The same, but for a response of which nobody knows.
    DestroyedButForAResponse,
    /// So many rows of one of our tables, or of those of it for which something holds.
    Rows(&'static str, i64),
}

/// A run that has ended, and what the model said in it.
struct End {
    run: Run,
    text: String,
    /// What its messages cost. The run may have cost more: an answer that was lost is estimated.
    cost: i64,
}

async fn end_of<D: TestDatabase>(host: &Host<D>, engine: &AiEngine, id: i64) -> End {
    match engine.answer(id).await {
        Ok(answer) => {
            let cost = answer.messages.iter().map(|said| said.usage.total_tokens()).sum();
            End { text: answer.text(), run: answer.run, cost }
        }
        Err(Error::RunFailed { .. }) => {
            let said = host.db.with(|conn| conn.messages()).into_iter();
            let ours = said.filter(|said| said.run_id == Some(id) && said.role == Role::Assistant);
            let text = ours.map(|said| said.content).collect();
            End { run: engine.find_run(id).await.unwrap(), text, cost: 0 }
        }
        Err(error) => panic!("{error}"),
    }
}

pub async fn check<D: TestDatabase>(host: &Host<D>, stage: &Stage, point: &str, left: Left) {
    if stage.scene == Scene::CancelDriven {
        // This process lives, and its run with it.
        host.engine.answer(stage.earlier.as_ref().unwrap().id).await.unwrap();
    }
    host.db.execute(END_LEASES);
    if let Left::Rows(table, count) = left {
        assert_eq!(rows(host, table), count, "{point}");
    }
    let hub = Hub::default();
    let engine = engine(&host.db, &host.fake, &hub, |builder| {
        let history = if host.conversing { "conversation" } else { "local" };
        let openai = host.fake.openai_builder().protocol(host.protocol).build().unwrap();
        builder.openai(openai).history(history.parse().unwrap())
    });
    engine.recover().await.unwrap();
    let mut answers = Vec::new();
    for run in host.db.with(|conn| conn.runs()) {
        answers.push(end_of(host, &engine, run.id).await);
    }
    // What was driven is announced by now, or will be by whoever looks next.
    engine.recover().await.unwrap();
    until_announced(&host.db).await;
    let is_destroyed = matches!(left, Left::Destroyed | Left::DestroyedButForAResponse);
    if is_destroyed || branches(stage.scene) || host.protocol == Protocol::Assistants {
        until_deleted(&host.db).await;
    }

    sound(host, point);
    asked_once(host, point);
    heard(&hub, stage, point, &answers);
    if is_destroyed {
        assert_eq!(rows(host, "assistant_threads"), 0, "{point}");
        assert_eq!(rows(host, "remote_deletions"), 0, "{point}");
        assert_eq!((host.fake.items(), conversations(host)), (vec![], vec![]), "{point}");
        assert!(own_of_calls(host, stage).is_empty(), "{point}: {:?}", own_of_calls(host, stage));
        let unknown = usize::from(left == Left::DestroyedButForAResponse);
        assert_eq!(host.fake.response_ids().len(), unknown, "{point}: responses");
        return;
    }
    answered(host, stage, point, left, answers.first());
    pictured(host, stage, point, left);
    goes_on(host, &engine, stage, point).await;
    sound(host, point);
    asked_once(host, point);
    if host.protocol == Protocol::Assistants {
        // Tidied up beside the run, or found by what was noted.
        until_deleted(&host.db).await;
        let mut own = own_of_calls(host, stage);
        if point == "own_thread.committing" {
            let thread = own.pop().unwrap();
            assert_eq!(host.fake.thread_messages(&thread), Some(vec![]), "{point}: not empty");
        }
        assert_eq!(own, Vec::<String>::new(), "{point}: what calls made for themselves");
    }
}

/// What left the path may be in a conversation that was given up for it.
const fn branches(scene: Scene) -> bool {
    matches!(scene, Scene::Regenerate | Scene::Truncate | Scene::Choose)
}

fn rows<D: TestDatabase>(host: &Host<D>, table: &str) -> i64 {
    host.db.number(&format!("SELECT count(*) FROM ai_engine_{table}"))
}

/// What must never be in the database when nothing is going on.
fn sound<D: TestDatabase>(host: &Host<D>, point: &str) {
    let never = [
        "SELECT count(*) FROM ai_engine_runs WHERE status IN ('queued', 'in_progress', 'requires_action')",
        "SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL OR finished_at IS NULL",
        "SELECT count(*) FROM ai_engine_responses WHERE status = 'in_progress' OR finished_at IS NULL",
        "SELECT count(*) FROM ai_engine_messages WHERE content = '' OR status IN ('pending', 'streaming')",
        "SELECT count(*) FROM ai_engine_message_deltas",
        // Each run has its question, once and first, and at most one answer here.
        "SELECT count(*) FROM ai_engine_runs AS run WHERE 1 <> (SELECT count(*) FROM ai_engine_messages AS said \
         WHERE said.run_id = run.id AND said.seq = run.seq AND said.role = 'user' AND said.position = 0)",
        "SELECT count(*) FROM ai_engine_runs AS run WHERE 1 < (SELECT count(*) FROM ai_engine_messages AS said \
         WHERE said.run_id = run.id AND said.role = 'assistant')",
        // Usage is what the calls cost, once.
        "SELECT count(*) FROM ai_engine_runs AS run WHERE input_tokens + output_tokens <> \
         (SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM ai_engine_responses WHERE run_id = run.id)",
        "SELECT count(*) FROM ai_engine_runs AS run WHERE NOT usage_estimated AND input_tokens + output_tokens <> \
         (SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM ai_engine_messages WHERE run_id = run.id)",
        // G18: a call costs something, and what nobody reported is marked, of a call whose answer was lost as well.
        "SELECT count(*) FROM ai_engine_runs AS run WHERE input_tokens = 0 AND EXISTS \
         (SELECT 1 FROM ai_engine_responses WHERE run_id = run.id)",
        "SELECT count(*) FROM ai_engine_runs AS run WHERE NOT usage_estimated AND EXISTS \
         (SELECT 1 FROM ai_engine_responses WHERE run_id = run.id AND usage_estimated)",
    ];
    for sql in never {
        assert_eq!(host.db.number(sql), 0, "{point}: {sql}");
    }
}

/// An answer is paid for once.
fn asked_once<D: TestDatabase>(host: &Host<D>, point: &str) {
    let asked: Vec<String> = calls(host)
        .iter()
        .filter_map(|input| input.iter().rev().find(|(role, _)| role == "user"))
        .map(|(_, text)| text.clone())
        .collect();
    for text in &asked {
        let times = asked.iter().filter(|other| *other == text).count();
        // A refused call, which cost nothing, is made again on a new conversation.
        let twice = ["lost_conversation.", "again.", "choose."].map(|of| point.starts_with(of));
        // What a dead process left under way is in the way of the next one's, which is refused first.
        let refused = host.protocol == Protocol::Assistants && text == "Go on";
        let allowed = if twice.contains(&true) || refused { 2 } else { 1 };
        assert!(times <= allowed, "{point}: asked {times} times: {text}");
    }
}

/// The owner heard of each end; of those that the child told it of, there.
fn heard(hub: &Hub, stage: &Stage, point: &str, answers: &[End]) {
    let told_by_the_child = ["announce.committed", "late_announce.committed"].contains(&point);
    // It delivers hooks beside that.
    let beside = ["forget_workers.", "title.", "own_end."];
    let perhaps_told = beside.iter().any(|write| point.starts_with(write));
    let told_before = matches!(
        stage.scene,
        Scene::CancelDriven
            | Scene::DestroyThread
            | Scene::DestroyThreadRefused
            | Scene::Truncate
            | Scene::Choose
            | Scene::Fork
    );
    let earlier = matches!(stage.scene, Scene::AskInDoubt | Scene::Regenerate);
    for answer in answers.iter().skip(usize::from(earlier)) {
        let ends = hub.all().into_iter().filter(|heard| {
            matches!(heard, Heard::Run(run) if run.id == answer.run.id && run.status.is_terminal())
        });
        let (expected, heard) = (usize::from(!told_by_the_child && !told_before), ends.count());
        assert!(heard == expected || perhaps_told && heard == 0, "{point}: {heard} ends heard of");
    }
}

fn answered<D: TestDatabase>(
    host: &Host<D>,
    stage: &Stage,
    point: &str,
    left: Left,
    answer: Option<&End>,
) {
    let Some(answer) = answer else {
        assert!(matches!(left, Left::Nothing | Left::Rows(..)), "{point}: the run is lost");
        if left == Left::Nothing {
            assert_eq!(rows(host, "messages"), 0, "{point}: a message without its run");
        }
        return;
    };
    let whole = WORDS.concat();
    let (status, reason) = (answer.run.status, answer.run.reason.as_deref());
    let (text, cost) = (answer.text.clone(), answer.cost);
    assert!(whole.starts_with(&text), "{point}: {text:?} is not what the provider said");
    let interrupted = (RunStatus::Incomplete, Some("interrupted"));
    match left {
        Left::Completed => {
            assert_eq!((status, text), (RunStatus::Completed, whole), "{point}");
            assert_eq!(cost, i64::try_from(USAGE.0 + USAGE.1).unwrap(), "{point}");
        }
        Left::Interrupted(stored) => {
            assert_eq!((status, reason), interrupted, "{point}");
            assert_eq!(text, stored, "{point}");
        }
        Left::FailedInTheDatabase(stored) => {
            assert_eq!((status, reason), (RunStatus::Failed, Some("database")), "{point}");
            assert_eq!(text, stored, "{point}");
        }
        Left::Anyhow => {
            assert!(status == RunStatus::Completed || (status, reason) == interrupted, "{point}");
        }
        Left::InterruptedSomewhere => assert_eq!((status, reason), interrupted, "{point}"),
        Left::Cancelled(stored) => {
            assert_eq!((status, text.as_str()), (RunStatus::Cancelled, stored), "{point}");
        }
        Left::Rows(..) => {
            let cancelled = point == "interrupt.committed";
            let expected = if cancelled { RunStatus::Cancelled } else { RunStatus::Completed };
            assert_eq!(status, expected, "{point}");
        }
        Left::Nothing | Left::Destroyed | Left::DestroyedButForAResponse => {
            panic!("{point}: there is a run of {stage:?}", stage = stage.scene)
        }
    }
}

/// A picture is there with its question, or neither is; and the model is shown it.
fn pictured<D: TestDatabase>(host: &Host<D>, stage: &Stage, point: &str, left: Left) {
    if stage.scene != Scene::AskPictured {
        return;
    }
    let expected = i64::from(left != Left::Nothing);
    assert_eq!(rows(host, "message_parts"), expected, "{point}: pictures");
    let by_address = host.protocol == Protocol::Assistants;
    let bytes = if by_address { 0 } else { expected };
    assert_eq!(rows(host, "blobs"), bytes, "{point}: bytes");
    if left == Left::Completed {
        let shown = |request: Request| request.body.is_some_and(|body| shows(&body.to_string()));
        assert!(host.fake.requests().into_iter().any(shown), "{point}: the model was shown none");
    }
}

fn shows(body: &str) -> bool {
    body.contains(PNG_IN_BASE64) || body.contains(PICTURE)
}

/// The next run works, and the model sees what was said.
async fn goes_on<D: TestDatabase>(host: &Host<D>, engine: &AiEngine, stage: &Stage, point: &str) {
    host.fake.reply_to("Go on", Reply::text("And so on."));
    let mut before = said_here(host);
    let answer = host.teller.ai_engine_run(engine, &stage.thread, "Go on").await.unwrap();
    assert_eq!(answer.text(), "And so on.", "{point}");
    if stage.scene == Scene::AskIgnored {
        // It is found out again, by a process that does not know, and nothing stays there.
        until_deleted(&host.db).await;
        assert_eq!(answer.run.notes, ["conversation_ignored"], "{point}");
        assert!(host.fake.conversation_ids().is_empty(), "{point}: a conversation stays");
    }
    if !host.conversing || stage.scene == Scene::AskIgnored {
        // Texts of the host go apart; a question without a word of answer stays out; what breaks off says so.
        before.retain(|(role, _)| role != "system");
        before.push(("user".to_owned(), "Go on".to_owned()));
        let unanswered = |at: usize| before[at].0 == "user" && before[at + 1].0 == "user";
        let kept = (0..before.len()).filter(|at| at + 1 == before.len() || !unanswered(*at));
        let before: Vec<_> = kept.map(|at| before[at].clone()).collect();
        let sent = calls(host).pop().unwrap();
        let sent: Vec<_> = sent
            .into_iter()
            .map(|(role, text)| (role, text.replace("\n\n[This answer breaks off here.]", "")))
            .collect();
        assert_eq!(sent, before, "{point}: what the model was sent");
        return;
    }
    let thread = host.user.assistant_threads(engine).find(stage.thread.id).await.unwrap();
    let items = conversation(host, &thread.remote_id.unwrap());
    let there: Vec<(String, String)> = items.iter().map(said).collect();
    for item in &there {
        let times = there.iter().filter(|other| *other == item).count();
        assert_eq!(times, 1, "{point}: twice in the conversation: {item:?}");
    }
    // In order, and of a cut answer perhaps more than we have; an answer of which we have nothing may be there too.
    let mut rest = there.iter();
    let here = said_here(host);
    for (at, (role, text)) in here.iter().enumerate() {
        // A question that got no answer may be there or not: it was sent before its process died, or it was not.
        let unanswered = role == "user" && here.get(at + 1).is_some_and(|next| next.0 == "user");
        if unanswered && !there.iter().any(|item| item.1 == *text) {
            continue;
        }
        let found = rest.find(|item| {
            let same = item.0 == *role && item.1.starts_with(text.as_str());
            assert!(same || item.0 == "assistant", "{point}: {item:?} before {text:?}: {there:?}");
            same
        });
        assert!(found.is_some(), "{point}: not in the conversation: {text:?}: {there:?}");
    }
    // A conversation that was made and not noted stays behind, empty.
    let orphans = usize::from(["conversation.created", "conversation.committing"].contains(&point));
    let own = usize::from(point == "own_thread.committing");
    let used = conversations(host).len() - usize::from(stage.scene == Scene::AskFirst) - own;
    assert_eq!(used, 1 + orphans, "{point}: conversations at the provider");
}

/// The role and text of all that was said here, in order.
fn said_here<D: TestDatabase>(host: &Host<D>) -> Vec<(String, String)> {
    let sql = "SELECT role || ':' || content AS line FROM ai_engine_messages \
        WHERE assistant_thread_id = 1 AND superseded_at_seq IS NULL ORDER BY seq, position";
    let split = |line: String| {
        let (role, text) = line.split_once(':').unwrap();
        (role.to_owned(), text.to_owned())
    };
    host.db.texts(sql).into_iter().map(split).collect()
}
