//! Messages as they are written: begun, settled, broken off, deleted.

use diesel::prelude::*;

use crate::error::Result;
use crate::model::{
    Costs, Message, MessageBody, MessageNote, MessagePlace, MessageRow, MessageStatus, Messageable,
    NewPart, RemoteState, Role, Spent, Usage, usage_set, utc_now,
};
use crate::schema::ai_engine_messages::{self, dsl as messages};
use crate::store::parts;
use crate::store::session::{Session, of, on};
use crate::store::update::update;

/// A new row. What is `None` is written as NULL, so that there is one text for all.
#[derive(Debug, Insertable)]
#[diesel(table_name = ai_engine_messages, treat_none_as_default_value = false)]
pub(crate) struct NewMessage {
    #[diesel(embed)]
    pub(crate) place: MessagePlace,
    #[diesel(embed)]
    pub(crate) body: MessageBody,
    #[diesel(embed)]
    pub(crate) note: MessageNote,
    /// Of the first message of a turn: the turn that it follows, where that is not the one below it.
    pub(crate) parent_seq: Option<i64>,
    pub(crate) created_at: chrono::NaiveDateTime,
    pub(crate) updated_at: chrono::NaiveDateTime,
}

impl NewMessage {
    /// A message with nothing but its text, complete, unknown to the provider.
    pub(crate) fn local(
        parent: Messageable,
        run_id: Option<i64>,
        seq: i64,
        position: i64,
        role: Role,
        content: String,
    ) -> Self {
        let now = utc_now();
        Self {
            place: MessagePlace {
                assistant_thread_id: parent.thread_id(),
                chat_id: parent.chat_id(),
                run_id,
                seq,
                position,
                role,
            },
            body: MessageBody {
                status: MessageStatus::Completed,
                content,
                model: None,
                usage: Usage::default(),
                // What an answer costs is known at its end.
                costs: if role == Role::Assistant && run_id.is_some() {
                    Costs::default()
                } else {
                    Costs::NOTHING
                },
                remote_id: None,
                remote_state: RemoteState::Absent,
                endpoint: None,
                protocol: None,
                part_count: 0,
            },
            note: MessageNote::default(),
            parent_seq: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same, with what the host says of it.
    pub(crate) fn noted(self, note: MessageNote) -> Self {
        Self { note, ..self }
    }

    /// The first message of a turn that follows this one; `None`: the turn below it.
    pub(crate) fn following(self, parent_seq: Option<i64>) -> Self {
        Self { parent_seq, ..self }
    }
}

pub(crate) fn insert(session: &mut dyn Session, new: &NewMessage) -> Result<Message> {
    let row: MessageRow = on!(session, |conn| diesel::insert_into(messages::ai_engine_messages)
        .values(new)
        .returning(MessageRow::as_returning())
        .get_result(conn))?;
    Ok(row.into())
}

/// A new row, and its parts.
pub(crate) fn insert_with(
    session: &mut dyn Session,
    mut new: NewMessage,
    beside: &[NewPart],
) -> Result<Message> {
    new.body.part_count = parts::count(beside.len());
    let mut message = insert(session, &new)?;
    message.parts = parts::insert(session, &message, beside)?;
    Ok(message)
}

/// A new row with the text and the parts of a message of the same conversation.
pub(crate) fn insert_copy(
    session: &mut dyn Session,
    mut new: NewMessage,
    of: &Message,
) -> Result<Message> {
    new.body.part_count = of.part_count;
    let mut message = insert(session, &new)?;
    parts::copy(session, of, &message)?;
    parts::attach(session, vec![&mut message])?;
    Ok(message)
}

/// Gives a message its final form. What is `None` in it stays as it is.
pub(crate) fn settle(session: &mut dyn Session, id: i64, settled: &MessageBody) -> Result<Message> {
    let row: MessageRow = on!(session, |conn| update(messages::ai_engine_messages.find(id))
        .set((settled, messages::updated_at.eq(utc_now())))
        .returning(MessageRow::as_returning())
        .get_result(conn))?;
    Ok(row.into())
}

/// Ends these growing messages without touching their texts, which stay where they are. `cost` is that of the last one.
pub(crate) fn break_off(
    session: &mut dyn Session,
    growing: &[&Message],
    cost: Spent,
) -> Result<()> {
    let last = growing.last().map(|message| message.id);
    for message in growing {
        let (usage, costs) = if Some(message.id) == last {
            (cost.usage, cost.costs)
        } else {
            (message.usage, Costs::NOTHING)
        };
        let broken = (
            messages::status.eq(MessageStatus::Incomplete),
            messages::updated_at.eq(utc_now()),
            usage_set!(messages, usage),
            costs,
        );
        on!(session, |conn| update(messages::ai_engine_messages.find(message.id))
            .set(broken)
            .execute(conn))?;
    }
    Ok(())
}

pub(crate) fn destroy_all(session: &mut dyn Session, parent: Messageable) -> Result<()> {
    on!(session, |conn| diesel::delete(
        messages::ai_engine_messages.filter(of!(messages, parent))
    )
    .execute(conn))?;
    Ok(())
}
