//! What the stream of a response means to a run. Lenient: what a server leaves out is made up from what it sends.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;

use super::{Billed, CallError, Ended, News, Progress, ProgressStream};
use crate::model::{Item, RunStatus, Usage};
use crate::openai;
use crate::openai::{Error, Response, ResponseError, ResponseStream, StreamEvent, StreamEventKind};

/// Most text of finished items that is kept of a stream: as much as one event may have.
const MOST_ITEM_BYTES: usize = 16 << 20;
/// Most finished items that are kept of a stream.
const MOST_ITEMS: usize = 10_000;

/// What a streamed response means to a run.
pub(crate) fn progress(stream: ResponseStream) -> ProgressStream {
    let mut reader = Reader::default();
    Box::pin(stream.map(move |event| Ok(reader.read(event?)?)))
}

/// Turns stream events into progress. Lenient: what a server leaves out is made up from what it sends.
#[derive(Debug, Default)]
struct Reader {
    /// Output index of each item id seen, and the one behind the last.
    slots: HashMap<String, i64>,
    behind: i64,
    /// Where text goes that says neither index nor id.
    current: i64,
    /// The id and index of `current`, if it was asked for; deltas come by the thousand for the same one.
    asked: Option<(Option<String>, Option<u64>)>,
    /// The part that had text last.
    part: Option<(i64, u64)>,
    /// Text parts that came as deltas: their `done` event says nothing new.
    streamed: HashSet<(i64, u64)>,
    /// The places of which there was text.
    texts: HashSet<i64>,
    /// Whether the id of the call was told.
    started: bool,
    /// Items that are finished, and their places: some servers leave them out of the end.
    done: Vec<(i64, Item)>,
    done_bytes: usize,
}

impl Reader {
    fn read(&mut self, event: StreamEvent) -> openai::Result<Progress> {
        let sequence_number = event.sequence_number;
        let news = self.news(event.kind)?;
        Ok(Progress { sequence_number, news })
    }

    fn news(&mut self, kind: StreamEventKind) -> openai::Result<News> {
        Ok(match kind {
            StreamEventKind::Created(response)
            | StreamEventKind::InProgress(response)
            | StreamEventKind::Queued(response) => {
                if std::mem::replace(&mut self.started, true) || response.id.is_empty() {
                    News::Alive
                } else {
                    News::Started { response_id: response.id }
                }
            }
            StreamEventKind::OutputItemAdded { output_index, item } => {
                self.slot(item.id(), output_index);
                News::Alive
            }
            StreamEventKind::OutputItemDone { output_index, item } => {
                let slot = self.slot(item.id(), output_index);
                let (remote_id, text) = (item.id().map(str::to_owned), item.text());
                let is_news = item.type_name() == "message"
                    && !text.is_empty()
                    && !self.texts.contains(&slot);
                self.keep(slot, item);
                if is_news {
                    self.is_new(slot, 0);
                    News::Text { slot, remote_id, delta: text }
                } else {
                    News::Alive
                }
            }
            StreamEventKind::OutputTextDelta { item_id, output_index, content_index, delta }
            | StreamEventKind::RefusalDelta { item_id, output_index, content_index, delta } => {
                let slot = self.slot(item_id.as_deref(), output_index);
                self.is_new(slot, content_index.unwrap_or(0));
                News::Text { slot, remote_id: item_id, delta }
            }
            StreamEventKind::OutputTextDone { item_id, output_index, content_index, text }
            | StreamEventKind::RefusalDone {
                item_id,
                output_index,
                content_index,
                refusal: text,
            } => {
                let slot = self.slot(item_id.as_deref(), output_index);
                if text.is_empty() || !self.is_new(slot, content_index.unwrap_or(0)) {
                    News::Alive
                } else {
                    News::Text { slot, remote_id: item_id, delta: text }
                }
            }
            StreamEventKind::Completed(response) => self.ended(RunStatus::Completed, response),
            StreamEventKind::Incomplete(response) => self.ended(RunStatus::Incomplete, response),
            StreamEventKind::Failed(response) => self.ended(RunStatus::Failed, response),
            StreamEventKind::Cancelled(response) => self.ended(RunStatus::Cancelled, response),
            StreamEventKind::Error(error) => return Err(Error::Api(Box::new(error))),
            _ => News::Alive,
        })
    }

    /// Whether this part of a message had no text yet; now it has.
    fn is_new(&mut self, slot: i64, part: u64) -> bool {
        if self.part.replace((slot, part)) == Some((slot, part)) {
            return false;
        }
        self.texts.insert(slot);
        self.streamed.insert((slot, part))
    }

    /// Keeps a finished item, in case that the end lacks it.
    fn keep(&mut self, slot: i64, item: Item) {
        self.done_bytes += item.as_value().to_string().len();
        if self.done.len() < MOST_ITEMS && self.done_bytes <= MOST_ITEM_BYTES {
            self.done.push((slot, item));
        }
    }

    /// The end, with the items that came before it if it has none of its own.
    fn ended(&mut self, status: RunStatus, mut response: Response) -> News {
        if response.output.is_empty() {
            self.done.sort_by_key(|(slot, _)| *slot);
            response.output = self.done.drain(..).map(|(_, item)| item).collect();
        }
        ended(status, response)
    }

    fn slot(&mut self, id: Option<&str>, index: Option<u64>) -> i64 {
        if self.asked.as_ref().is_some_and(|(of, at)| of.as_deref() == id && *at == index) {
            return self.current;
        }
        self.asked = Some((id.map(str::to_owned), index));
        // An index beyond reason is a mistake, not a place.
        let index = index.and_then(|index| u32::try_from(index).ok()).map(i64::from);
        self.current = match (id, index) {
            (Some(id), Some(index)) => {
                self.slots.insert(id.to_owned(), index);
                index
            }
            (None, Some(index)) => index,
            (Some(id), None) => {
                let next = if self.slots.is_empty() { self.current } else { self.behind };
                *self.slots.entry(id.to_owned()).or_insert(next)
            }
            (None, None) => self.current,
        };
        if id.is_some() {
            self.behind = self.behind.max(self.current + 1);
        }
        self.current
    }
}

/// Whether all that the messages say is that the model declines.
fn is_refusal(output: &[Item]) -> bool {
    let parts = output
        .iter()
        .filter(|item| item.type_name() == "message")
        .filter_map(|item| item.as_value()["content"].as_array())
        .flatten();
    let mut kinds = parts.filter_map(|part| part["type"].as_str()).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind == "refusal")
}

/// How a call ended that gave this response.
pub(super) fn ended(status: RunStatus, response: Response) -> News {
    let failed = status == RunStatus::Failed;
    let billed = Billed::of(&response);
    let error = response.error.map(ResponseError::into_api);
    let word = error.as_ref().and_then(|error| error.code.clone().or_else(|| error.kind.clone()));
    let message = error.as_ref().map(|error| error.message.clone());
    // What a model thought by itself, and what is blank, is no output: nobody has it.
    let has_output = response.output.iter().any(|item| match item.type_name() {
        "reasoning" => false,
        "message" => !item.text().trim().is_empty(),
        _ => true,
    });
    let usage = response.usage.map(|usage| Usage {
        input_tokens: usage.input_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        estimated: false,
    });
    let usage = usage.filter(|usage| usage.total_tokens() > 0);
    News::Ended(Box::new(Ended {
        status,
        reason: response.incomplete_reason.or(word),
        refusal: is_refusal(&response.output),
        error: message,
        failure: error.filter(|_| failed && !has_output).map(CallError::from),
        response_id: Some(response.id).filter(|id| !id.is_empty()),
        model: response.model,
        usage,
        billed,
        output: response.output,
    }))
}
