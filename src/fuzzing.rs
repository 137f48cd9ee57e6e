//! For fuzzing only: a streamed response, put together as a run does. No part of the API.

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use serde_json::Value;

use crate::drive::flight::{Applied, Flight};
use crate::drive::outcome::refused;
use crate::drive::output::{close_calls, final_messages, other_items};
use crate::error::BoxError;
use crate::follow::cursor::Cursor;
use crate::follow::event::{Event, EventKind};
use crate::follow::transcript::Transcript;
use crate::model::{Message, MessageStatus, RemoteState, Run, RunStatus, Usage};
use crate::openai::{self, ApiKey, ResponseStream};
use crate::provider::{ProgressStream, chat_progress, progress};

/// What a run makes of a stream.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Accumulated {
    /// Slot and text of each message as streamed, in order.
    pub streamed: Vec<(i64, String)>,
    /// Slot and text of each message as it would be stored at the end.
    pub finals: Vec<(i64, String)>,
    /// Position and JSON of each item that is no message.
    pub items: Vec<(i64, Value)>,
    /// Whatever else of it would be stored: ids, names, reasons.
    pub words: Vec<String>,
    /// How the provider ended the response, if it did.
    pub ended: Option<RunStatus>,
    /// The tokens of its last event.
    pub usage: Usage,
}

/// Reads a stream to its end.
///
/// # Errors
///
/// What broke it off; the text before that is given all the same.
pub async fn accumulate(stream: ResponseStream) -> (Accumulated, Result<(), BoxError>) {
    put_together(progress(stream)).await
}

/// Reads a body of server-sent events, as the answer of a chat completion, to its end.
///
/// # Errors
///
/// What broke it off; the text before that is given all the same.
pub async fn accumulate_chat(
    chunks: impl Stream<Item = openai::Result<Bytes>> + Send + 'static,
    max_event_bytes: usize,
    key: Option<&ApiKey>,
) -> (Accumulated, Result<(), BoxError>) {
    put_together(chat_progress(openai::fuzzing::chat(chunks, max_event_bytes, key))).await
}

/// [`accumulate_chat`] by the way that odd chunks go, for all of them: nothing may read differently there.
///
/// # Errors
///
/// What broke it off; the text before that is given all the same.
pub async fn accumulate_chat_leniently(
    chunks: impl Stream<Item = openai::Result<Bytes>> + Send + 'static,
    max_event_bytes: usize,
    key: Option<&ApiKey>,
) -> (Accumulated, Result<(), BoxError>) {
    put_together(chat_progress(openai::fuzzing::chat_leniently(chunks, max_event_bytes, key))).await
}

async fn put_together(mut progress: ProgressStream) -> (Accumulated, Result<(), BoxError>) {
    let flight = Flight::new(Run::sample(RunStatus::InProgress));
    let mut result = Ok(());
    let mut ended = None;
    while let Some(item) = progress.next().await {
        match item.map(|progress| flight.apply(progress)) {
            Ok(Applied::Ended(end)) => {
                ended = Some(*end);
                break;
            }
            Ok(Applied::Text { .. } | Applied::Silently) => {}
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    let transcript = &flight.transcript;
    let mut words: Vec<Option<String>> =
        transcript.look(|seen| seen.messages.iter().map(|said| said.remote_id.clone()).collect());
    if let Err(error) = &result {
        let outcome = refused(error, flight.has_output());
        words.extend([
            outcome.reason.map(|reason| reason.to_string()),
            outcome.provider_reason,
            outcome.error,
        ]);
    }
    if let Some(ended) = ended.clone() {
        words.extend([ended.reason, ended.error, ended.response_id, ended.model]);
    }
    let output = ended.as_ref().map_or(&[][..], |ended| &ended.output);
    let mut items = other_items(output, 0, RemoteState::Held);
    close_calls(&mut items, output, 0);
    for item in &items {
        let words_of = [Some(item.kind.clone()), item.call_id.clone(), item.phase.clone()];
        words.extend(words_of.into_iter().chain([item.remote_id.clone()]));
    }
    let finals = transcript.look(|seen| final_messages(&seen.messages, output, 0));
    words.extend(finals.iter().map(|said| said.remote_id.clone()));
    let accumulated = Accumulated {
        streamed: transcript
            .look(|seen| seen.messages.iter().map(|said| (said.slot, said.text.clone())).collect()),
        finals: finals.into_iter().map(|said| (said.slot, said.content)).collect(),
        items: items.into_iter().map(|item| (item.position, item.item)).collect(),
        words: words.into_iter().flatten().collect(),
        ended: ended.as_ref().map(|ended| ended.status),
        usage: ended.and_then(|ended| ended.usage).unwrap_or_default(),
    };
    (accumulated, result.map_err(BoxError::from))
}

/// What a reader with this cursor is told of a run in which the model said these texts: the names of the changes. `None`:
/// it is no cursor.
///
/// # Panics
///
/// If the cursor does not read back as it was written, or the changes do not end: what fuzzing looks for.
#[must_use]
pub fn told(cursor: &str, texts: &[&str], settled: bool) -> Option<Vec<&'static str>> {
    let cursor: Cursor = cursor.parse().ok()?;
    assert_eq!(cursor.to_string().parse::<Cursor>().ok().as_ref(), Some(&cursor));
    let transcript = Transcript::new(Run::sample(RunStatus::InProgress));
    transcript.update(|seen| {
        seen.begun = true;
        for (slot, text) in (0..).zip(texts) {
            seen.change(slot, |message| {
                (*text).clone_into(&mut message.text);
                message.row = Some(Message::sample(slot, text, MessageStatus::Streaming));
                message.settled = settled;
            });
        }
        seen.ended = settled;
    });
    let mut delivered = (*cursor.delivered).clone();
    let mut names = Vec::new();
    while let Some(change) = transcript.look(|seen| seen.after(&mut delivered)) {
        let kind = EventKind::from(change);
        names.push(Event { cursor: cursor.clone(), kind }.name());
        assert!(names.len() <= 3 * texts.len() + 4, "it does not end: {names:?}");
    }
    Some(names)
}
