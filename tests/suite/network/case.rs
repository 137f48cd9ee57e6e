//! One fault, and what must hold after it whatever it was.

use ai_engine::testing::{API_KEY, FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, Answer, Error, History, OpenAi, Page, Role, RunStatus,
    openai::{OpenAiBuilder, Protocol},
    prelude::*,
};
use tokio::task::JoinSet;

use crate::support::*;

/// How a run may end.
#[derive(Debug, Clone)]
pub enum End {
    /// A typed error with this reason, and nothing of an answer.
    Failed(&'static str),
    /// `incomplete` with this reason and this text.
    Kept(&'static str, &'static str),
    /// An answer like any other.
    Answered(&'static str),
}

#[derive(Clone)]
pub struct Case {
    name: String,
    replies: Vec<Reply>,
    always: Option<Reply>,
    history: History,
    client: OpenAiBuilder,
    protocol: Protocol,
    /// Where the client goes instead of to the fake.
    elsewhere: Option<String>,
    end: End,
    calls: usize,
}

impl Case {
    /// The provider gives this reply to every call, and must be called once.
    pub fn new(name: impl Into<String>, reply: Reply, end: End) -> Self {
        Self {
            name: name.into(),
            replies: Vec::new(),
            always: Some(reply),
            history: History::Local,
            client: OpenAi::builder().max_retries(0),
            protocol: Protocol::Responses,
            elsewhere: None,
            end,
            calls: 1,
        }
    }

    /// The provider gives this reply to the first call and answers the next.
    pub fn once(name: impl Into<String>, reply: Reply) -> Self {
        let case = Self::new(name, Reply::text("Once upon"), End::Answered("Once upon"));
        Self { replies: vec![reply], calls: 2, ..case }
    }

    /// There is no provider where the client looks for it.
    pub fn elsewhere(name: &str, base_url: String, reason: &'static str) -> Self {
        let case = Self::new(name, Reply::hang_up(), End::Failed(reason));
        Self { elsewhere: Some(base_url), calls: 0, ..case }
    }

    /// Sets what concerns the client.
    pub fn client(mut self, set: impl FnOnce(OpenAiBuilder) -> OpenAiBuilder) -> Self {
        self.client = set(self.client);
        self
    }

    pub fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol, name: format!("{} ({protocol})", self.name), ..self }
    }

    /// How often the provider must be called in all.
    pub fn calls(self, calls: usize) -> Self {
        Self { calls, ..self }
    }

    pub fn history(self, history: History) -> Self {
        let case = Self { history, name: format!("{} ({history:?})", self.name), ..self };
        match history {
            // The next run may come before the provider has seen that this one's client left.
            History::Conversation => case.client(|client| client.max_retries(1)),
            _ => case,
        }
    }

    async fn check<D: TestDatabase>(self, db: D, user: User, teller: Storyteller) {
        let name = &self.name;
        let (fake, hub) = (FakeOpenAi::start().await.unwrap(), Hub::default());
        self.replies.into_iter().for_each(|reply| fake.reply(reply));
        if let Some(reply) = self.always {
            fake.reply_always(reply);
        }
        // Not `support::engine`, which makes a client of its own: that takes long, and there are many cases.
        let engine_at = |base_url: &str| {
            let client = self.client.clone().protocol(self.protocol);
            let client = client.api_key(API_KEY).base_url(base_url).build().unwrap();
            let builder = AiEngine::builder(db.database()).openai(client).state(hub.clone());
            D::owners(builder).history(self.history).build().unwrap()
        };
        let engine = engine_at(self.elsewhere.as_deref().unwrap_or(&fake.base_url()));
        let thread = user.assistant_threads(&engine).create().await.unwrap();

        let result = teller.ai_engine_run(&engine, &thread, "Tell me").await;

        let path = match self.protocol {
            Protocol::ChatCompletions => "/v1/chat/completions",
            _ => "/v1/responses",
        };
        let calls = fake.requests().iter().filter(|request| request.path == path).count();
        assert_eq!(calls, self.calls, "{name}: calls of the provider; {result:?}");
        let run_id = run_of(name, &result, &self.end);
        let run = engine.find_run(run_id).await.unwrap();
        assert!(run.finished_at.is_some(), "{name}");
        let failed = !matches!(self.end, End::Answered(_));
        assert_eq!(
            (run.reason.is_some(), run.error.is_some()),
            (failed, failed),
            "{name}: {run:?}"
        );
        let stored = thread.messages(&engine).list(Page::default()).await.unwrap();
        let told: Vec<_> = stored.iter().map(|message| (message.role, &*message.content)).collect();
        let mut expected = vec![(Role::User, "Tell me")];
        if let End::Kept(_, text) | End::Answered(text) = self.end {
            expected.push((Role::Assistant, text));
        }
        assert_eq!(told, expected, "{name}");
        let heard = hub.all();
        let all = format!("{result:?} {run:?} {stored:?} {heard:?} {engine:?}");
        let shown = result.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(!all.contains(API_KEY) && !shown.contains(API_KEY), "{name}: {shown} {all}");

        // The thread can be used again, by a client that finds the provider.
        fake.reply_always(Reply::text("And then."));
        let again = match &self.elsewhere {
            Some(_) => engine_at(&fake.base_url()),
            None => engine,
        };
        let answer = teller.ai_engine_run(&again, &thread, "Go on").await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: the next run: {error}"));
        assert_eq!(
            (answer.run.status, &*answer.text()),
            (RunStatus::Completed, "And then."),
            "{name}"
        );
    }
}

/// The id of a run that ended as expected.
fn run_of(name: &str, result: &ai_engine::Result<Answer>, end: &End) -> i64 {
    match (result, end) {
        (Err(Error::RunFailed { run_id, reason, message, .. }), End::Failed(expected)) => {
            assert_eq!(reason, expected, "{name}: {message}");
            assert!(!message.trim().is_empty(), "{name}");
            *run_id
        }
        (Ok(answer), End::Kept(reason, text)) => {
            let told = (answer.run.status, answer.run.reason.as_deref(), answer.text());
            let expected = (RunStatus::Incomplete, Some(*reason), (*text).to_owned());
            assert_eq!(told, expected, "{name}");
            answer.run.id
        }
        (Ok(answer), End::Answered(text)) => {
            let told = (answer.run.status, answer.text());
            assert_eq!(told, (RunStatus::Completed, (*text).to_owned()), "{name}");
            answer.run.id
        }
        _ => panic!("{name}: {result:?} instead of {end:?}"),
    }
}

/// The same cases, those with local history also over Chat Completions.
pub fn in_each_protocol(cases: impl IntoIterator<Item = Case>) -> Vec<Case> {
    let both = |case: Case| match case.history {
        History::Local => {
            let chat = case.clone().protocol(Protocol::ChatCompletions);
            vec![case, chat]
        }
        _ => vec![case],
    };
    cases.into_iter().flat_map(both).collect()
}

/// Checks all cases at once, since most of their time is spent waiting; then what holds for the database as a whole.
pub async fn check_all<D: TestDatabase>(db: D, cases: impl IntoIterator<Item = Case>) {
    let host = Host::new(db).await;
    let mut tasks = JoinSet::new();
    for case in cases {
        tasks.spawn(case.check(host.db.clone(), host.user.clone(), host.teller.clone()));
    }
    while let Some(checked) = tasks.join_next().await {
        if let Err(error) = checked {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    let contents = host.db.texts("SELECT content AS line FROM ai_engine_messages");
    assert!(contents.iter().all(|content| !content.trim().is_empty()), "{contents:?}");
    let open = "SELECT count(*) FROM ai_engine_runs WHERE status IN ('queued', 'in_progress')";
    assert_eq!(host.db.number(open), 0, "a run was left behind");
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
    let open = "SELECT count(*) FROM ai_engine_responses WHERE status IN ('queued', 'in_progress')";
    assert_eq!(host.db.number(open), 0, "a call was left behind");
}
