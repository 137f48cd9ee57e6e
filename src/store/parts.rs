//! What messages have beside their texts, and the bytes of it: once for each thread or chat.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::Value;

use super::any_of::any_of;
use super::session::{Session, of, on};
use crate::error::{Error, Result};
use crate::model::{
    Blob, Message, MessageRow, Messageable, NewPart, Part, PartKind, Said, utc_now,
};
use crate::schema::ai_engine_blobs::dsl as blobs;
use crate::schema::ai_engine_message_parts::dsl as parts;
use crate::schema::ai_engine_messages::dsl as messages;
use crate::schema::ai_engine_run_items::dsl as items;

/// A part without its bytes, and the item that it is of.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = crate::schema::ai_engine_message_parts)]
struct PartRow {
    id: i64,
    message_id: i64,
    position: i64,
    kind: PartKind,
    media_type: Option<String>,
    name: Option<String>,
    size: Option<i64>,
    digest: Option<String>,
    url: Option<String>,
    file_id: Option<String>,
    endpoint: Option<String>,
    data: Option<Value>,
    text_offset: i64,
    blob_id: Option<i64>,
}

impl PartRow {
    fn with(self, item: Option<Value>) -> Part {
        Part {
            id: self.id,
            position: self.position,
            kind: self.kind,
            media_type: self.media_type,
            name: self.name,
            size: self.size,
            digest: self.digest,
            url: self.url,
            file_id: self.file_id,
            endpoint: self.endpoint,
            raw: self.data.or(item.map(shown)),
            text_offset: self.text_offset,
            blob_id: self.blob_id,
        }
    }
}

/// An item as a part shows it.
fn shown(mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.remove("encrypted_content");
        // Bytes that could not be read: see `drive/output_parts.rs`.
        fields.remove("result");
    }
    item
}

/// How many there are, as it is stored beside the text.
pub(crate) fn count(parts: usize) -> i64 {
    i64::try_from(parts).unwrap_or(i64::MAX)
}

/// The parts of these messages, in order. Messages without any cost no statement.
fn of_messages(session: &mut dyn Session, ids: &[i64]) -> Result<HashMap<i64, Vec<Part>>> {
    let mut found: HashMap<i64, Vec<Part>> = HashMap::new();
    for ids in ids.chunks(1000) {
        let rows: Vec<(PartRow, Option<Value>)> =
            on!(session, |conn| parts::ai_engine_message_parts
                .left_join(items::ai_engine_run_items)
                .filter(any_of(parts::message_id, ids))
                .order((parts::message_id, parts::position))
                .select((PartRow::as_select(), items::item.nullable()))
                .load(conn))?;
        for (row, item) in rows {
            found.entry(row.message_id).or_default().push(row.with(item));
        }
    }
    Ok(found)
}

/// Gives these messages their parts.
pub(crate) fn attach(session: &mut dyn Session, mut having: Vec<&mut Message>) -> Result<()> {
    having.retain(|message| message.part_count > 0);
    let ids: Vec<i64> = having.iter().map(|message| message.id).collect();
    let mut found = of_messages(session, &ids)?;
    for message in &mut having {
        message.parts = found.remove(&message.id).unwrap_or_default();
    }
    Ok(())
}

/// The same for rows.
pub(super) fn beside(session: &mut dyn Session, rows: Vec<MessageRow>) -> Result<Vec<Said>> {
    let having = rows.iter().filter(|row| row.body.part_count > 0);
    let ids: Vec<i64> = having.map(|row| row.id).collect();
    let mut found = of_messages(session, &ids)?;
    let with_parts = rows.into_iter().map(|row| {
        let parts = found.remove(&row.id).unwrap_or_default();
        Said { row, parts }
    });
    Ok(with_parts.collect())
}

/// Stores the parts of a message.
pub(crate) fn insert(
    session: &mut dyn Session,
    message: &Message,
    new: &[NewPart],
) -> Result<Vec<Part>> {
    for (position, part) in new.iter().enumerate() {
        let blob = match &part.blob {
            Some(blob) => Some(keep(session, message.messageable, blob)?),
            None => None,
        };
        let item = match (part.item, message.run_id) {
            (Some(position), Some(run)) => item_at(session, run, position)?,
            _ => None,
        };
        let row = (
            parts::message_id.eq(message.id),
            parts::position.eq(count(position)),
            parts::kind.eq(part.kind),
            parts::media_type.eq(&part.media_type),
            parts::name.eq(&part.name),
            parts::size.eq(part.blob.as_ref().map(|blob| count(blob.bytes.len()))),
            parts::digest.eq(part.blob.as_ref().map(|blob| &*blob.digest)),
            parts::url.eq(&part.url),
            parts::file_id.eq(&part.file_id),
            parts::endpoint.eq(&part.endpoint),
            parts::blob_id.eq(blob),
            parts::item_id.eq(item),
            parts::data.eq(&part.data),
            parts::text_offset.eq(part.text_offset),
            parts::created_at.eq(utc_now()),
        );
        on!(session, |conn| diesel::insert_into(parts::ai_engine_message_parts)
            .values(row)
            .execute(conn))?;
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    Ok(of_messages(session, &[message.id])?.remove(&message.id).unwrap_or_default())
}

fn item_at(session: &mut dyn Session, run: i64, position: i64) -> Result<Option<i64>> {
    Ok(on!(session, |conn| items::ai_engine_run_items
        .filter(items::run_id.eq(run))
        .filter(items::position.eq(position))
        .select(items::id)
        .get_result(conn)
        .optional())?)
}

/// The row of these bytes in a conversation, which is made if there is none. Two that store the same at once have one.
fn keep(session: &mut dyn Session, of: Messageable, blob: &Blob) -> Result<i64> {
    if let Some(id) = kept(session, of, &blob.digest)? {
        return Ok(id);
    }
    let row = (
        blobs::assistant_thread_id.eq(of.thread_id()),
        blobs::chat_id.eq(of.chat_id()),
        blobs::digest.eq(&*blob.digest),
        blobs::bytes.eq(&**blob.bytes),
        blobs::created_at.eq(utc_now()),
    );
    on!(session, |conn| diesel::insert_into(blobs::ai_engine_blobs)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn))?;
    kept(session, of, &blob.digest)?.ok_or_else(|| Error::not_found("blob", &blob.digest))
}

fn kept(session: &mut dyn Session, of: Messageable, digest: &str) -> Result<Option<i64>> {
    Ok(on!(session, |conn| blobs::ai_engine_blobs
        .filter(of!(blobs, of))
        .filter(blobs::digest.eq(digest))
        .select(blobs::id)
        .get_result(conn)
        .optional())?)
}

/// Gives a message the same parts as another one of its conversation has.
pub(crate) fn copy(session: &mut dyn Session, from: &Message, to: &Message) -> Result<()> {
    if from.part_count == 0 {
        return Ok(());
    }
    // Numbers go into the statement as they are: nothing of them is text.
    let statement = format!(
        "INSERT INTO ai_engine_message_parts ({COPIED}, message_id, blob_id, item_id) \
         SELECT {COPIED}, {}, blob_id, item_id FROM ai_engine_message_parts WHERE message_id = {}",
        to.id, from.id
    );
    on!(session, |conn| diesel::sql_query(&statement).execute(conn))?;
    Ok(())
}

/// What a copy of a part has as it is.
pub(super) const COPIED: &str = "position, kind, media_type, name, size, digest, url, file_id, endpoint, data, text_offset, created_at";

/// A part of this conversation.
pub(crate) fn find(session: &mut dyn Session, of: Messageable, part: i64) -> Result<Part> {
    let found: Option<(PartRow, Option<Value>)> =
        on!(session, |conn| parts::ai_engine_message_parts
            .inner_join(messages::ai_engine_messages)
            .left_join(items::ai_engine_run_items)
            .filter(parts::id.eq(part))
            .filter(of!(messages, of))
            .select((PartRow::as_select(), items::item.nullable()))
            .get_result(conn)
            .optional())?;
    let (row, item) = found.ok_or_else(|| Error::not_found("part", part))?;
    Ok(row.with(item))
}

/// The bytes of a part of this conversation.
pub(crate) fn bytes(session: &mut dyn Session, of: Messageable, part: i64) -> Result<Vec<u8>> {
    on!(session, |conn| parts::ai_engine_message_parts
        .inner_join(messages::ai_engine_messages)
        .inner_join(blobs::ai_engine_blobs)
        .filter(parts::id.eq(part))
        .filter(of!(messages, of))
        .select(blobs::bytes)
        .get_result(conn)
        .optional())?
    .ok_or_else(|| Error::not_found("part with bytes", part))
}

/// The bytes of a blob; `None`: its conversation was deleted.
pub(crate) fn blob(session: &mut dyn Session, id: i64) -> Result<Option<Vec<u8>>> {
    Ok(on!(session, |conn| blobs::ai_engine_blobs
        .find(id)
        .select(blobs::bytes)
        .get_result(conn)
        .optional())?)
}
