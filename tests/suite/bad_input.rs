//! Values out of their limits, ids of nothing and of others: a typed error that names the field and the value, nothing
//! stored, nothing sent.

use ai_engine::{
    AssistantDefinition, Content, Error, HookContext, HookResult, Message, MessageHooks, Page,
    Role, RunStatus, prelude::*,
};
use serde_json::json;

use crate::support::*;

on_each_database!(
    content_out_of_its_limits_is_refused,
    a_mebibyte_comes_back_whole,
    a_key_out_of_its_limits_is_refused,
    a_definition_over_a_limit_is_refused_by_each_verb,
    an_owners_id_with_nul_is_refused_by_each_verb,
    what_does_not_exist_is_not_found_by_any_verb,
    another_owners_rows_are_not_found_by_any_verb,
    an_owners_id_that_does_not_parse_costs_no_answer,
    a_loader_that_fails_costs_no_answer,
);

/// An assistant with a definition of the test's, whose id is text.
struct Teller {
    id: String,
    definition: AssistantDefinition,
}

/// An owner whose id is text.
struct Slug {
    id: String,
}

ai_engine::record! { Teller { id: String } as "Teller", Slug { id: String } as "Slug" }

impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        self.definition.clone()
    }
}

impl MessageHooks for Slug {
    async fn ai_engine_on_message_create(&self, _: &Message, _: &HookContext<'_>) -> HookResult {
        Ok(())
    }
}
impl Threadable for Slug {}
impl Chattable for Slug {}

fn teller(definition: AssistantDefinition) -> Teller {
    Teller { id: "scheherazade".to_owned(), definition }
}

async fn host<D: Raw>(db: D) -> Host<D> {
    Host::with(db, |builder| builder.owner::<Slug>(|_, id| Ok(Some(Slug { id })))).await
}

/// What is stored and was sent, to be the same afterwards.
fn state<D: Raw>(host: &Host<D>) -> (Vec<String>, usize) {
    (host.db.ours(), host.fake.requests().len())
}

/// The value is refused by its field, in few words, some of which are known.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, named: &str, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Invalid { field, .. } if *field == named), "{named}: {error}");
    let text = error.to_string();
    assert!(text.contains(words) && text.len() < 400, "{words:?}: {text}");
}

const NUL: &str = "must not contain a NUL character; remove it";

async fn content_out_of_its_limits_is_refused<D: Raw>(db: D) {
    let host = host(db).await;
    let thread = host.thread().await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let assistant = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    let before = state(&host);
    let (huge, over) = ("x".repeat(100 * 1024 * 1024), "é".repeat(Content::MAX_BYTES / 2 + 1));
    for (content, words) in [
        (String::new(), "\"\" must not be empty"),
        (" \n\t".to_owned(), "\" \\n\\t\" must not be empty"),
        ("\u{2003}".repeat(1_000_000), "must not be empty"),
        ("On\0ce".to_owned(), NUL),
        (over, "has 10485762 bytes; at most 10485760 are allowed"),
        (huge, "has 104857600 bytes; at most 10485760 are allowed"),
    ] {
        let (engine, said) = (&host.engine, thread.messages(&host.engine));
        let verbs = [
            host.teller.ai_engine_run(engine, &thread, &content).submit().await.map(|_| ()),
            thread.run(engine, &assistant, &content).await.map(|_| ()),
            chat.run(engine, "m", &content).stream().await.map(|_| ()),
            said.create(Role::User, &content).await.map(|_| ()),
            host.db.with(|conn| {
                let asked = host.teller.ai_engine_run(engine, &thread, &content);
                asked.submit_in(conn.session()).map(|_| ())
            }),
            host.db.with(|conn| said.create_in(conn.session(), Role::System, content).map(|_| ())),
        ];
        for verb in verbs {
            refused(verb, "content", words);
        }
        assert_eq!(state(&host), before);
    }
}

async fn a_mebibyte_comes_back_whole<D: Raw>(db: D) {
    let host = host(db).await;
    let thread = host.thread().await;
    let content: String = (0..).map(|n: u32| format!("{n} é ")).take(150_000).collect();
    assert!(content.len() > 1024 * 1024);
    let answer = host.teller.ai_engine_run(&host.engine, &thread, &content).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    let said = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert!(said[0].content == content, "another text");
    let sent = host.fake.requests().pop().unwrap().body.unwrap().to_string();
    assert!(sent.contains(&content), "another text was sent");
}

async fn a_key_out_of_its_limits_is_refused<D: Raw>(db: D) {
    let host = host(db).await;
    let thread = host.thread().await;
    let before = state(&host);
    for (key, words) in [
        (String::new(), "must have 1 to 255 characters"),
        ("k".repeat(256), "must have 1 to 255 characters"),
        ("k".repeat(10_000_000), "must have 1 to 255 characters"),
        ("k\0".to_owned(), NUL),
    ] {
        let ask = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
        refused(ask.idempotency_key(key).submit().await, "idempotency_key", words);
        assert_eq!(state(&host), before);
    }
    let ask = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
    ask.idempotency_key("é".repeat(255)).await.unwrap();
}

/// Each limit, by the field that it names.
fn definitions() -> Vec<(AssistantDefinition, &'static str, &'static str)> {
    let base = || AssistantDefinition::new("m");
    let crowded = (0..17).fold(base(), |d, i| d.metadata(i.to_string(), "v"));
    let between = |high| if high == 2 { "between 0 and 2" } else { "between 0 and 1" };
    let long = "x".repeat(Content::MAX_BYTES + 1);
    let longest = "at most 10485760 are allowed";
    vec![
        (AssistantDefinition::new(""), "model", "\"\" must name a model of the provider"),
        (AssistantDefinition::new(" \n"), "model", "must name a model"),
        (AssistantDefinition::new("m\0"), "model", NUL),
        (AssistantDefinition::new(&long), "model", longest),
        (base().name("a\0b"), "name", NUL),
        (base().name(&long), "name", longest),
        (base().description("a\0b"), "description", NUL),
        (base().description(&long), "description", longest),
        (base().instructions("a\0b"), "instructions", NUL),
        (base().instructions(&long), "instructions", longest),
        (base().temperature(-0.1), "temperature", "-0.1 must lie between 0 and 2"),
        (base().temperature(2.1), "temperature", "2.1 must lie between 0 and 2"),
        (base().temperature(f64::NAN), "temperature", between(2)),
        (base().temperature(f64::INFINITY), "temperature", between(2)),
        (base().top_p(-0.1), "top_p", "-0.1 must lie between 0 and 1"),
        (base().top_p(1.1), "top_p", between(1)),
        (base().top_p(f64::NEG_INFINITY), "top_p", between(1)),
        (base().max_output_tokens(15), "max_output_tokens", "15 must be at least 16"),
        (base().max_prompt_tokens(255), "max_prompt_tokens", "255 must be at least 256"),
        (base().reasoning("low"), "reasoning", "\"low\") must be an object"),
        (base().reasoning(json!({"effort": "a\0b"})), "reasoning", NUL),
        (crowded, "metadata", "17 pairs\" may hold 16 pairs at most"),
        (base().metadata("k".repeat(65), "v"), "metadata", "a key may have 64 characters at most"),
        (
            base().metadata("k", "v".repeat(513)),
            "metadata",
            "\"k\" may have 512 characters at most",
        ),
        (base().metadata("k", &long), "metadata", "may have 512 characters at most"),
        (base().metadata("k\0", "v"), "metadata", NUL),
        (base().metadata("k", "v\0"), "metadata", NUL),
        (base().tool("f"), "tools", "each tool must be an object with a text `type`"),
        (base().tool(json!({"name": "f"})), "tools", "a text `type`"),
        (base().tool(json!({"type": 1})), "tools", "a text `type`"),
        (base().tool(json!({"type": "function", "name": ["a\0b"]})), "tools", NUL),
        (base().parameter("input", "x"), "parameters", "\"input\" is set by the engine"),
        (base().parameter("stream", false), "parameters", "\"stream\" is set by the engine"),
        (base().parameter("user", "a\0b"), "parameters", NUL),
        (base().parameter("u\0", "x"), "parameters", NUL),
    ]
}

async fn a_definition_over_a_limit_is_refused_by_each_verb<D: Raw>(db: D) {
    let host = host(db).await;
    let thread = host.thread().await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let before = state(&host);
    let engine = &host.engine;
    for (definition, field, words) in definitions() {
        let teller = teller(definition.clone());
        refused(teller.create_openai_assistant(engine).await, field, words);
        refused(teller.update_openai_assistant(engine).await, field, words);
        let saved = host.db.with(|conn| teller.create_openai_assistant_in(conn.session()));
        refused(saved, field, words);
        refused(teller.ai_engine_run(engine, &thread, "Tell me").await, field, words);
        refused(chat.run(engine, definition, "Tell me").submit().await, field, words);
        assert_eq!(state(&host), before, "{field} {words}");
    }
}

async fn an_owners_id_with_nul_is_refused_by_each_verb<D: Raw>(db: D) {
    let host = host(db).await;
    let thread = host.thread().await;
    let engine = &host.engine;
    let before = state(&host);
    let owner = Slug { id: "a\0b".to_owned() };
    let (threads, chats) = (owner.assistant_threads(engine), owner.chats(engine));
    for (field, verbs) in [
        (
            "threadable_id",
            [
                threads.create().await.map(|_| ()),
                host.db.with(|conn| threads.create_in(conn.session()).map(|_| ())),
                threads.find(thread.id).await.map(|_| ()),
                threads.list(Page::default()).await.map(|_| ()),
                threads.destroy(thread.id).await,
                host.db.with(|conn| threads.destroy_all_in(conn.session())),
            ],
        ),
        (
            "chattable_id",
            [
                chats.create().await.map(|_| ()),
                host.db.with(|conn| chats.create_in(conn.session()).map(|_| ())),
                chats.find(1).await.map(|_| ()),
                chats.list(Page::default()).await.map(|_| ()),
                chats.destroy(1).await,
                host.db.with(|conn| chats.destroy_all_in(conn.session())),
            ],
        ),
    ] {
        for verb in verbs {
            refused(verb, field, NUL);
        }
    }
    let teller = Teller { id: "a\0b".to_owned(), definition: AssistantDefinition::new("m") };
    for verb in [
        teller.create_openai_assistant(engine).await.map(|_| ()),
        teller.assistant(engine).await.map(|_| ()),
        teller.delete_openai_assistant(engine).await,
        host.db.with(|conn| teller.create_openai_assistant_in(conn.session()).map(|_| ())),
        host.db.with(|conn| teller.delete_openai_assistant_in(conn.session())),
        teller.ai_engine_run(engine, &thread, "Tell me").await.map(|_| ()),
    ] {
        refused(verb, "assistable_id", NUL);
    }
    assert_eq!(state(&host), before);
}

fn not_found<T: std::fmt::Debug>(result: Result<T, Error>, text: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_eq!(error.to_string(), text);
}

/// A thread, a chat and an assistant that are there no more.
async fn what_does_not_exist_is_not_found_by_any_verb<D: Raw>(db: D) {
    let host = host(db).await;
    let engine = &host.engine;
    let (threads, chats) = (host.user.assistant_threads(engine), host.user.chats(engine));
    let (thread, chat) = (threads.create().await.unwrap(), chats.create().await.unwrap());
    let here = host.thread().await;
    let assistant = host.teller.create_openai_assistant(engine).await.unwrap();
    threads.destroy(thread.id).await.unwrap();
    chats.destroy(chat.id).await.unwrap();
    host.teller.delete_openai_assistant(engine).await.unwrap();
    let before = state(&host);

    let no_thread = format!("no assistant thread with id {} here", thread.id);
    let no_chat = format!("no chat with id {} here", chat.id);
    not_found(threads.find(thread.id).await, &no_thread);
    not_found(threads.destroy(thread.id).await, &no_thread);
    not_found(host.teller.ai_engine_run(engine, &thread, "Tell me").await, &no_thread);
    not_found(thread.run(engine, &assistant, "Tell me").submit().await, &no_thread);
    not_found(thread.messages(engine).create(Role::User, "Tell me").await, &no_thread);
    not_found(chats.find(chat.id).await, &no_chat);
    not_found(chats.destroy(chat.id).await, &no_chat);
    not_found(chat.run(engine, "m", "Tell me").await, &no_chat);
    not_found(chat.messages(engine).create(Role::User, "Tell me").await, &no_chat);
    let no_assistant = format!("no assistant with id {} here", assistant.id);
    not_found(here.run(engine, &assistant, "Tell me").await, &no_assistant);
    not_found(engine.find_run(i64::MAX).await, &format!("no run with id {} here", i64::MAX));
    not_found(engine.cancel_run(-1).await, "no run with id -1 here");
    let foreign = here.messages(engine).list(Page::before(-1, 10)).await;
    not_found(foreign, "no message with id -1 here");
    assert!(matches!(engine.answer(-1).await, Err(Error::RunGone(-1))));
    // What asks for all there is finds nothing.
    assert_eq!(thread.messages(engine).list(Page::default()).await.unwrap(), []);
    assert_eq!(thread.runs(engine, Page::default()).await.unwrap(), []);
    assert_eq!(chat.runs(engine, Page::newest(0)).await.unwrap(), []);
    assert_eq!(thread.cancel(engine).await.unwrap(), None);
    assert_eq!(chat.cancel(engine).await.unwrap(), None);
    host.teller.delete_openai_assistant(engine).await.unwrap();
    assert_eq!(state(&host), before);
}

/// G12.
async fn another_owners_rows_are_not_found_by_any_verb<D: Raw>(db: D) {
    let host = host(db).await;
    let engine = &host.engine;
    let thread = host.thread().await;
    let chat = host.user.chats(engine).create().await.unwrap();
    let before = state(&host);
    // Of another id, and of another type with the same id.
    let bob = User { id: 2, name: "Bob".to_owned() };
    let same = Slug { id: "1".to_owned() };
    let no_thread = format!("no assistant thread with id {} here", thread.id);
    let no_chat = format!("no chat with id {} here", chat.id);
    for (threads, chats) in [
        (bob.assistant_threads(engine), bob.chats(engine)),
        (same.assistant_threads(engine), same.chats(engine)),
    ] {
        not_found(threads.find(thread.id).await, &no_thread);
        not_found(threads.destroy(thread.id).await, &no_thread);
        assert_eq!(threads.list(Page::default()).await.unwrap(), []);
        host.db.with(|conn| threads.destroy_all_in(conn.session())).unwrap();
        not_found(chats.find(chat.id).await, &no_chat);
        not_found(chats.destroy(chat.id).await, &no_chat);
        assert_eq!(chats.list(Page::default()).await.unwrap(), []);
        host.db.with(|conn| chats.destroy_all_in(conn.session())).unwrap();
    }
    assert_eq!(state(&host), before);
    assert_eq!(host.user.assistant_threads(engine).find(thread.id).await.unwrap(), thread);
    assert_eq!(host.user.chats(engine).find(chat.id).await.unwrap(), chat);
}

async fn an_owners_id_that_does_not_parse_costs_no_answer<D: Raw>(db: D) {
    let host = host(db).await;
    let thread = host.thread().await;
    host.db.execute("UPDATE ai_engine_assistant_threads SET threadable_id = 'abc'");
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!((answer.run.status, answer.messages.len()), (RunStatus::Completed, 1));
    assert!(host.hub.all().is_empty());
    // Nobody's handle leads to it.
    let threads = host.user.assistant_threads(&host.engine);
    assert!(matches!(threads.find(thread.id).await, Err(Error::NotFound { .. })));
    assert_eq!(threads.list(Page::default()).await.unwrap(), []);
    // Once it is put right, its last hooks are delivered.
    host.engine.recover().await.unwrap();
    assert_eq!(host.db.number("SELECT count(announced_at) FROM ai_engine_runs"), 0);
    host.db.execute("UPDATE ai_engine_assistant_threads SET threadable_id = '1'");
    host.engine.start().await.unwrap();
    until_announced(&host.db).await;
    assert_eq!(host.hub.settled(), answer.messages);
}

/// What is wrong with the loader stays wrong: the run does not wait for it to pass.
async fn a_loader_that_fails_costs_no_answer<D: Raw>(db: D) {
    type Load = fn(String) -> diesel::QueryResult<Option<Slug>>;
    let broken: Load = |_| Err(diesel::result::Error::DeserializationError("column".into()));
    let gone: Load = |_| Err(diesel::result::Error::NotFound);
    for (load, announced) in [(broken, 0), (gone, 1)] {
        let lease = std::time::Duration::from_hours(1);
        let builder = |builder: ai_engine::EngineBuilder<D::Database>| {
            builder.lease(lease).owner::<Slug>(move |_, id| load(id))
        };
        db.execute("DELETE FROM users; DELETE FROM storytellers");
        let host = Host::with(db.clone(), builder).await;
        let owner = Slug { id: "ada".to_owned() };
        let thread = owner.assistant_threads(&host.engine).create().await.unwrap();
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        let count = "SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NOT NULL";
        assert_eq!(host.db.number(count), announced);
    }
}
