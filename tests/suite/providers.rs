//! Several providers in one engine: each run asks the one that it names, and waits for a process that has it.

mod fallback;
mod switching;

use std::time::Duration;

use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, AssistantDefinition, Busy, Error, EventKind, History, Messageable, Page, Recovery,
    Role, Run, RunStatus, prelude::*,
};
use serde_json::{Value, json};

use crate::enqueue::without_provider;
use crate::support::*;

on_each_database!(
    the_default_provider_is_asked_unless_another_one_is_named,
    a_name_that_is_not_here_is_refused_with_those_that_are,
    providers_that_make_no_sense_are_refused,
    a_run_waits_for_a_process_that_has_its_provider,
    a_title_is_asked_of_the_provider_that_its_definition_names,
    a_chat_can_do_what_a_thread_can,
);

/// A host with a second provider, `local`.
struct Two<D> {
    host: Host<D>,
    local: FakeOpenAi,
}

impl<D: TestDatabase> Two<D> {
    async fn new(db: D) -> Self {
        Self::with(db, History::Local, History::Local).await
    }

    /// The histories of the default provider and of `local`.
    async fn with(db: D, default: History, second: History) -> Self {
        let local = FakeOpenAi::start().await.unwrap();
        let client = local.openai().unwrap();
        let host = Host::with(db, |builder| {
            let builder = builder.history(default).provider("local", client);
            builder.provider_history("local", second)
        });
        let host = host.await;
        host.fake.demo_pace(Duration::ZERO);
        local.demo_pace(Duration::ZERO);
        let conversing = default == History::Conversation;
        Self { host: Host { conversing, ..host }, local }
    }

    /// How many answers each began.
    fn answered(&self) -> (usize, usize) {
        (self.host.fake.responses_created(), self.local.responses_created())
    }
}

fn by(run: &Run) -> (&str, &str) {
    (run.provider.as_deref().unwrap_or_default(), run.model.as_str())
}

/// What the last request for an answer sent.
fn asked_last(fake: &FakeOpenAi) -> Value {
    let requests = fake.requests().into_iter().rev();
    let mut asked =
        requests.filter(|sent| sent.method == "POST" && sent.path.ends_with("/responses"));
    asked.next().unwrap().body.unwrap()
}

async fn the_default_provider_is_asked_unless_another_one_is_named<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let (host, engine) = (&two.host, &two.host.engine);
    let thread = host.thread().await;
    let ask = || host.teller.ai_engine_run(engine, &thread, "Tell me");
    let run = ask().await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("openai", "test-model"), (1, 0)));
    let run = ask().provider("local").await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("local", "test-model"), (1, 1)));
    let run = ask().provider("openai").await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("openai", "test-model"), (2, 1)));
    let other = |usual: AssistantDefinition| usual.provider("local").model("small");
    let run = ask().definition(other).await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("local", "small"), (2, 2)));
    // As it was asked.
    let run = run.regenerate(engine).await.unwrap().run;
    assert_eq!(by(&run), ("openai", "test-model"), "the stored assistant names none");

    let chat = host.user.chats(engine).create().await.unwrap();
    let run = chat.run(engine, "small", "Hello").provider("local").await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("local", "small"), (3, 3)));
    let run = run.regenerate(engine).await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("local", "small"), (3, 4)));
    assert_eq!(chat.run(engine, "big", "And?").await.unwrap().run.provider.unwrap(), "openai");

    // Without `openai` the first one is the default.
    let builder = AiEngine::builder(host.db.database()).state(host.hub.clone());
    let builder = builder.provider("b", two.local.openai().unwrap());
    let builder = builder.provider("a", host.fake.openai().unwrap());
    let turned = D::owners(builder).build().unwrap();
    let run = chat.run(&turned, "small", "And then?").await.unwrap().run;
    assert_eq!((by(&run), two.answered()), (("b", "small"), (4, 5)));
}

async fn a_name_that_is_not_here_is_refused_with_those_that_are<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let (host, engine) = (&two.host, &two.host.engine);
    let thread = host.thread().await;
    let assistant = host.teller.create_openai_assistant(engine).await.unwrap();
    let refused = |error: Error| match error {
        Error::UnknownProvider { name, known, .. } => {
            assert_eq!(
                (name.as_str(), known),
                ("nowhere", ["openai", "local"].map(String::from).into())
            );
        }
        other => panic!("{other}"),
    };
    let ask = || host.teller.ai_engine_run(engine, &thread, "Tell me");
    refused(ask().provider("nowhere").submit().await.unwrap_err());
    let falling_back = |usual: AssistantDefinition| usual.fallback("nowhere", "m");
    refused(ask().definition(falling_back).submit().await.unwrap_err());
    let stored = thread.run(engine, &assistant, "Tell me").provider("nowhere");
    refused(stored.submit().await.unwrap_err());
    let within = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            let asked = ask().provider("nowhere").submit_in(conn.session());
            refused(asked.unwrap_err());
            Ok(())
        })
    });
    within.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
    assert_eq!((host.fake.requests().len(), two.local.requests().len()), (0, 0));
    // Whoever leaves it to others need not have it.
    let run = ask().provider("nowhere").enqueue().await.unwrap();
    assert_eq!((run.status, run.provider.as_deref()), (RunStatus::Queued, Some("nowhere")));
    refused(engine.drive(run.id).await.unwrap_err());
    assert!(matches!(
        ask().provider("\0").when_busy(Busy::Queue).enqueue().await,
        Err(Error::Invalid { field: "provider", .. })
    ));
}

async fn providers_that_make_no_sense_are_refused<D: TestDatabase>(db: D) {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = || fake.openai().unwrap();
    let builder = || AiEngine::builder(db.database());
    let long = "n".repeat(65);
    for (refused, word) in [
        (builder().openai(client()).provider("openai", client()), "\"openai\""),
        (builder().provider("a", client()).provider("a", client()), "\"a\""),
        (builder().provider("", client()), "1 to 64"),
        (builder().provider(" ", client()), "1 to 64"),
        (builder().provider(&long, client()), "1 to 64"),
        (builder().openai(client()).provider_history("b", History::Local), "\"b\""),
    ] {
        match refused.build() {
            Err(Error::Configuration(text)) => assert!(text.contains(word), "{text}"),
            other => panic!("{word}: {other:?}"),
        }
    }
    let titles = AssistantDefinition::new("m").provider("nowhere");
    let refused = builder().openai(client()).titles(titles.clone()).build();
    assert!(matches!(refused, Err(Error::UnknownProvider { .. })), "{refused:?}");
    builder().titles(titles).build().unwrap();
}

async fn a_run_waits_for_a_process_that_has_its_provider<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let host = &two.host;
    let status = async |run: &Run| host.engine.find_run(run.id).await.unwrap().status;
    let web = without_provider(host);
    // More than one look takes, and older than what can be driven.
    let mut foreign = Vec::new();
    for _ in 0..20 {
        let thread = host.thread().await;
        let asked = host.teller.ai_engine_run(&web, &thread, "Tell me").provider("local");
        foreign.push(asked.idempotency_key("once").enqueue().await.unwrap());
    }
    let dead = host.thread().await;
    let lost = host.teller.ai_engine_run(&web, &dead, "Tell me").provider("local");
    let lost = lost.recovery(Recovery::Retry).enqueue().await.unwrap();
    host.db.execute(&format!(
        "UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'dead', started_at = created_at WHERE id = {}",
        lost.id
    ));
    let lacking = engine(&host.db, &host.fake, &host.hub, |builder| builder);
    let found = lacking.start().await.unwrap();
    assert_eq!((found.retried, found.driven), (1, 0), "queued again is not driven");
    let thread = host.thread().await;
    let known = host.teller.ai_engine_run(&web, &thread, "Tell me").enqueue().await.unwrap();
    assert!(lacking.answer(known.id).await.is_ok());
    // The one that it leaves keeps what is behind it waiting, as any run does.
    let first = web.find_run(foreign[0].id).await.unwrap();
    let threads = host.user.assistant_threads(&lacking);
    let ask = async |run: &Run, key: &str| {
        let Messageable::AssistantThread(id) = run.messageable else { panic!() };
        let thread = threads.find(id).await.unwrap();
        let request = host.teller.ai_engine_run(&lacking, &thread, "Go on");
        request.when_busy(Busy::Queue).idempotency_key(key).submit().await.unwrap()
    };
    let behind = ask(&first, "another").await;
    // A second request under the key of another one returns that, and drives nothing.
    let same = ask(&foreign[1], "once").await;
    assert_eq!((same.id, same.status), (foreign[1].id, RunStatus::Queued));
    let another = host.thread().await;
    host.teller.ai_engine_run(&lacking, &another, "Tell me").await.unwrap();
    for run in foreign.iter().chain([&lost, &behind]) {
        assert_eq!(status(run).await, RunStatus::Queued);
    }
    assert_eq!(two.local.requests().len(), 0);
    assert!(matches!(lacking.drive(first.id).await, Err(Error::UnknownProvider { .. })));

    host.engine.start().await.unwrap();
    for run in foreign.iter().chain([&lost, &behind]) {
        assert!(host.engine.answer(run.id).await.is_ok());
    }
    assert_eq!(two.local.responses_created(), foreign.len() + 1);
}

async fn a_title_is_asked_of_the_provider_that_its_definition_names<D: TestDatabase>(db: D) {
    let local = FakeOpenAi::start().await.unwrap();
    let client = local.openai().unwrap();
    let titles = AssistantDefinition::new("big").fallback("local", "small");
    let host = Host::with(db, |builder| builder.provider("local", client).titles(titles)).await;
    let thread = host.thread().await;
    host.fake.reply_to("Tell me", Reply::text("Once upon a time"));
    let refused = json!({"error": {"message": "no", "type": "invalid_request_error"}});
    host.fake.reply_to("The title", Reply::status(400, refused));
    local.reply_to("The title", Reply::text("A story"));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me something").await.unwrap();
    let named = "SELECT count(*) FROM ai_engine_assistant_threads WHERE title = 'A story'";
    until(|| host.db.number(named) == 1).await;
    assert_eq!(local.requests()[0].body.as_ref().unwrap()["model"], "small");
}

async fn a_chat_can_do_what_a_thread_can<D: TestDatabase>(db: D) {
    let two = Two::with(db, History::Conversation, History::Conversation).await;
    let (host, engine) = (&two.host, &two.host.engine);
    let chats = host.user.chats(engine);
    let chat = chats.create().title("Small talk").await.unwrap();
    let messages = chat.messages(engine);
    messages.create(Role::System, "Be brief.").await.unwrap();
    messages.create(Role::User, "Hello").author("ada").await.unwrap();
    messages.create(Role::Assistant, "Good morning.").await.unwrap();
    let mut events = chat.events(engine);
    let ask = |text: &str| chat.run(engine, "small", text).provider("local");
    two.local.reply(Reply::text("Fine."));
    let answer = ask("How are you?").await.unwrap();
    assert_eq!(answer.text(), "Fine.");
    assert_eq!(two.local.last_input().texts("user"), ["Hello", "How are you?"]);
    assert_eq!(two.local.last_input().texts("assistant"), ["Good morning."]);
    let sent = asked_last(&two.local);
    assert_eq!((&sent["instructions"], &sent["store"]), (&json!("Be brief."), &json!(false)));
    loop {
        let event = events.next().await.unwrap().unwrap();
        if matches!(&event.kind, EventKind::RunSettled { .. }) {
            break;
        }
    }

    let refused = json!({"error": {"message": "no", "type": "invalid_request_error"}});
    two.local.reply(Reply::status(400, refused));
    let Err(Error::RunFailed { run_id, .. }) = ask("Once more?").await else { panic!() };
    let failed = engine.find_run(run_id).await.unwrap();
    let retried = failed.retry(engine).await.unwrap().run;
    assert_eq!(by(&retried), ("local", "small"));
    two.local.reply(Reply::deltas(["Slow ", "answer"]).stall_at(5));
    let run = ask("Slowly?").submit().await.unwrap();
    host.hub.until_text("Slow ").await;
    chat.cancel(engine).await.unwrap().unwrap();
    assert_eq!(engine.answer(run.id).await.unwrap().run.status, RunStatus::Cancelled);
    let turns = chat.turns(engine, Page::default()).await.unwrap();
    assert_eq!(turns.items.len(), 6, "three that were stored, three that were asked");
    let said = messages.list(Page::default()).await.unwrap();
    let fork = chat.fork_at(engine, &said[4]).await.unwrap();
    let edited = chat.edit(engine, &said[3], "How is she?").await.unwrap().run;
    assert_eq!(by(&edited), ("local", "small"));
    chat.choose(engine, &run).await.unwrap();
    chat.truncate_after(engine, &said[4]).await.unwrap();
    assert_eq!(messages.list(Page::default()).await.unwrap().len(), 5);
    assert_eq!(fork.messages(engine).list(Page::default()).await.unwrap().len(), 5);
    assert_eq!(
        fork.runs(engine, Page::default()).await.unwrap()[0].provider.as_deref(),
        Some("local")
    );
    assert_eq!(chats.recent(Page::default()).await.unwrap().items.len(), 2);
    chats.destroy(chat.id).await.unwrap();
    chats.destroy(fork.id).await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    until_deleted(&host.db).await;
}
