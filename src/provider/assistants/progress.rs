//! What a run means to a run of ours: the same as a response with the items that it amounts to.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::running::Running;
use crate::model::{Item, RunStatus};
use crate::openai::{ListItems, Order, Response, ResponseError, Run, RunEventKind, ThreadMessage};
use crate::provider::progress::ended;
use crate::provider::{CallError, News, Progress, ProgressStream, Result};

/// The longest that a run lasts by the protocol; one that is not streamed is looked at for so long.
const LONGEST_RUN: Duration = Duration::from_mins(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn progress(running: Running) -> ProgressStream {
    let reader = Reader::default();
    Box::pin(stream::unfold(Some((running, reader)), async |state| {
        let (mut running, mut reader) = state?;
        let event = running.stream.as_mut()?.next().await?;
        match step(&mut running, &mut reader, event.map_err(CallError::from)).await {
            Ok(news) => {
                let goes_on = !matches!(news, News::Ended(_));
                let progress = Progress { sequence_number: None, news };
                Some((Ok(progress), goes_on.then_some((running, reader))))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}

async fn step(
    running: &mut Running,
    reader: &mut Reader,
    event: Result<RunEventKind>,
) -> Result<News> {
    match event? {
        RunEventKind::Run(run) => {
            let is_new = running.run.is_none();
            let response_id = running.run.insert(run.id).clone();
            Ok(if is_new { News::Started { response_id } } else { News::Alive })
        }
        RunEventKind::Whole(run) => {
            let run = followed(running, *run).await?;
            end(running, reader, run).await
        }
        RunEventKind::Ended(run) => end(running, reader, *run).await,
        RunEventKind::Message { id } => {
            reader.place(&id);
            Ok(News::Alive)
        }
        RunEventKind::Text { id, delta } => Ok(reader.add(id, delta)),
        RunEventKind::Said(message) => Ok(reader.said(*message)),
        RunEventKind::Alive | RunEventKind::Done => Ok(News::Alive),
    }
}

/// The run at its end, of a server that does not stream.
async fn followed(running: &mut Running, mut run: Run) -> Result<Run> {
    running.run = Some(run.id.clone());
    let until = Instant::now() + LONGEST_RUN;
    let mut pause = running.client.retry_delay();
    while !run.is_over() && run.status != "requires_action" {
        if Instant::now() >= until {
            return Err(CallError::disconnected("the run did not end in ten minutes"));
        }
        sleep(pause.min(LONGEST_PAUSE)).await;
        pause = pause.saturating_mul(2);
        run = running.client.assistants().retrieve_run(&running.thread, &run.id).await?;
    }
    Ok(run)
}

async fn end(running: &mut Running, reader: &mut Reader, run: Run) -> Result<News> {
    running.run = Some(run.id.clone());
    // One that waits for outputs keeps its thread busy, and no call of ours brings them to it.
    running.is_over = run.is_over();
    if reader.pieces.is_empty() && run.calls.is_empty() && run.status == "completed" {
        let list = ListItems { limit: Some(20), order: Some(Order::NewestFirst), after: None };
        let page = running.client.assistants().messages(&running.thread, &list).await?;
        let of_run = page.data.into_iter().filter(|message| message.run.as_ref() == Some(&run.id));
        let newest_first: Vec<_> = of_run.collect();
        newest_first.into_iter().rev().for_each(|message| drop(reader.said(message)));
    }
    Ok(reader.end(run))
}

/// One message as far as it was told.
#[derive(Debug)]
struct Piece {
    id: String,
    text: String,
    /// At its end.
    whole: Option<Item>,
}

/// The messages of a run, in the order in which they began.
#[derive(Debug, Default)]
struct Reader {
    pieces: Vec<Piece>,
}

impl Reader {
    /// Where this message is; deltas come by the thousand for the last one.
    fn place(&mut self, id: &str) -> usize {
        self.pieces.iter().rposition(|piece| piece.id == id).unwrap_or_else(|| {
            self.pieces.push(Piece { id: id.to_owned(), text: String::new(), whole: None });
            self.pieces.len() - 1
        })
    }

    fn add(&mut self, id: String, delta: String) -> News {
        let place = self.place(&id);
        self.pieces[place].text.push_str(&delta);
        let slot = i64::try_from(place).unwrap_or(i64::MAX);
        News::Text { slot, remote_id: Some(id), delta }
    }

    fn said(&mut self, message: ThreadMessage) -> News {
        let place = self.place(&message.id);
        let text = message.item.text();
        self.pieces[place].whole = Some(message.item);
        if self.pieces[place].text.is_empty() && !text.is_empty() {
            return self.add(message.id, text);
        }
        News::Alive
    }

    fn end(&mut self, run: Run) -> News {
        let (status, word) = match &*run.status {
            "completed" | "requires_action" => (RunStatus::Completed, None),
            "incomplete" => (RunStatus::Incomplete, run.incomplete_reason),
            "cancelled" => (RunStatus::Cancelled, None),
            other => (RunStatus::Failed, Some(other.to_owned())),
        };
        let error = (status == RunStatus::Failed).then(|| {
            run.error.unwrap_or_else(|| ResponseError {
                code: word.clone().filter(|word| word != "failed"),
                message: format!("the run is {}, and the provider did not say why", run.status),
                ..ResponseError::default()
            })
        });
        let pieces = std::mem::take(&mut self.pieces).into_iter();
        let mut output: Vec<Item> = pieces.filter_map(|piece| item(piece, status)).collect();
        output.extend(run.calls);
        let response = Response {
            id: run.id,
            model: run.model,
            output,
            usage: run.usage,
            incomplete_reason: word.filter(|_| status == RunStatus::Incomplete),
            error,
            ..Response::default()
        };
        ended(status, response)
    }
}

fn item(piece: Piece, status: RunStatus) -> Option<Item> {
    let has_text = |item: &Item| !item.text().is_empty();
    if let Some(whole) = piece.whole.filter(|item| piece.text.is_empty() || has_text(item)) {
        return Some(whole);
    }
    // It broke off, and the server did not tell its end.
    (!piece.text.is_empty()).then(|| {
        let status = if status == RunStatus::Completed { "completed" } else { "incomplete" };
        Item::from(json!({
            "type": "message", "id": piece.id, "role": "assistant", "status": status,
            "content": [{"type": "output_text", "text": piece.text, "annotations": []}],
        }))
    })
}
