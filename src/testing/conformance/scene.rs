//! What all cases need: an engine of their own, somebody who asks, and somebody who answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Act, Counts, Outcome, Subject};
use crate::openai::OpenAiBuilder;
use crate::{
    AiEngine, Answer, Assistable, AssistantDefinition, AssistantThread, Chattable, Content,
    EngineBuilder, HookContext, HookResult, Message, MessageHooks, Page, Reason, Role, RunRequest,
    RunStatus, Threadable,
};

/// Owns the threads.
#[derive(Debug)]
pub(super) struct Asker {
    id: i64,
}

/// Answers in them.
#[derive(Debug)]
pub(super) struct Answerer {
    id: i64,
    definition: AssistantDefinition,
}

crate::record! {
    Asker { id: i64 } as "ConformanceAsker", Answerer { id: i64 } as "ConformanceAnswerer"
}

impl Assistable for Answerer {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        self.definition.clone()
    }
}

/// The text of the model as the hooks were given it, of all messages together.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<String>>);

impl Heard {
    pub(super) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MessageHooks for Asker {
    async fn ai_engine_on_message_update(
        &self,
        message: &Message,
        cx: &HookContext<'_>,
    ) -> HookResult {
        let Heard(heard) = cx.state()?;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if cx.is_replaced() {
            heard.clone_from(&message.content);
        } else {
            heard.push_str(cx.appended());
        }
        Ok(())
    }
}

impl Threadable for Asker {}
impl Chattable for Asker {}

/// What the model is asked where nobody can tell it what to say.
pub(super) const LONG_STORY: &str = "Tell me a long story about a lighthouse and the sea.";

/// The engine of one case.
pub(super) struct Scene<'s, S: Subject> {
    pub(super) subject: &'s S,
    pub(super) engine: AiEngine,
    pub(super) heard: Heard,
    pub(super) asker: Asker,
    database: S::Database,
    answerer: Answerer,
    unchecked: Mutex<BTreeSet<&'static str>>,
}

impl<'s, S: Subject> Scene<'s, S> {
    pub(super) async fn new(subject: &'s S) -> Self {
        Self::with(subject, |client| client, |builder| builder).await
    }

    /// Settings of its own, for the client or the engine.
    pub(super) async fn with(
        subject: &'s S,
        client: impl FnOnce(OpenAiBuilder) -> OpenAiBuilder + Send,
        builder: impl FnOnce(EngineBuilder<S::Database>) -> EngineBuilder<S::Database> + Send,
    ) -> Self {
        let heard = Heard::default();
        let client = client(subject.client()).build().expect("the subject's client");
        let database = subject.database();
        let builder_of_engine = builder_of(subject, database.clone());
        let engine = builder(builder_of_engine.openai(client).state(heard.clone()));
        let engine = engine.build().expect("an engine with the subject's client and history");
        engine.start().await.expect("the subject's database");
        let definition = subject.definition().instructions("You answer in short sentences.");
        let answerer = Answerer { id: 1, definition };
        let unchecked = Mutex::default();
        let asker = Asker { id: 1 };
        Self { subject, engine, heard, asker, database, answerer, unchecked }
    }

    /// Ends the engine and starts another one on its database, as after a deploy.
    pub(super) async fn restarted(
        mut self,
        builder: impl FnOnce(EngineBuilder<S::Database>) -> EngineBuilder<S::Database> + Send,
    ) -> Self {
        self.engine.shutdown(Duration::from_secs(10)).await.expect("the engine ends in order");
        let client = self.subject.client().build().expect("the subject's client");
        let new = builder_of(self.subject, self.database.clone()).openai(client);
        let new = builder(new.state(self.heard.clone())).build();
        self.engine = new.expect("an engine with the subject's client and history");
        self.engine.start().await.expect("the subject's database");
        self
    }

    /// The end of a case that did not fail.
    pub(super) async fn passed(self) -> Outcome {
        self.engine.shutdown(Duration::from_secs(10)).await.expect("the engine ends in order");
        let unchecked = self.unchecked.into_inner().unwrap_or_else(PoisonError::into_inner);
        Outcome::Passed { unchecked: unchecked.into_iter().collect() }
    }

    /// Notes what cannot be checked.
    pub(super) fn leave_out(&self, what: &'static str) {
        self.unchecked.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
    }

    pub(super) async fn thread(&self) -> AssistantThread {
        self.asker.assistant_threads(&self.engine).create().await.expect("a new thread")
    }

    /// A question, not yet asked.
    pub(super) fn request(
        &self,
        thread: &AssistantThread,
        question: impl Into<Content>,
    ) -> RunRequest {
        self.answerer.ai_engine_run(&self.engine, thread, question)
    }

    /// Has the server say this, if it can, asks, and sees that there is an answer. Returns it with what it said.
    pub(super) async fn turn(
        &self,
        thread: &AssistantThread,
        question: &str,
        answer: &str,
    ) -> (Answer, String) {
        self.answered(self.request(thread, question), answer).await
    }

    pub(super) async fn answered(&self, request: RunRequest, answer: &str) -> (Answer, String) {
        let scripted = self.says(answer);
        let got = request.await.unwrap_or_else(|error| panic!("no answer: {error}"));
        let (run, text) = (&got.run, got.text());
        if scripted {
            let told = (run.status, run.reason.as_ref(), &*text);
            assert_eq!(told, (RunStatus::Completed, None, answer), "{run:?}");
        } else {
            // What a model of its own may do: be cut at the limit of the subject's definition.
            let is_cut =
                run.status == RunStatus::Incomplete && run.reason == Some(Reason::MaxOutputTokens);
            assert!(run.status == RunStatus::Completed || is_cut, "{run:?}");
            assert!(!text.trim().is_empty(), "an answer without words: {run:?}");
        }
        (got, text.trim().to_owned())
    }

    /// Whether the server will say this, a word at a time.
    pub(super) fn says(&self, text: &str) -> bool {
        self.subject.act(Act::Say(words(text)))
    }

    /// The current path of a thread, oldest first.
    pub(super) async fn said(&self, thread: &AssistantThread) -> Vec<(Role, String)> {
        let page = thread.messages(&self.engine).list(Page::default()).await.expect("a page");
        page.into_iter().map(|message| (message.role, message.content.trim().to_owned())).collect()
    }

    /// Sees that the path is made of these turns, each a question and its answer.
    pub(super) async fn assert_said(&self, thread: &AssistantThread, turns: &[(&str, &str)]) {
        let turns = turns.iter().flat_map(|(question, answer)| {
            [(Role::User, (*question).to_owned()), (Role::Assistant, (*answer).to_owned())]
        });
        assert_eq!(self.said(thread).await, turns.collect::<Vec<_>>(), "what is stored");
    }

    /// Sees that the model was shown these texts in the last call, each once, and in this order.
    pub(super) fn assert_shown(&self, texts: &[&str]) {
        let Some(shown) = self.shown() else { return };
        let mut before = 0;
        for text in texts {
            let found: Vec<_> = shown.match_indices(text).map(|(at, _)| at).collect();
            let [at] = found[..] else {
                panic!("{text:?} is to be shown once, not {} times, in:\n{shown}", found.len());
            };
            assert!(at >= before, "{text:?} is to be shown behind what was said before:\n{shown}");
            before = at;
        }
    }

    pub(super) fn assert_not_shown(&self, text: &str) {
        let Some(shown) = self.shown() else { return };
        assert!(!shown.contains(text), "{text:?} is not to be shown any more:\n{shown}");
    }

    fn shown(&self) -> Option<String> {
        let shown = self.subject.shown();
        if shown.is_none() {
            self.leave_out("what the model was shown (`shown`)");
        }
        shown.map(|shown| shown.join("\n"))
    }

    pub(super) fn counts(&self) -> Option<Counts> {
        let counts = self.subject.counts();
        if counts.is_none() {
            self.leave_out("what was sent, and connections that were closed (`counts`)");
        }
        counts
    }

    /// Sees that so many calls of the model came since then.
    pub(super) fn assert_calls(&self, since: Option<Counts>, expected: usize, of: &str) {
        if let (Some(since), Some(now)) = (since, self.counts()) {
            assert_eq!(now.calls - since.calls, expected, "calls of the model: {of}");
        }
    }

    /// Waits until the server was left by so many clients since then.
    pub(super) async fn until_left(&self, since: Option<Counts>, clients: usize) {
        let Some(since) = since else { return };
        let left = || self.counts().is_some_and(|now| now.left - since.left >= clients);
        self.until("the connection to be closed", left).await;
    }

    /// Deletes what is kept of who answers, also at a provider that keeps assistants.
    pub(super) async fn forget_answerer(&self) {
        self.engine.forget(&self.answerer).await.expect("it can be forgotten");
    }

    /// Waits until the server holds what it held then, and nothing is left to be deleted there.
    pub(super) async fn until_held_again(&self, before: Option<Vec<String>>) {
        let deadline = tokio::time::Instant::now() + self.subject.patience();
        loop {
            let left = self.engine.stats().await.expect("stats").database.remote_deletions.count;
            if left == 0 {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{left} are still to be deleted there");
            tokio::time::sleep(PAUSE).await;
        }
        let Some(before) = before else {
            self.leave_out("what is left at the server (`held`)");
            return;
        };
        let held = || self.subject.held().unwrap_or_default();
        let deadline = tokio::time::Instant::now() + self.subject.patience().min(LINGER);
        while held() != before && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
        }
        assert_eq!(held(), before, "what the server holds now, and what it held before");
    }

    async fn until(&self, what: &str, so: impl Fn() -> bool + Send + Sync) {
        let deadline = tokio::time::Instant::now() + self.subject.patience().min(LINGER);
        while !so() {
            assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Between two looks at what nobody tells us of.
const PAUSE: Duration = Duration::from_millis(10);
/// For what is done in the background at once; a case fails by itself rather than by its patience.
const LINGER: Duration = Duration::from_secs(30);

/// The builder of an engine on the subject's database, with its history and no provider yet.
pub(super) fn builder_of<S: Subject>(
    subject: &S,
    database: S::Database,
) -> EngineBuilder<S::Database> {
    let builder = AiEngine::builder(database).owner::<Asker>(|_, id| Ok(Some(Asker { id })));
    match subject.history() {
        Some(history) => builder.history(history),
        None => builder,
    }
}

/// Somebody else.
pub(super) const STRANGER: Asker = Asker { id: 2 };

/// A text, one piece a word.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}
