use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Annotation, Costs, MessageNote, Money, Part, Usage, UtcTimestamp, queryable_as, text_enum,
};
use crate::schema::ai_engine_messages;

text_enum! {
    /// Who speaks.
    pub enum Role {
        /// The host, to the model.
        System => "system",
        /// The owner of the thread.
        User => "user",
        /// The model.
        Assistant => "assistant",
    }
}

text_enum! {
    /// Whether a message is complete.
    pub enum MessageStatus {
        /// Nothing of it has arrived. Not in use: this version stores a message with its first word.
        Pending => "pending",
        /// Its text is arriving.
        Streaming => "streaming",
        /// All of it is stored.
        Completed => "completed",
        /// It broke off; its run's `reason` says why.
        Incomplete => "incomplete",
        /// Nothing of it arrived. Not in use: this version stores no message then.
        Failed => "failed",
    }
}

text_enum! {
    /// Whether the provider's conversation holds a message.
    pub enum RemoteState {
        /// It does not hold it: the message is sent with the next call.
        Absent => "absent",
        /// It holds it.
        Held => "held",
        /// It may hold it: the message was sent, and the process died or the call broke off before the answer. The next run looks.
        Unknown => "unknown",
    }
}

/// What a message or a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "id")]
#[non_exhaustive]
pub enum Messageable {
    /// An [`AssistantThread`](crate::AssistantThread).
    AssistantThread(i64),
    /// A [`Chat`](crate::Chat).
    Chat(i64),
}

impl Messageable {
    /// The database's CHECK says that exactly one of the two is set.
    pub(crate) fn of(thread: Option<i64>, chat: Option<i64>) -> Self {
        thread.map(Self::AssistantThread).or(chat.map(Self::Chat)).unwrap_or(Self::Chat(0))
    }

    pub(crate) const fn thread_id(self) -> Option<i64> {
        match self {
            Self::AssistantThread(id) => Some(id),
            Self::Chat(_) => None,
        }
    }

    pub(crate) const fn chat_id(self) -> Option<i64> {
        match self {
            Self::Chat(id) => Some(id),
            Self::AssistantThread(_) => None,
        }
    }
}

impl std::fmt::Display for Messageable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AssistantThread(id) => write!(f, "assistant thread {id}"),
            Self::Chat(id) => write!(f, "chat {id}"),
        }
    }
}

/// One message of a thread or chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Local id.
    pub id: i64,
    /// The thread or chat it belongs to.
    pub messageable: Messageable,
    /// Its run; `None` for messages that the host stored with [`Messages::create`](crate::Messages::create).
    pub run_id: Option<i64>,
    /// The turn it belongs to: messages are ordered by (`seq`, `position`).
    pub seq: i64,
    /// Place in its turn.
    pub position: i64,
    /// Who speaks.
    pub role: Role,
    /// Whether it is complete.
    pub status: MessageStatus,
    /// The text so far. A row that you select yourself while it is `streaming` lacks what is still in
    /// `ai_engine_message_deltas`; [`Messages::list`](crate::Messages::list) puts it together.
    pub content: String,
    /// Model that wrote it, as the provider reported it.
    pub model: Option<String>,
    /// Tokens of the call that wrote it, at the last of that call's messages; zero for messages the model did not write.
    pub usage: Usage,
    /// What that call cost, and those before it in its run that said nothing; not known while it is streaming, and zero for messages
    /// the model did not write.
    pub costs: Costs,
    /// Id at the provider, when it keeps the message.
    pub remote_id: Option<String>,
    /// Whether the provider's conversation holds it.
    pub remote_state: RemoteState,
    /// Which of several people said it ([`RunRequest::author`](crate::RunRequest::author)). The model is not told.
    pub author: Option<String>,
    /// What the host noted of it ([`RunRequest::message_metadata`](crate::RunRequest::message_metadata)). The model is not told.
    pub metadata: Map<String, Value>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Whether it is off the current path of its thread or chat: another branch took its place, or what came before it is the end
    /// now. The model is not sent it, and lists leave it out.
    pub superseded: bool,
    /// What it has beside its text, in order: pictures and files of the user's; the model's, with what it noted of its answer. Empty
    /// in a row that you select yourself, whose parts are in `ai_engine_message_parts`.
    pub parts: Vec<Part>,
    /// The number under which it came back to the path, if it did.
    #[serde(skip)]
    pub(crate) chosen_at: Option<i64>,
    /// How many parts there are.
    #[serde(skip)]
    pub(crate) part_count: i64,
}

#[cfg(any(test, feature = "_internal"))]
impl Message {
    /// A message of [`Run::sample`](super::Run::sample) as tests make one.
    pub(crate) fn sample(slot: i64, text: &str, status: MessageStatus) -> Self {
        let now = Utc::now();
        Self {
            id: slot + 1,
            messageable: Messageable::AssistantThread(1),
            run_id: Some(1),
            seq: 1,
            position: slot + 1,
            role: Role::Assistant,
            status,
            content: text.to_owned(),
            model: None,
            usage: Usage::default(),
            costs: Costs::NOTHING,
            remote_id: None,
            remote_state: RemoteState::Absent,
            author: None,
            metadata: Map::new(),
            created_at: now,
            updated_at: now,
            superseded: false,
            parts: Vec::new(),
            chosen_at: None,
            part_count: 0,
        }
    }
}

impl Message {
    /// What it cost, all together; `None` when that is not known.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.costs.cost()
    }

    /// Whether it is a user's.
    #[must_use]
    pub fn is_user(&self) -> bool {
        self.role == Role::User
    }

    /// Whether it is the model's.
    #[must_use]
    pub fn is_assistant(&self) -> bool {
        self.role == Role::Assistant
    }

    /// What the provider noted of its text: sources, citations of files.
    pub fn annotations(&self) -> impl Iterator<Item = Annotation<'_>> {
        self.parts.iter().filter_map(Part::annotation)
    }

    /// The message when it was stored first, before any of its text.
    pub(crate) fn as_it_began(&self) -> Self {
        // Not a copy of the text, which may be long.
        Self {
            id: self.id,
            messageable: self.messageable,
            run_id: self.run_id,
            seq: self.seq,
            position: self.position,
            role: self.role,
            status: MessageStatus::Streaming,
            content: String::new(),
            model: self.model.clone(),
            usage: self.usage,
            costs: self.costs,
            remote_id: self.remote_id.clone(),
            remote_state: self.remote_state,
            author: self.author.clone(),
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            superseded: self.superseded,
            parts: Vec::new(),
            chosen_at: self.chosen_at,
            part_count: self.part_count,
        }
    }

    /// Whether it belongs to a chat (and not to an assistant thread).
    #[must_use]
    pub fn in_chat(&self) -> bool {
        matches!(self.messageable, Messageable::Chat(_))
    }
}

/// Where a message stands and who speaks: what never changes of it.
#[derive(Debug, Clone, diesel::Queryable, diesel::Selectable, diesel::Insertable)]
#[diesel(table_name = ai_engine_messages, treat_none_as_default_value = false)]
#[allow(unnameable_types, reason = "public only as part of the stored form")]
pub struct MessagePlace {
    pub(crate) assistant_thread_id: Option<i64>,
    pub(crate) chat_id: Option<i64>,
    pub(crate) run_id: Option<i64>,
    pub(crate) seq: i64,
    pub(crate) position: i64,
    pub(crate) role: Role,
}

/// What of a message is known in the end only: the text, what it cost, and what the provider keeps of it.
#[derive(
    Debug, Clone, diesel::Queryable, diesel::Selectable, diesel::Insertable, diesel::AsChangeset,
)]
#[diesel(table_name = ai_engine_messages, treat_none_as_default_value = false)]
#[allow(unnameable_types, reason = "public only as part of the stored form")]
pub struct MessageBody {
    pub(crate) status: MessageStatus,
    pub(crate) content: String,
    pub(crate) model: Option<String>,
    #[diesel(embed)]
    pub(crate) usage: Usage,
    #[diesel(embed)]
    pub(crate) costs: Costs,
    pub(crate) remote_id: Option<String>,
    pub(crate) remote_state: RemoteState,
    pub(crate) endpoint: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) part_count: i64,
}

/// A message as stored, without the text that is still in deltas.
#[derive(Debug, Clone, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = ai_engine_messages)]
#[allow(unnameable_types, reason = "public only as what the public form is selected through")]
pub struct MessageRow {
    pub(crate) id: i64,
    #[diesel(embed)]
    pub(crate) place: MessagePlace,
    #[diesel(embed)]
    pub(crate) body: MessageBody,
    #[diesel(embed)]
    pub(crate) note: MessageNote,
    #[diesel(deserialize_as = UtcTimestamp)]
    pub(crate) created_at: DateTime<Utc>,
    #[diesel(deserialize_as = UtcTimestamp)]
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) superseded_at_seq: Option<i64>,
    pub(crate) chosen_at_seq: Option<i64>,
}

/// A message as stored, and its parts.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) row: MessageRow,
    pub(crate) parts: Vec<Part>,
}

impl From<Said> for Message {
    fn from(said: Said) -> Self {
        Self { parts: said.parts, ..said.row.into() }
    }
}

queryable_as!(Message, MessageRow);

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        let MessageRow { id, place, body, note, created_at, updated_at, .. } = row;
        Self {
            id,
            messageable: Messageable::of(place.assistant_thread_id, place.chat_id),
            run_id: place.run_id,
            seq: place.seq,
            position: place.position,
            role: place.role,
            status: body.status,
            content: body.content,
            model: body.model,
            usage: body.usage,
            costs: body.costs,
            remote_id: body.remote_id,
            remote_state: body.remote_state,
            author: note.author,
            metadata: note.metadata.into(),
            created_at,
            updated_at,
            superseded: row.superseded_at_seq.is_some(),
            parts: Vec::new(),
            chosen_at: row.chosen_at_seq,
            part_count: body.part_count,
        }
    }
}
