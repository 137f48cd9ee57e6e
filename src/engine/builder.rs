use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use diesel::OptionalExtension;

use super::AiEngine;
use super::core::{Core, Loader, Remote};
use super::options::{History, Options};
use crate::error::{Error, Result};
use crate::host::hooks::{LoadedOwner, MessageHooks};
use crate::host::trace_context::TraceContext;
use crate::model::{AssistantDefinition, Recovery};
use crate::provider::{self, OpenAi};
use crate::store::database::{Database, Store};
use crate::store::session::{Conn, Session};

/// Builds an [`AiEngine`].
pub struct EngineBuilder<D> {
    store: Store,
    openai: Option<OpenAi>,
    history: Option<History>,
    loaders: HashMap<&'static str, Loader>,
    state: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    options: Options,
    database: PhantomData<fn() -> D>,
}

impl<D: Database> EngineBuilder<D> {
    pub(super) fn new(database: D) -> Self {
        Self {
            store: Store::new(database),
            openai: None,
            history: None,
            loaders: HashMap::new(),
            state: HashMap::new(),
            options: Options::default(),
            database: PhantomData,
        }
    }

    /// The provider. Without one a submit fails with [`Error::Configuration`] ([`enqueue`](crate::RunRequest::enqueue) does not), queued
    /// runs are left to other processes, and nothing is deleted at the provider. Everything else works, the recovery of dead processes' runs and the delivery of last hooks included.
    #[must_use]
    pub fn openai(mut self, client: OpenAi) -> Self {
        self.openai = Some(client);
        self
    }

    /// Who keeps the history the model sees; by default [`History::Conversation`] at OpenAI's own address and
    /// [`History::Local`] everywhere else, and in every protocol that has no conversations.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
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
    /// [`Error::Configuration`] for a lease under one second or over one day, for a limit of no runs at once, or for
    /// [`History::Conversation`] in a protocol that has no conversations; [`Error::Invalid`] for a definition of
    /// [`titles`](Self::titles) out of its limits, [`Error::Unsupported`] for one that asks for what the provider's protocol cannot do.
    pub fn build(self) -> Result<AiEngine> {
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
        let history = self.history;
        let remote = self.openai.map(|client| {
            let of_openai = client.is_openai();
            let provider = provider::of(client);
            let alone = provider.has_conversations_alone();
            let usual =
                if of_openai || alone { History::Conversation } else { History::Local };
            if alone && history == Some(History::Local) {
                return Err(Error::Configuration(format!(
                    "History::Local needs a provider that takes the history with each call, and one of the protocol {} keeps it itself; use History::Conversation, or leave it out",
                    provider.name()
                )));
            }
            if provider.has_conversations() {
                return Ok(Remote::new(provider, history.unwrap_or(usual)));
            }
            if history == Some(History::Conversation) {
                return Err(Error::Configuration(format!(
                    "History::Conversation needs a provider that keeps conversations, and the protocol {} has none; use History::Local",
                    provider.name()
                )));
            }
            Ok(Remote::new(provider, History::Local))
        });
        let remote = remote.transpose()?;
        if let (Some(remote), Some(titles)) = (&remote, &self.options.titles) {
            remote.provider.check(titles)?;
        }
        Ok(Core::new(self.store, remote, self.loaders, self.state, self.options).into())
    }
}

/// A process that died would keep its runs for longer than anybody waits.
const LONGEST_LEASE: Duration = Duration::from_hours(24);

impl<D> std::fmt::Debug for EngineBuilder<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("openai", &self.openai)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
