//! What the child does on its way to the point, and what the test prepares for it.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use ai_engine::openai::Protocol;
use ai_engine::openai::unstable::Conversations;
use ai_engine::testing::{API_KEY, Gate, Reply};
use ai_engine::{
    AssistantDefinition, AssistantThread, Busy, Content, Page, Recovery, Role, Run, prelude::*,
};
use serde_json::json;

use crate::support::*;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    CreateThread,
    CreateChat,
    Rename,
    NoteMetadata,
    DestroyChat,
    CreateAssistant,
    DeleteAssistant,
    /// Delete all that belongs to the assistant's record.
    Forget,
    /// Create the assistant where the provider keeps its own.
    KeepAssistant,
    /// The same, and the provider refuses.
    KeepAssistantRefused,
    Say,
    /// Make room for a run where another waits.
    Interrupt,
    /// Cancel a run that waits.
    CancelWaiting,
    /// Cancel a run that another process drives.
    CancelDriven,
    /// Ask once more what was asked.
    Regenerate,
    /// Cut an answer off.
    Truncate,
    /// Take the path of the first answer again.
    Choose,
    Fork,
    DestroyThread,
    /// The same, and the provider refuses.
    DestroyThreadRefused,
    Ask,
    /// Ask without the instructions that the assistant has.
    AskOtherwise,
    /// Ask with a picture.
    AskPictured,
    /// Ask on a new chat.
    AskChat,
    /// Ask, and a model for the thread's title.
    AskTitled,
    /// Ask on a thread that has no conversation yet.
    AskFirst,
    /// Ask on a thread whose conversation is gone.
    AskLost,
    /// Ask when nobody knows what the conversation holds.
    AskInDoubt,
    /// Ask a server that takes conversations and does not keep them.
    AskIgnored,
    /// Ask; fall asleep between the note of the call and the call.
    AskAsleep,
    /// Ask; the database refuses the end of the run.
    AskRefusedAtTheEnd,
    /// Ask; another process destroys the thread before anything of the answer is stored.
    AskDestroyed,
    /// Ask; the answer stops after some words.
    AskStalling,
    /// Shut down in mid-answer.
    Leave,
    /// Recover a run that had some text.
    Recover,
    /// Recover a run that had none and is to be asked again.
    RecoverByRetry,
}

impl Scene {
    pub const fn asks_a_chat(self) -> bool {
        matches!(self, Self::AskChat)
    }
}

/// What the child left.
pub struct Stage {
    pub scene: Scene,
    pub thread: AssistantThread,
    /// The run that was there before the child.
    pub earlier: Option<Run>,
}

pub const QUESTION: &str = "Tell me";
pub const WORDS: [&str; 4] = ["Once ", "upon ", "a ", "time"];
/// Where a picture is, for who takes it by its address.
pub const PICTURE: &str = "https://pictures.example/tree.png";
/// One that is given by its bytes, and how it is sent.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";
pub const PNG_IN_BASE64: &str = "iVBORw0KGgogYW5kIHNvIG9u";
pub const USAGE: (u64, u64) = (11, 7);
/// Those of processes, and those of what is under way at the provider.
pub const END_LEASES: &str = "UPDATE ai_engine_workers SET lease_ends_at = 0; \
    UPDATE ai_engine_remote_deletions SET next_attempt_at = 0; \
    UPDATE ai_engine_assistants SET remote_claim_ends_at = 0 WHERE remote_claim_ends_at IS NOT NULL";

fn refused() -> Reply {
    Reply::status(400, json!({"error": {"message": "no", "type": "invalid_request_error"}}))
}

/// Has a child die at `point`.
pub async fn play<D: TestDatabase>(host: &Host<D>, scene: Scene, point: &str) -> Stage {
    let mut stage = Stage { scene, thread: host.thread().await, earlier: None };
    let gate = Gate::new();
    host.fake.reply_to(QUESTION, reply(scene, host.protocol, &gate));
    match scene {
        Scene::DestroyChat => drop(host.user.chats(&host.engine).create().await.unwrap()),
        Scene::DeleteAssistant | Scene::Forget => {
            host.teller.create_openai_assistant(&host.engine).await.unwrap();
        }
        Scene::KeepAssistantRefused => host.fake.intercept("POST", "/assistants", refused()),
        Scene::Interrupt | Scene::CancelWaiting => {
            stage.earlier = Some(submit_undriven(host, &stage.thread));
        }
        Scene::CancelDriven => {
            let request = host.teller.ai_engine_run(&host.engine, &stage.thread, QUESTION);
            stage.earlier = Some(request.submit().await.unwrap());
            host.hub.until_text(WORDS[0]).await;
        }
        Scene::DestroyThread | Scene::DestroyThreadRefused => {
            host.teller.ai_engine_run(&host.engine, &stage.thread, QUESTION).await.unwrap();
            if scene == Scene::DestroyThreadRefused {
                let error =
                    json!({"error": {"message": "not now", "type": "invalid_request_error"}});
                let kept = match host.protocol {
                    Protocol::Assistants => "/threads",
                    _ => "/responses",
                };
                host.fake.intercept("DELETE", kept, Reply::status(400, error));
            }
        }
        Scene::Regenerate | Scene::Truncate | Scene::Choose | Scene::Fork => {
            let request = host.teller.ai_engine_run(&host.engine, &stage.thread, QUESTION);
            let run = request.await.unwrap().run;
            let again = || Reply::deltas(WORDS).usage(USAGE.0, USAGE.1);
            host.fake.reply_to(QUESTION, again());
            if scene == Scene::Choose {
                run.regenerate(&host.engine).await.unwrap();
            }
            stage.earlier = Some(run);
        }
        Scene::AskFirst => {
            host.db.execute(
                "UPDATE ai_engine_assistant_threads SET remote_id = NULL, endpoint = NULL, protocol = NULL",
            );
        }
        Scene::AskLost => {
            let lost = stage.thread.remote_id.clone().unwrap();
            lose(host, &lost).await;
        }
        Scene::AskIgnored => {
            let nothing = json!({"object": "list", "data": [], "has_more": false});
            // By the process that dies, by whoever looks what the conversation holds, and by whoever asks next.
            for _ in 0..3 {
                host.fake.intercept("GET", "/items", Reply::status(200, nothing.clone()));
            }
        }
        Scene::AskRefusedAtTheEnd => {
            refuse(&host.db, "messages", "UPDATE", "NEW.content LIKE '%time%'");
        }
        Scene::AskInDoubt => dies(host, Scene::Ask, &stage, "call.committed"),
        Scene::Recover => dies(host, Scene::Ask, &stage, "row.committed"),
        Scene::RecoverByRetry => dies(host, scene, &stage, "call.committed"),
        _ => {}
    }
    if matches!(scene, Scene::Recover | Scene::RecoverByRetry) {
        host.db.execute(END_LEASES);
        dies(host, Scene::Recover, &stage, point);
    } else if scene == Scene::AskInDoubt {
        host.db.execute(END_LEASES);
        host.engine.recover().await.unwrap();
        dies(host, scene, &stage, point);
    } else {
        let mut child = start(host, scene, &stage, point);
        if scene == Scene::AskDestroyed {
            gate.reached().await;
            host.user.assistant_threads(&host.engine).destroy(stage.thread.id).await.unwrap();
            until_deleted(&host.db).await;
            gate.open();
        }
        if point.starts_with("deltas.") || scene == Scene::AskRefusedAtTheEnd {
            gate.reached().await;
            let first = "SELECT count(*) FROM ai_engine_messages WHERE role = 'assistant'";
            // The other process's write: nothing but the database can tell.
            while host.db.number(first) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            gate.open();
        }
        assert_died(host, &mut child, point);
    }
    if point == "cancel_request.committing" {
        gate.open();
    }
    stage
}

/// The answer that the child gets.
fn reply(scene: Scene, protocol: Protocol, gate: &Gate) -> Reply {
    let reply = Reply::deltas(WORDS).usage(USAGE.0, USAGE.1);
    let stalls = matches!(scene, Scene::AskStalling | Scene::Leave | Scene::Recover);
    // Behind the first word, which other events come before.
    let word = match protocol {
        Protocol::ChatCompletions => 2,
        Protocol::Assistants => 8,
        _ => 5,
    };
    let reply = if stalls { reply.hold_at(word, gate.clone()).stall_at(word + 1) } else { reply };
    match scene {
        Scene::CancelDriven => reply.hold_at(word, gate.clone()),
        // Its end says more than its stream.
        Scene::AskRefusedAtTheEnd => Reply::deltas([WORDS[0]])
            .final_text(WORDS.concat())
            .usage(USAGE.0, USAGE.1)
            .hold_at(word, gate.clone()),
        Scene::AskDestroyed => reply.hold_at(1, gate.clone()).finish_unseen(),
        _ => reply,
    }
}

/// Has the provider forget a conversation.
async fn lose<D: TestDatabase>(host: &Host<D>, lost: &str) {
    match host.protocol {
        Protocol::Assistants => {
            let url = format!("{}/threads/{lost}", host.fake.base_url());
            let deletion = reqwest::Client::new().delete(url).bearer_auth(API_KEY);
            let deletion = deletion.header("openai-beta", "assistants=v2");
            assert!(deletion.send().await.unwrap().status().is_success());
        }
        _ => Conversations::of(&host.fake.openai().unwrap()).delete(lost).await.unwrap(),
    }
}

fn start<D: TestDatabase>(host: &Host<D>, scene: Scene, stage: &Stage, point: &str) -> Process {
    let sleeps = scene == Scene::AskAsleep;
    let keeps = matches!(scene, Scene::KeepAssistant | Scene::KeepAssistantRefused);
    let titled = scene == Scene::AskTitled;
    // Its beat is a sixth of that; it sleeps for longer.
    let is_short = sleeps || point.starts_with("beat.");
    let (scene, thread) = (format!("{scene:?}"), stage.thread.id.to_string());
    let run = stage.earlier.as_ref().map_or(0, |run| run.id).to_string();
    let mut settings = vec![
        ("AI_ENGINE_CRASH_AT", point),
        ("CHILD_SCENE", &scene),
        ("CHILD_THREAD", &thread),
        ("CHILD_RUN", &run),
        ("CHILD_LEASE", if is_short { "1000" } else { "30000" }),
    ];
    if titled {
        settings.push(("CHILD_TITLES", "yes"));
    }
    if keeps {
        settings.push(("CHILD_PROTOCOL", "assistants"));
        settings.push(("CHILD_HISTORY", "conversation"));
    }
    let mut test = "crash_points::scene::the_process_that_dies";
    if sleeps {
        settings.push(("AI_ENGINE_SLEEP_AT", "call.committed"));
        test = "crash_points::scene::the_process_that_sleeps_and_dies";
    }
    Process::start(host, test, &settings)
}

fn dies<D: TestDatabase>(host: &Host<D>, scene: Scene, stage: &Stage, point: &str) {
    assert_died(host, &mut start(host, scene, stage, point), point);
}

pub fn assert_died<D: TestDatabase>(host: &Host<D>, child: &mut Process, point: &str) {
    const SIGABRT: i32 = 6;
    let ended = child.ended();
    assert_eq!(ended.signal(), Some(SIGABRT), "{point} was not reached: {ended}");
    // PostgreSQL takes a moment to see that, and the locks are held until then.
    assert!(host.db.with(|conn| conn.nobody_is_in_a_transaction()), "{point}: still locked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that dies in the tests here"]
async fn the_process_that_dies() {
    act().await;
}

/// All of it sleeps where one thread does.
#[tokio::test]
#[ignore = "the process that falls asleep in the tests here, and dies"]
async fn the_process_that_sleeps_and_dies() {
    act().await;
}

async fn act() {
    let hub = Hub::default();
    let engine = engine_of_this_process(&hub);
    let scene = setting("CHILD_SCENE");
    let (thread, run) =
        (setting("CHILD_THREAD").parse().unwrap(), setting("CHILD_RUN").parse().unwrap());
    let deed = async {
        let (user, teller) = (ada(), scheherazade());
        let threads = user.assistant_threads(&engine);
        let found = threads.find(thread).await.unwrap();
        let ask = |text: &str| teller.ai_engine_run(&engine, &found, text);
        match scene.as_str() {
            "CreateThread" => drop(threads.create().await.unwrap()),
            "CreateChat" => drop(user.chats(&engine).create().await.unwrap()),
            "Rename" => drop(found.rename(&engine, "Named").await.unwrap()),
            "NoteMetadata" => {
                found.set_metadata(&engine, json!({"noted": true})).await.unwrap();
            }
            "DestroyChat" => user.chats(&engine).destroy(1).await.unwrap(),
            "CreateAssistant" => drop(teller.create_openai_assistant(&engine).await.unwrap()),
            "KeepAssistant" | "KeepAssistantRefused" => {
                drop(teller.create_openai_assistant(&engine).await);
            }
            "DeleteAssistant" => teller.delete_openai_assistant(&engine).await.unwrap(),
            "Forget" => drop(engine.forget(&teller).await.unwrap()),
            "Say" => {
                found.messages(&engine).create(Role::System, "Be brief").await.unwrap();
            }
            "Interrupt" => {
                ask("Instead").when_busy(Busy::Interrupt).submit().await.unwrap();
            }
            "CancelWaiting" | "CancelDriven" => drop(engine.cancel_run(run).await.unwrap()),
            "Regenerate" => {
                let run = engine.find_run(run).await.unwrap();
                run.regenerate(&engine).submit().await.unwrap();
            }
            "Truncate" | "Fork" => {
                let said = found.messages(&engine).list(Page::default()).await.unwrap();
                if scene == "Fork" {
                    found.fork_at(&engine, &said[1]).await.unwrap();
                } else {
                    found.truncate_after(&engine, &said[0]).await.unwrap();
                }
            }
            "Choose" => {
                let run = engine.find_run(run).await.unwrap();
                found.choose(&engine, &run).await.unwrap();
            }
            "DestroyThread" | "DestroyThreadRefused" => threads.destroy(thread).await.unwrap(),
            "AskPictured" => {
                let question = Content::text(QUESTION);
                let question = match setting("CHILD_PROTOCOL").as_str() {
                    "assistants" => question.image_url(PICTURE),
                    _ => question.image("image/png", PNG),
                };
                teller.ai_engine_run(&engine, &found, question).submit().await.unwrap();
            }
            "AskOtherwise" => {
                let bare = |_| AssistantDefinition::new("test-model");
                ask(QUESTION).definition(bare).submit().await.unwrap();
            }
            "AskChat" => {
                let chat = user.chats(&engine).create().await.unwrap();
                chat.run(&engine, "test-model", QUESTION).submit().await.unwrap();
            }
            "AskInDoubt" => drop(ask("And then?").await.unwrap()),
            "Leave" => {
                ask(QUESTION).submit().await.unwrap();
                hub.until_text(WORDS[0]).await;
                engine.shutdown(Duration::ZERO).await.unwrap();
            }
            "Recover" => drop(engine.start().await.unwrap()),
            "RecoverByRetry" => {
                ask(QUESTION).recovery(Recovery::Retry).submit().await.unwrap();
            }
            _ => {
                ask(QUESTION).submit().await.unwrap();
            }
        }
        // What goes on beside.
        std::future::pending::<()>().await;
    };
    tokio::time::timeout(Duration::from_secs(15), deed).await.expect("it still lives");
}
