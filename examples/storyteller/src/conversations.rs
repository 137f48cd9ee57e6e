//! Threads and chats. A thread is answered by storytellers, a chat by a bare model; all else about them is the same, so every page
//! and handler is written once, for both.

use ai_engine::{
    AiEngine, AssistantThread, Chat, ChatSummary, Error, Events, Message, Messageable, Messages,
    Page, PageToken, Paged, Run, ThreadSummary, Turn, prelude::*,
};
use chrono::{DateTime, Utc};

use crate::names;
use crate::problem::Problem;
use crate::users::User;

/// Which of the two: the router says it to whatever is under `/threads` and `/chats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Threads,
    Chats,
}

/// One of a user's.
#[derive(Clone, Debug)]
pub(crate) enum Conversation {
    Thread(AssistantThread),
    Chat(Chat),
}

/// What a list shows of one.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) id: i64,
    pub(crate) title: Option<String>,
    pub(crate) last_activity_at: DateTime<Utc>,
    pub(crate) last_message: Option<Message>,
    pub(crate) is_active: bool,
}

/// The same work, with whichever it is.
macro_rules! either {
    ($conversation:expr, |$one:ident| $work:expr) => {
        match $conversation {
            $crate::conversations::Conversation::Thread($one) => $work,
            $crate::conversations::Conversation::Chat($one) => $work,
        }
    };
}

impl Kind {
    /// Where they are.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Threads => "/threads",
            Self::Chats => "/chats",
        }
    }

    /// What one of them is called.
    pub(crate) const fn one(self) -> &'static str {
        match self {
            Self::Threads => "thread",
            Self::Chats => "chat",
        }
    }

    /// One of this user's; another user's is not found.
    pub(crate) async fn find(
        self,
        engine: &AiEngine,
        user: &User,
        id: i64,
    ) -> Result<Conversation, Error> {
        Ok(match self {
            Self::Threads => Conversation::Thread(user.assistant_threads(engine).find(id).await?),
            Self::Chats => Conversation::Chat(user.chats(engine).find(id).await?),
        })
    }

    pub(crate) async fn create(self, engine: &AiEngine, user: &User) -> Result<i64, Error> {
        Ok(match self {
            Self::Threads => user.assistant_threads(engine).create().await?.id,
            Self::Chats => user.chats(engine).create().await?.id,
        })
    }

    pub(crate) async fn destroy(
        self,
        engine: &AiEngine,
        user: &User,
        id: i64,
    ) -> Result<(), Error> {
        match self {
            Self::Threads => user.assistant_threads(engine).destroy(id).await,
            Self::Chats => user.chats(engine).destroy(id).await,
        }
    }

    /// Those of a user, by their last activity.
    pub(crate) async fn recent(
        self,
        engine: &AiEngine,
        user: &User,
        page: Page,
    ) -> Result<(Vec<Summary>, Option<PageToken>), Error> {
        macro_rules! summaries {
            ($paged:expr, $row:ident: $summary:ty) => {{
                let Paged { items, next, .. } = $paged;
                let summary = |one: $summary| Summary {
                    id: one.$row.id,
                    title: one.$row.title.as_deref().and_then(names::cleaned_title),
                    last_activity_at: one.$row.last_activity_at,
                    last_message: one.last_message,
                    is_active: one.active_run.is_some(),
                };
                (items.into_iter().map(summary).collect(), next)
            }};
        }
        Ok(match self {
            Self::Threads => {
                summaries!(user.assistant_threads(engine).recent(page).await?, thread: ThreadSummary)
            }
            Self::Chats => summaries!(user.chats(engine).recent(page).await?, chat: ChatSummary),
        })
    }
}

impl Conversation {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Thread(_) => Kind::Threads,
            Self::Chat(_) => Kind::Chats,
        }
    }

    /// A model may have given it, and nobody checked that one.
    pub(crate) fn title(&self) -> Option<String> {
        either!(self, |one| one.title.as_deref().and_then(names::cleaned_title))
    }

    /// Its page.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.kind().path(), either!(self, |one| one.id))
    }

    /// Whether this run is one of its own.
    pub(crate) fn has(&self, run: &Run) -> bool {
        run.messageable
            == match self {
                Self::Thread(one) => Messageable::AssistantThread(one.id),
                Self::Chat(one) => Messageable::Chat(one.id),
            }
    }

    pub(crate) async fn turns(&self, engine: &AiEngine, page: Page) -> Result<Paged<Turn>, Error> {
        either!(self, |one| one.turns(engine, page).await)
    }

    /// The turn of this number, if it is on the current path.
    pub(crate) async fn turn(&self, engine: &AiEngine, seq: i64) -> Result<Turn, Problem> {
        let page = Page::before(seq.saturating_add(1), 1);
        let found = self.turns(engine, page).await?.items.pop().filter(|turn| turn.seq == seq);
        found.ok_or(Problem::NotFound)
    }

    pub(crate) fn events(&self, engine: &AiEngine) -> Events {
        either!(self, |one| one.events(engine))
    }

    pub(crate) fn messages(&self, engine: &AiEngine) -> Messages {
        either!(self, |one| one.messages(engine))
    }

    pub(crate) async fn rename(&self, engine: &AiEngine, title: &str) -> Result<(), Error> {
        either!(self, |one| one.rename(engine, title).await.map(drop))
    }

    pub(crate) async fn choose(&self, engine: &AiEngine, run: &Run) -> Result<(), Error> {
        either!(self, |one| one.choose(engine, run).await)
    }
}
