//! G16, G7: a thread goes from one server to another and back, whoever keeps its history: each is told all that was said, and nothing
//! is left behind anywhere.

use std::net::TcpListener;

use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{AiEngine, AssistantThread, History, OpenAi, Page, RunStatus, prelude::*};
use serde_json::{Value, json};

use super::{Two, asked_last, by};
use crate::support::*;

on_each_database!(
    a_thread_that_goes_back_and_forth_is_told_all_at_each_server,
    turns_that_are_taken_again_may_ask_another_server,
    a_crash_between_two_servers_conversations_loses_nothing,
    a_conversation_in_another_protocol_is_not_gone_on_with,
    a_conversation_that_came_late_does_not_replace_one_in_use,
    what_one_server_does_not_know_of_another_does_not_break_it,
    a_server_that_hangs_keeps_no_deletion_from_another,
);

const BOTH: [History; 2] = [History::Local, History::Conversation];

fn text_of(item: &Value) -> String {
    match &item["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    }
}

impl<D: TestDatabase> Two<D> {
    async fn found(&self, thread: &AssistantThread) -> AssistantThread {
        self.host.user.assistant_threads(&self.host.engine).find(thread.id).await.unwrap()
    }

    /// Asks one of the two, who answers with `answer`, and returns what its model was shown, the answer included.
    async fn turn(&self, thread: &AssistantThread, name: &str, answer: &str) -> Vec<String> {
        let fake = if name == "local" { &self.local } else { &self.host.fake };
        let question = format!("{answer}?");
        fake.reply_to(&question, Reply::text(answer));
        let request = self.host.teller.ai_engine_run(&self.host.engine, thread, question);
        let run = request.provider(name).await.unwrap().run;
        assert_eq!((run.status, by(&run).0), (RunStatus::Completed, name));
        assert!(run.notes.is_empty(), "{:?}", run.notes);
        self.shown(thread, fake, answer).await
    }

    async fn shown(
        &self,
        thread: &AssistantThread,
        fake: &FakeOpenAi,
        answer: &str,
    ) -> Vec<String> {
        let body = asked_last(fake);
        if body["conversation"].is_null() {
            let sent: Vec<Value> = body["input"].as_array().unwrap().clone();
            let answer = answer.to_owned();
            return sent.iter().map(text_of).chain([answer]).collect();
        }
        let thread = self.found(thread).await;
        let items = fake.conversation_items(&thread.remote_id.unwrap()).unwrap();
        items.iter().map(text_of).filter(|text| !text.is_empty()).collect()
    }

    /// Destroys the thread, and sees that neither server has anything of it.
    async fn leave(&self, thread: &AssistantThread) {
        self.host.user.assistant_threads(&self.host.engine).destroy(thread.id).await.unwrap();
        until_deleted(&self.host.db).await;
        for fake in [&self.host.fake, &self.local] {
            assert!(fake.conversation_ids().is_empty());
            assert!(fake.items().is_empty() && fake.response_ids().is_empty());
        }
    }
}

async fn a_thread_that_goes_back_and_forth_is_told_all_at_each_server<D: TestDatabase>(db: D) {
    for default in BOTH {
        for second in BOTH {
            let two = Two::with(db.another(), default, second).await;
            let thread = two.host.thread().await;
            let mut said: Vec<String> = Vec::new();
            for (turn, name) in ["openai", "local", "local", "openai", "openai", "local", "openai"]
                .iter()
                .enumerate()
            {
                if turn == 3 {
                    let messages = thread.messages(&two.host.engine);
                    messages.create(ai_engine::Role::User, "By the way").await.unwrap();
                    said.push("By the way".to_owned());
                }
                let answer = format!("answer {turn}");
                said.extend([format!("{answer}?"), answer.clone()]);
                let mut shown = two.turn(&thread, name, &answer).await;
                // Two texts of the user in a row are joined where the history is ours.
                shown =
                    shown.iter().flat_map(|text| text.split("\n\n")).map(String::from).collect();
                assert_eq!(shown, said, "{default:?}, {second:?}, turn {turn} at {name}");
            }
            // What is not in use any more is deleted already.
            until_deleted(&two.host.db).await;
            let kept = (two.host.fake.conversation_ids().len(), two.local.conversation_ids().len());
            let one = |history| usize::from(history == History::Conversation);
            assert_eq!(kept, (one(default), usize::from(default == History::Local) * one(second)));
            two.leave(&thread).await;
        }
    }
}

async fn turns_that_are_taken_again_may_ask_another_server<D: TestDatabase>(db: D) {
    for (default, second) in [(BOTH[1], BOTH[1]), (BOTH[1], BOTH[0]), (BOTH[0], BOTH[1])] {
        let two = Two::with(db.another(), default, second).await;
        let (host, engine) = (&two.host, &two.host.engine);
        let thread = host.thread().await;
        two.turn(&thread, "openai", "one").await;
        two.turn(&thread, "local", "two").await;
        let newest = thread.runs(engine, Page::default()).await.unwrap().remove(0);
        host.fake.reply_to("two?", Reply::text("deux"));
        let again = newest.regenerate(engine).provider("openai").await.unwrap().run;
        assert_eq!(by(&again).0, "openai");
        let shown = two.shown(&thread, &host.fake, "deux").await;
        assert_eq!(shown, ["one?", "one", "two?", "deux"], "{default:?}, {second:?}");
        let shown = two.turn(&thread, "local", "three").await;
        assert_eq!(shown, ["one?", "one", "two?", "deux", "three?", "three"]);

        // A failed one is asked elsewhere.
        let refused = json!({"error": {"message": "no", "type": "invalid_request_error"}});
        two.local.reply_to("four?", Reply::status(400, refused));
        let failed = host.teller.ai_engine_run(engine, &thread, "four?").provider("local").await;
        let Err(ai_engine::Error::RunFailed { run_id, .. }) = failed else { panic!("{failed:?}") };
        host.fake.reply_to("four?", Reply::text("four"));
        engine.find_run(run_id).await.unwrap().retry(engine).await.unwrap();
        let shown = two.shown(&thread, &host.fake, "four").await;
        assert_eq!(shown[4..], ["three?", "three", "four?", "four"], "{default:?}, {second:?}");

        // The other path, at the other server; and a copy of it, which neither has seen.
        thread.choose(engine, &newest).await.unwrap();
        let shown = two.turn(&thread, "local", "five").await;
        assert_eq!(
            shown,
            ["one?", "one", "two?", "two", "five?", "five"],
            "{default:?}, {second:?}"
        );
        let said = thread.messages(engine).list(Page::default()).await.unwrap();
        let fork = thread.fork_at(engine, said.last().unwrap()).await.unwrap();
        for (name, answer) in [("openai", "six"), ("local", "seven")] {
            let shown = two.turn(&fork, name, answer).await;
            assert_eq!(shown[..6], ["one?", "one", "two?", "two", "five?", "five"]);
        }
        host.user.assistant_threads(engine).destroy(fork.id).await.unwrap();
        two.leave(&thread).await;
    }
}

/// The thread has its new conversation, and nothing of what the old one held is in it.
async fn a_crash_between_two_servers_conversations_loses_nothing<D: TestDatabase>(db: D) {
    for point in ["conversation.created", "conversation.committing", "conversation.committed"] {
        let two = Two::with(db.another(), History::Conversation, History::Conversation).await;
        let (host, engine) = (&two.host, &two.host.engine);
        let thread = host.thread().await;
        two.turn(&thread, "openai", "one").await;
        let (id, local) = (thread.id.to_string(), two.local.base_url());
        let settings =
            [("AI_ENGINE_CRASH_AT", point), ("CHILD_LOCAL", &local), ("CHILD_THREAD", &id)];
        let test = "providers::switching::the_process_that_dies";
        let mut child = Process::start(host, test, &settings);
        assert!(!child.ended().success(), "{point} was not reached");
        host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
        engine.recover().await.unwrap();
        for (name, answer) in [("openai", "three"), ("local", "four"), ("openai", "five")] {
            let shown = two.turn(&thread, name, answer).await;
            assert_eq!(shown[..2], ["one?", "one"], "{point}, {name}");
            assert_eq!(shown.last().unwrap(), answer);
        }
        host.user.assistant_threads(engine).destroy(thread.id).await.unwrap();
        until_deleted(&host.db).await;
        assert!(host.fake.conversation_ids().is_empty());
        // One that was made and whose id was never stored is nobody's.
        let lost = usize::from(point != "conversation.committed");
        assert_eq!(two.local.conversation_ids().len(), lost, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that dies in the test here"]
async fn the_process_that_dies() {
    let engine: AiEngine = engine_of_this_process(&Hub::default());
    let threads = ada().assistant_threads(&engine);
    let thread = threads.find(setting("CHILD_THREAD").parse().unwrap()).await.unwrap();
    let _ = scheherazade().ai_engine_run(&engine, &thread, "two?").provider("local").await;
}

async fn a_conversation_in_another_protocol_is_not_gone_on_with<D: TestDatabase>(db: D) {
    let two = Two::with(db, History::Conversation, History::Local).await;
    let thread = two.host.thread().await;
    two.turn(&thread, "openai", "one").await;
    let old = two.found(&thread).await.remote_id.unwrap();
    for table in ["assistant_threads", "messages", "run_items"] {
        two.host.db.execute(&format!("UPDATE ai_engine_{table} SET protocol = 'other'"));
    }
    let shown = two.turn(&thread, "openai", "two").await;
    assert_eq!(shown, ["one?", "one", "two?", "two"]);
    let found = two.found(&thread).await;
    assert_ne!(found.remote_id.unwrap(), old);
    assert_eq!(found.protocol.as_deref(), Some("responses"));
    // It is for an engine that speaks that protocol.
    two.host.engine.recover().await.unwrap();
    let left = "SELECT protocol || ' ' || remote_id AS line FROM ai_engine_remote_deletions";
    assert_eq!(two.host.db.texts(left), [format!("other {old}")]);
    assert_eq!(two.host.fake.conversation_ids().len(), 2);
}

/// A thread may be asked at another server while its first conversation is still being made.
async fn a_conversation_that_came_late_does_not_replace_one_in_use<D: TestDatabase>(db: D) {
    let two = Two::with(db, History::Conversation, History::Conversation).await;
    let elsewhere = two.local.base_url();
    let db = two.host.db.clone();
    two.host.fake.on_request(move |request| {
        if request.path.ends_with("/conversations") {
            db.execute(&format!(
                "UPDATE ai_engine_assistant_threads SET remote_id = 'conv_in_use', endpoint = '{elsewhere}', protocol = 'responses'"
            ));
        }
    });
    let thread = two.host.thread().await;
    assert_eq!(thread.remote_id, None);
    assert_eq!(two.found(&thread).await.remote_id.as_deref(), Some("conv_in_use"));
    until(|| two.host.fake.conversation_ids().is_empty()).await;
}

/// The two may give the same ids to different things.
async fn what_one_server_does_not_know_of_another_does_not_break_it<D: TestDatabase>(db: D) {
    let two = Two::with(db, History::Conversation, History::Conversation).await;
    let (host, engine) = (&two.host, &two.host.engine);
    let thread = host.thread().await;
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"});
    host.fake.reply(Reply::text("one").item(reasoning));
    host.teller.ai_engine_run(engine, &thread, "one?").await.unwrap();
    // It breaks off after the answer was begun here: in doubt.
    two.local.reply(Reply::deltas(["tw", "o"]).disconnect_at(5).finish_unseen());
    let broken =
        host.teller.ai_engine_run(engine, &thread, "two?").provider("local").await.unwrap();
    assert_eq!(broken.run.status, RunStatus::Incomplete);
    let sent = asked_last(&two.local);
    let kinds: Vec<_> =
        sent["input"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert!(!kinds.contains(&&json!("reasoning")), "{kinds:?}");
    let shown = two.turn(&thread, "openai", "three").await;
    assert_eq!(shown[..3], ["one?", "one", "two?"]);
    assert!(shown[3].starts_with("tw"), "{shown:?}");
    assert_eq!(shown[4..], ["three?", "three"]);
    two.leave(&thread).await;
}

async fn a_server_that_hangs_keeps_no_deletion_from_another<D: TestDatabase>(db: D) {
    // It takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", silent.local_addr().unwrap());
    let client = OpenAi::builder().api_key("k").base_url(&address).build().unwrap();
    let host =
        Host::with(db, |builder| builder.history(History::Conversation).provider("silent", client));
    let host = host.await;
    let thread = host.thread().await;
    host.db.execute(&format!(
        "INSERT INTO ai_engine_remote_deletions (endpoint, protocol, kind, remote_id, attempts, created_at, next_attempt_at) \
         SELECT '{address}', 'responses', 'conversation', 'conv_1', 0, created_at, 0 FROM ai_engine_assistant_threads"
    ));
    host.engine.recover().await.unwrap();
    let of = |what: &str| {
        format!(
            "SELECT count(*) FROM ai_engine_remote_deletions WHERE endpoint = '{address}' AND {what}"
        )
    };
    until(|| host.db.number(&of("attempts = 1")) == 1).await;
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    until(|| host.fake.conversation_ids().is_empty()).await;
    assert_eq!(
        host.db.number(&of("attempts = 1 AND last_error IS NULL")),
        1,
        "it waited for that one"
    );
}
