use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use diesel::OptionalExtension;

use super::AiEngine;
use super::core::{Core, Loader};
use super::options::{History, Identify, Options};
use super::remotes::{Remote, Remotes, history};
use crate::error::{Error, Result};
use crate::host::hooks::{LoadedOwner, MessageHooks};
use crate::host::trace_context::TraceContext;
use crate::model::{AssistantDefinition, Recovery, provider_name};
use crate::provider::{self, OpenAi};
use crate::store::database::{Database, Store};
use crate::store::session::{Conn, Session};
use crate::tool::{Tool, Tools};

/// Builds an [`AiEngine`].
pub struct EngineBuilder<D> {
    store: Store,
    openai: Option<OpenAi>,
    providers: Vec<(String, OpenAi)>,
    history: Option<History>,
    histories: HashMap<String, History>,
    loaders: HashMap<&'static str, Loader>,
    state: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    tools: Result<Tools>,
    pub(super) options: Options,
    database: PhantomData<fn() -> D>,
}

impl<D: Database> EngineBuilder<D> {
    pub(super) fn new(database: D) -> Self {
        Self {
            store: Store::new(database),
            openai: None,
            providers: Vec::new(),
            history: None,
            histories: HashMap::new(),
            loaders: HashMap::new(),
            state: HashMap::new(),
            tools: Ok(Tools::default()),
            options: Options::default(),
            database: PhantomData,
        }
    }

    /// The default provider, with the name `openai`: whoever names no other asks it. Without any provider a submit fails with [`Error::Configuration`] ([`enqueue`](crate::RunRequest::enqueue) does not), queued
    /// runs are left to other processes, and nothing is deleted at the provider. Everything else works, the recovery of dead processes' runs and the delivery of last hooks included.
    #[must_use]
    pub fn openai(mut self, client: OpenAi) -> Self {
        self.openai = Some(client);
        self
    }

    /// A further provider, which a definition ([`AssistantDefinition::provider`]) or a request
    /// ([`RunRequest::provider`](crate::RunRequest::provider)) asks for by this name, of 1 to 64 characters. Without
    /// [`openai`](Self::openai) the first one is the default.
    ///
    /// The name is kept with each run, so it should mean the same in all processes on the database, and as long as runs
    /// that name it wait. A process drives queued runs of providers that it has, and leaves others to others. What a provider keeps is
    /// found again by the address and protocol of its client: to delete it there, some process has to have a provider with these,
    /// whatever it calls it.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>, client: OpenAi) -> Self {
        self.providers.push((name.into(), client));
        self
    }

    /// Who keeps the history the model sees, of threads that ask the default provider; by default [`History::Conversation`] at OpenAI's own address and
    /// [`History::Local`] everywhere else, and in every protocol that has no conversations.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// The same for threads that ask the provider with this name. A thread may go from one provider to another, and from one history to
    /// another: each is sent what was said meanwhile. A thread has a conversation at one provider at a time; the one that
    /// it had elsewhere is deleted there when it gets another.
    #[must_use]
    pub fn provider_history(mut self, name: impl Into<String>, history: History) -> Self {
        self.histories.insert(name.into(), history);
        self
    }

    /// Which providers are told, by hashes, which end user and which conversation a call is for; default [`Identify::AtOpenAi`].
    #[must_use]
    pub const fn identify(mut self, identify: Identify) -> Self {
        self.options.identify = identify;
        self
    }

    /// A secret of yours that is hashed with what [`identify`](Self::identify) tells; without one a fixed text is.
    ///
    /// Without a secret, whoever sees a hash can find out for which record it is by hashing likely types and ids; with one, of 16
    /// random bytes or more, only you can. It has to be the same in all processes on the database and to stay: with another one each
    /// end user is a new one to the provider.
    #[must_use]
    pub fn identify_salt(mut self, salt: impl Into<Vec<u8>>) -> Self {
        self.options.identify_salt = salt.into();
        self
    }

    /// A value of the host that hooks reach as [`HookContext::state`](crate::HookContext::state), one per type.
    #[must_use]
    pub fn state<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.state.insert(TypeId::of::<T>(), Box::new(value));
        self
    }

    /// How to load an owner, so that its hooks can be called. Each type that has threads or chats needs a loader: an engine drives
    /// queued runs, and delivers last hooks, only for types that it can load. The loader is called once for each run, with a
    /// connection of the engine, on a thread that may block.
    ///
    /// When it returns `Ok(None)`, or Diesel's `NotFound`, the owner was deleted, and no hook is called. An error is logged, and the
    /// run goes on without hooks; any started engine tries to deliver the last ones later. A database that is away is waited for, up
    /// to one lease. The answer is kept in each case.
    #[must_use]
    pub fn owner<O: MessageHooks>(
        mut self,
        load: impl Fn(&mut D::Connection, O::Id) -> diesel::QueryResult<Option<O>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let loader = move |session: &mut dyn Session, id: &str| {
            let Ok(parsed) = id.parse::<O::Id>() else {
                return Err(Error::OwnerId { kind: O::TYPE.to_owned(), id: id.to_owned() });
            };
            #[allow(clippy::infallible_destructuring_match, reason = "two databases, or one")]
            let conn: &mut dyn Any = match session.conn() {
                #[cfg(feature = "sqlite")]
                Conn::Sqlite(conn) => conn,
                #[cfg(feature = "postgres")]
                Conn::Pg(conn) => conn,
            };
            let conn = conn
                .downcast_mut::<D::Connection>()
                .ok_or_else(|| Error::Connection("of another database".to_owned()))?;
            let loaded = load(conn, parsed).optional()?.flatten();
            Ok(loaded.map(|owner| Arc::new(owner) as LoadedOwner))
        };
        self.loaders.insert(O::TYPE, Arc::new(loader));
        self
    }

    /// A tool that assistants may use ([`AssistantDefinition::uses`]). All processes that drive their runs should have it: where it is
    /// missing, a call of it waits for the host ([`AiEngine::submit_output`]).
    ///
    /// Two tools of one name, and a name that no model can use, fail in [`build`](Self::build).
    #[must_use]
    pub fn tool<T: Tool>(mut self) -> Self {
        self.tools = self.tools.and_then(|mut tools| tools.add::<T>().map(|()| tools));
        self
    }

    /// In how many steps of one run the model may ask for tools; default 8. When it asks in the last one, that is not carried out, and
    /// the run ends as `incomplete`, reason [`MaxSteps`](crate::Reason::MaxSteps); the next turn can go on.
    #[must_use]
    pub const fn max_steps(mut self, steps: u32) -> Self {
        self.options.max_steps = steps;
        self
    }

    /// How long somebody may take to decide on a call; unless set, for ever. After that it counts as rejected, and the run goes on.
    #[must_use]
    pub const fn approval_expiry(mut self, time: Duration) -> Self {
        self.options.approval_expiry = Some(time);
        self
    }

    /// Longest output of a tool that the model is told, in bytes; default 256 KiB. Of a longer one the model is told that it is too long.
    #[must_use]
    pub const fn max_tool_output_bytes(mut self, bytes: usize) -> Self {
        self.options.max_tool_output_bytes = bytes;
        self
    }

    /// How deep runs that tools start may go; default 4. A run that is submitted by a host is at depth 0.
    #[must_use]
    pub const fn max_depth(mut self, depth: u32) -> Self {
        self.options.max_depth = depth;
        self
    }

    /// How long a process that died keeps its runs before another may settle them; from one second to one day, default 30 s. While
    /// the process holds any run it is extended every sixth of it, so a short lease costs writes. It is also how long a write of a
    /// run is tried again while the database is away.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease;
        self
    }

    /// What becomes of runs whose process died; default [`Recovery::Settle`]. For a single run
    /// [`RunRequest::recovery`](crate::RunRequest::recovery) sets it.
    #[must_use]
    pub const fn recovery(mut self, recovery: Recovery) -> Self {
        self.options.recovery = recovery;
        self
    }

    /// Most runs that this process drives at once; by default as many as there are to drive. A run costs some 30 kB and a connection
    /// to the provider while it waits for words, so what bounds it is mostly the provider, whose limits the engine does not know.
    ///
    /// Beyond the limit a run waits for its place, and belongs to nobody meanwhile: it is `queued`, another process may take it, it
    /// can be cancelled at once, and [`shutdown`](AiEngine::shutdown) does not wait for it. The next place goes to the owner (a record,
    /// by its type and id) of whom the fewest runs are driven here; of several such owners, to the one who has waited longest since
    /// the last time; and of one owner's runs, to the one that was submitted first. A run has its place until its end is stored; its last
    /// hooks are called beside it.
    #[must_use]
    pub const fn max_concurrent_runs(mut self, runs: usize) -> Self {
        self.options.max_concurrent_runs = Some(runs);
        self
    }

    /// Whether the engine drives queued runs that it was not told to drive; `true` unless set. With `false` it drives what is
    /// submitted through it, what [`drive`](AiEngine::drive) is called for, and what stands before these on their thread or chat. It
    /// is for a process in which a queue of your own decides what is driven, and which is to look after dead processes' runs, last
    /// hooks and remote deletions all the same ([`start`](AiEngine::start)).
    ///
    /// A queued run is then driven when your queue comes to it, or by another engine without this setting. That includes one that is
    /// asked again after its process died ([`Recovery::Retry`]).
    #[must_use]
    pub const fn take_queued(mut self, take: bool) -> Self {
        self.options.take_queued = take;
        self
    }

    /// Longest time one call of a hook may take; default 10 s. A call that takes longer is dropped at its next await point.
    #[must_use]
    pub const fn hook_timeout(mut self, limit: Duration) -> Self {
        self.options.hook_timeout = limit;
        self
    }

    /// Most text the model may write in one run, all its messages together, in bytes; default 16 MiB. A run that writes more
    /// ends as `incomplete`, reason [`MessageTooLong`](crate::Reason::MessageTooLong), with the text up to there; so does a run of
    /// more than 10,000 messages.
    #[must_use]
    pub const fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.options.max_message_bytes = bytes;
        self
    }

    /// Most text of a run that may wait for the database, in bytes; default 1 MiB. Beyond it reading from the provider
    /// pauses.
    #[must_use]
    pub const fn max_unflushed_bytes(mut self, bytes: usize) -> Self {
        self.options.max_unflushed_bytes = bytes;
        self
    }

    /// Largest picture, file or sound that a message may have, in bytes; default 20 MiB. Providers have limits of their own: `OpenAI`
    /// takes at most 50 MB of files in one request, which also has those of earlier turns, a third larger as base64.
    #[must_use]
    pub const fn max_part_bytes(mut self, bytes: usize) -> Self {
        self.options.parts.part_bytes = bytes;
        self
    }

    /// Most bytes that the pictures, files and sound of one message may have together; default 32 MiB.
    #[must_use]
    pub const fn max_parts_bytes(mut self, bytes: usize) -> Self {
        self.options.parts.parts_bytes = bytes;
        self
    }

    /// Most parts that a message may have beside its text; default 50.
    #[must_use]
    pub const fn max_parts(mut self, parts: usize) -> Self {
        self.options.parts.parts = parts;
        self
    }

    /// Has a model name the threads and chats that have no title, after an answer; without this nobody does.
    ///
    /// When a run that this process drives has ended with an answer, and its conversation has no title, the provider is called once
    /// with this definition and the beginnings of that question and answer; it keeps nothing of the call. The first line of what the
    /// model says becomes the title ([`TitleAuthor::Model`](crate::TitleAuthor::Model)), unless one was given meanwhile. Unless the
    /// definition has instructions, the engine has some that ask for at most six words in the language of the conversation.
    ///
    /// It goes on beside everything else: neither the run nor its answer waits for it. It is no run: no hook is called, and its tokens
    /// are counted nowhere. What fails is logged, and tried again after the next answer; [`shutdown`](AiEngine::shutdown) drops it.
    #[must_use]
    pub fn titles(mut self, definition: AssistantDefinition) -> Self {
        self.options.titles = Some(definition);
        self
    }

    /// How the span of a run gets into the trace of whoever submitted it, also when another process drives it. Without one a run
    /// that this process drives is a child of the `tracing` span in which it was submitted here.
    #[must_use]
    pub fn trace_context(mut self, door: impl TraceContext) -> Self {
        self.options.trace_context = Some(Arc::new(door));
        self
    }

    /// Has the span of each run show what was said: what was sent as `gen_ai.input.messages`, and the answer as
    /// `gen_ai.output.messages`, each at most so many bytes, the newest first to stay. Unless this is set, no span and no event has
    /// any text of a conversation.
    #[must_use]
    pub const fn trace_content(mut self, most_bytes: usize) -> Self {
        self.options.trace_content = most_bytes;
        self
    }

    /// The engine.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a lease under one second or over one day, for a limit of no runs at once, for two providers of one
    /// name, for a name that is empty or too long, for the history of a provider that is not there, or for
    /// [`History::Conversation`] in a protocol that has no conversations; [`Error::Invalid`] for a
    /// definition of [`titles`](Self::titles) out of its limits, [`Error::UnknownProvider`] for a provider that it names and that is not
    /// there, and [`Error::Unsupported`] for what its protocol cannot do.
    pub fn build(mut self) -> Result<AiEngine> {
        if let Some(titles) = &self.options.titles {
            titles.validate()?;
        }
        if self.options.lease < Duration::from_secs(1) {
            return Err(Error::Configuration(format!(
                "lease {:?} is too short; it must be at least one second",
                self.options.lease
            )));
        }
        if self.options.lease > LONGEST_LEASE {
            return Err(Error::Configuration(format!(
                "lease {:?} is too long; it must be at most {LONGEST_LEASE:?}",
                self.options.lease
            )));
        }
        if self.options.max_concurrent_runs == Some(0) {
            return Err(Error::Configuration(
                "max_concurrent_runs is 0; for an engine that drives nothing leave the provider out"
                    .to_owned(),
            ));
        }
        let remotes = self.remotes()?;
        if let Some(titles) = self.options.titles.as_ref().filter(|_| !remotes.is_empty()) {
            remotes.require_all(titles)?;
        }
        let tools = self.tools?;
        Ok(Core::new(self.store, remotes, self.loaders, self.state, tools, self.options).into())
    }

    fn remotes(&mut self) -> Result<Remotes> {
        let openai = self.openai.take().map(|client| (DEFAULT.to_owned(), client));
        let mut remotes: Vec<Remote> = Vec::new();
        for (name, client) in openai.into_iter().chain(self.providers.drain(..)) {
            provider_name("provider", &name)
                .map_err(|error| Error::Configuration(error.to_string()))?;
            if remotes.iter().any(|remote| remote.name == name) {
                return Err(Error::Configuration(format!(
                    "two providers have the name {name:?}; give each one of its own"
                )));
            }
            let said = self.history.filter(|_| remotes.is_empty());
            let said = self.histories.remove(&name).or(said);
            let is_openai = client.is_openai();
            let provider = provider::of(client);
            let history = history(&*provider, is_openai, said)?;
            let identifies = self.options.identify.includes(is_openai);
            remotes.push(Remote::new(name, provider, history, identifies, is_openai));
        }
        if let Some(unknown) = self.histories.keys().next() {
            return Err(Error::Configuration(format!(
                "a history is set for the provider {unknown:?}, which the engine does not have; add `.provider({unknown:?}, …)` to its builder"
            )));
        }
        Ok(Remotes::new(remotes))
    }
}

/// The name of the provider that `openai` gives.
const DEFAULT: &str = "openai";

/// A process that died would keep its runs for longer than anybody waits.
const LONGEST_LEASE: Duration = Duration::from_hours(24);

impl<D> std::fmt::Debug for EngineBuilder<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("openai", &self.openai)
            .field("providers", &self.providers)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
