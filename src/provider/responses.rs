//! The Responses and Conversations APIs.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use futures_util::StreamExt;

use super::{Call, CallError, Ended, News, Progress, ProgressStream, Provider, Result};
use crate::model::{Item, RunStatus, Usage};
use crate::openai;
use crate::openai::{
    CreateConversation, CreateResponse, Error, ListItems, OpenAi, Order, Response, ResponseError,
    ResponseStream, StreamEvent, StreamEventKind,
};

/// Most pages read of a conversation: what is newer than the last item that is known for sure is short, as a rule.
const MOST_PAGES: usize = 50;
/// Most items deleted at one try; the next one goes on.
const MOST_DELETED: usize = 1_000;
/// Most text of finished items that is kept of a stream: as much as one event may have.
const MOST_ITEM_BYTES: usize = 16 << 20;
/// Most finished items that are kept of a stream.
const MOST_ITEMS: usize = 10_000;
/// The largest page of the items endpoint (`OpenAI`'s API description).
const PAGE: u8 = 100;

#[derive(Debug, Clone)]
pub(crate) struct Responses {
    client: OpenAi,
}

impl Responses {
    pub(crate) const fn new(client: OpenAi) -> Self {
        Self { client }
    }

    fn request(call: &Call) -> CreateResponse {
        let definition = call.definition.clone();
        let mut request = CreateResponse::new(definition.model);
        request.input = call.input.iter().map(|item| item.as_value().clone().into()).collect();
        request.instructions = definition.instructions;
        request.conversation.clone_from(&call.conversation);
        // `store: false` beside a conversation contradicts it.
        request.store = call.conversation.is_none().then_some(false);
        request.temperature = definition.temperature;
        request.top_p = definition.top_p;
        request.max_output_tokens =
            definition.max_output_tokens.and_then(|tokens| u32::try_from(tokens).ok());
        request.reasoning = definition.reasoning;
        let text = |(key, value): (String, serde_json::Value)| {
            value.as_str().map(|value| (key, value.to_owned()))
        };
        let metadata: std::collections::BTreeMap<_, _> =
            definition.metadata.into_iter().filter_map(text).collect();
        request.metadata = (!metadata.is_empty()).then_some(metadata);
        request.tools = (!definition.tools.is_empty()).then_some(definition.tools);
        request.extra = definition.parameters;
        request
    }

    async fn page(
        &self,
        id: &str,
        after: Option<String>,
        order: Order,
    ) -> openai::Result<openai::ItemPage> {
        let list = ListItems { after, limit: Some(PAGE), order: Some(order) };
        self.client.conversations().list_items(id, &list).await
    }
}

#[async_trait]
impl Provider for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn endpoint(&self) -> &str {
        self.client.endpoint()
    }

    async fn call(&self, call: &Call) -> Result<ProgressStream> {
        // A call whose answer was lost may be in the conversation already; to repeat it blindly would add it twice.
        let careful = call.conversation.is_some();
        let request = Self::request(call);
        let responses = self.client.responses();
        Ok(progress(responses.stream_counted(&request, careful, &call.tries).await?))
    }

    async fn create_conversation(&self) -> Result<String> {
        let created = self.client.conversations().create(&CreateConversation::default()).await;
        match created {
            Ok(created) if created.id.trim().is_empty() => {
                let message =
                    "it names no conversation, so none can be continued; use History::Local";
                Err(Error::malformed("the answer to a new conversation", message, "").into())
            }
            Ok(created) => Ok(created.id),
            Err(error) => Err(error.without_conversations(self.client.base_url()).into()),
        }
    }

    async fn conversation_exists(&self, id: &str) -> Result<bool> {
        match self.client.conversations().retrieve(id).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            // It cannot be asked; nothing says that it is gone.
            Err(error) if is_not_offered(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn conversation_tail(
        &self,
        id: &str,
        known: &(dyn for<'a> Fn(&'a str) -> bool + Sync),
    ) -> Result<(Vec<Item>, Option<String>)> {
        let mut newest_first: Vec<Item> = Vec::new();
        let (mut after, mut seen) = (None, HashSet::new());
        for _ in 0..MOST_PAGES {
            let page = self.page(id, after, Order::NewestFirst).await?;
            let next = page.data.last().and_then(openai::Item::id).map(str::to_owned);
            for item in page.data.into_iter().map(ours) {
                let id = item.id().map(str::to_owned);
                if let Some(anchor) = id.clone().filter(|id| known(id)) {
                    newest_first.reverse();
                    return Ok((newest_first, Some(anchor)));
                }
                if id.is_some_and(|id| !seen.insert(id)) {
                    return Err(endless("it shows an item twice"));
                }
                newest_first.push(item);
            }
            // A server that says `has_more` without a place to go on would be asked forever.
            if !page.has_more || next.is_none() {
                newest_first.reverse();
                return Ok((newest_first, None));
            }
            after = next;
        }
        Err(endless("it does not end"))
    }

    async fn conversation_newest(&self, id: &str) -> Result<Vec<Item>> {
        let page = self.page(id, None, Order::NewestFirst).await?;
        Ok(page.data.into_iter().map(ours).collect())
    }

    fn surely_keeps_conversations(&self) -> bool {
        self.client.is_openai()
    }

    async fn delete_conversation(&self, id: &str) -> Result<()> {
        // Deleting a conversation leaves its items with the provider, so they go first.
        let mut deleted = HashSet::new();
        'items: loop {
            let page = match self.page(id, None, Order::OldestFirst).await {
                Ok(page) => page,
                // Where there is no list there are no items to be had.
                Err(error) if is_gone(&error) => break,
                Err(error) => return Err(error.into()),
            };
            let ids: Vec<String> =
                page.data.iter().filter_map(openai::Item::id).map(str::to_owned).collect();
            let new: Vec<String> =
                ids.iter().filter(|id| !deleted.contains(*id)).cloned().collect();
            if ids.is_empty() {
                break;
            }
            if new.is_empty() {
                return Err(endless("items that were deleted are still there"));
            }
            for item in new {
                if deleted.len() >= MOST_DELETED {
                    return Err(endless(
                        "there are more items than one try deletes; the next goes on",
                    ));
                }
                match self.client.conversations().delete_item(id, &item).await {
                    // It deletes no items, but perhaps the conversation.
                    Err(error) if is_not_offered(&error) => break 'items,
                    deletion => gone(deletion)?,
                }
                deleted.insert(item);
            }
        }
        gone(self.client.conversations().delete(id).await)
    }

    async fn delete_response(&self, id: &str) -> Result<()> {
        gone(self.client.responses().delete(id).await)
    }
}

fn gone(result: openai::Result<()>) -> Result<()> {
    match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether a deletion has nothing to do: the object is not there, or the server cannot delete what it never kept.
fn is_gone(error: &Error) -> bool {
    error.is_not_found() || is_not_offered(error)
}

/// Whether a server has no such verb.
fn is_not_offered(error: &Error) -> bool {
    matches!(error.api().and_then(|error| error.status), Some(405 | 501))
}

fn endless(what: &str) -> CallError {
    Error::malformed("the list of a conversation's items", what, "").into()
}

fn ours(item: openai::Item) -> Item {
    item.into_value().into()
}

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
    done: Vec<(i64, openai::Item)>,
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
                let is_news =
                    item.kind() == "message" && !text.is_empty() && !self.texts.contains(&slot);
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
    fn keep(&mut self, slot: i64, item: openai::Item) {
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
fn is_refusal(output: &[openai::Item]) -> bool {
    let parts = output
        .iter()
        .filter(|item| item.kind() == "message")
        .filter_map(|item| item.as_value()["content"].as_array())
        .flatten();
    let mut kinds = parts.filter_map(|part| part["type"].as_str()).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind == "refusal")
}

fn ended(status: RunStatus, response: Response) -> News {
    let failed = status == RunStatus::Failed;
    let error = response.error.map(ResponseError::into_api);
    let word = error.as_ref().and_then(|error| error.code.clone().or_else(|| error.kind.clone()));
    let message = error.as_ref().map(|error| error.message.clone());
    // What a model thought by itself, and what is blank, is no output: nobody has it.
    let has_output = response.output.iter().any(|item| match item.kind() {
        "reasoning" => false,
        "message" => !item.text().trim().is_empty(),
        _ => true,
    });
    let usage = response.usage.map_or_else(Usage::default, |usage| Usage {
        input_tokens: usage.input_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
        reasoning_tokens: usage.reasoning_tokens,
    });
    News::Ended(Box::new(Ended {
        status,
        reason: response.incomplete_reason.or(word),
        refusal: is_refusal(&response.output),
        error: message,
        failure: error.filter(|_| failed && !has_output).map(CallError::from),
        response_id: Some(response.id).filter(|id| !id.is_empty()),
        model: response.model,
        usage,
        output: response.output.into_iter().map(ours).collect(),
    }))
}
