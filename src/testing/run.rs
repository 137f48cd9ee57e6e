//! One response in the making: yields its events one by one and settles the state at the end.

use std::{collections::VecDeque, future, io, mem, sync::Arc};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::Value;

use super::{
    events::{self, TextDelta},
    fake::Shared,
    items,
    reply::{Ending, Reply, Step},
    snapshot,
    wire::Flushes,
};

/// What a run needs to know of the request it answers.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) response: Value,
    pub(super) message_id: String,
    pub(super) input: Vec<Value>,
    pub(super) input_tokens: u64,
    pub(super) conversation: Option<String>,
    /// Whether the items go to the conversation, if there is one.
    pub(super) store: bool,
    pub(super) obfuscate: bool,
}

pub(super) struct Run {
    shared: Arc<Shared>,
    job: Job,
    reply: Reply,
    opening: VecDeque<Value>,
    deltas_sent: usize,
    closing: Option<VecDeque<Value>>,
    /// Number of the next event.
    number: usize,
    /// Where there is a body whose earlier events can be flushed.
    flushes: Option<Flushes>,
    settled: bool,
    cut_by_server: bool,
}

/// What comes next in the body.
enum Next {
    Raw(String),
    Event(Value),
    /// The text delta of this index.
    Delta(usize),
    End,
    Broken,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>, job: Job, reply: Reply) -> Self {
        let message = Self::has_message(&reply).then_some(job.message_id.as_str());
        let opening = events::opening(&job.response, &reply.items, message);
        Self {
            shared,
            opening: opening.into(),
            job,
            reply,
            deltas_sent: 0,
            closing: None,
            number: 0,
            flushes: None,
            settled: false,
            cut_by_server: false,
        }
    }

    /// A response that fails at once never begins its message.
    fn has_message(reply: &Reply) -> bool {
        let failed = matches!(reply.ending, Ending::Failed { .. });
        reply.with_message && !(failed && reply.deltas.is_empty())
    }

    /// The headers that the script wants on the answer.
    pub(super) fn take_headers(&mut self) -> Vec<(String, String)> {
        mem::take(&mut self.reply.headers)
    }

    /// Runs as a stream of server-sent events, made as the client takes them.
    pub(super) fn into_body(
        mut self,
        flushes: Flushes,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        self.flushes = Some(flushes);
        stream::unfold(Some(self), |run| async {
            let mut run = run?;
            match run.next().await {
                Next::Raw(raw) => Some((Ok(Bytes::from(raw)), Some(run))),
                Next::Event(event) => {
                    let frame = events::frame(run.number, run.job.obfuscate, event);
                    run.number += 1;
                    Some((Ok(frame), Some(run)))
                }
                Next::Delta(index) => {
                    let frame = run.delta_frame(index);
                    run.number += 1;
                    Some((Ok(frame), Some(run)))
                }
                Next::End => None,
                Next::Broken => Some((Err(io::ErrorKind::ConnectionAborted.into()), None)),
            }
        })
    }

    /// Runs without a stream, to the final object; `None` where the reply was cut.
    pub(super) async fn into_object(mut self) -> Option<Value> {
        loop {
            match self.next().await {
                Next::Raw(_) => {}
                Next::Event(_) | Next::Delta(_) => self.number += 1,
                Next::End if self.settled => return Some(mem::take(&mut self.job.response)),
                Next::End | Next::Broken => return None,
            }
        }
    }

    async fn next(&mut self) -> Next {
        while let Some(step) = self.take_step() {
            match step {
                Step::Raw(raw) => return Next::Raw(raw),
                Step::Keepalive => return Next::Event(events::keepalive()),
                Step::Hold(gate) => {
                    self.flush().await;
                    gate.pass().await;
                }
                Step::Stall => future::pending::<()>().await,
                Step::End => {
                    self.cut_by_server = true;
                    return Next::End;
                }
                Step::Disconnect => {
                    self.flush().await;
                    self.cut_by_server = true;
                    return Next::Broken;
                }
            }
        }
        self.next_of_response().await
    }

    fn take_step(&mut self) -> Option<Step> {
        let due = |(at, _): &(usize, Step)| *at <= self.number;
        let index = self.reply.steps.iter().position(due)?;
        Some(self.reply.steps.remove(index).1)
    }

    async fn flush(&self) {
        if let Some(flushes) = &self.flushes {
            flushes.flushed().await;
        }
    }

    async fn next_of_response(&mut self) -> Next {
        if let Some(event) = self.opening.pop_front() {
            return Next::Event(event);
        }
        let index = self.deltas_sent;
        let has_delta = index < self.reply.deltas.len() && Self::has_message(&self.reply);
        if self.closing.is_none() {
            self.wait(index).await;
        }
        if has_delta {
            self.deltas_sent += 1;
            return Next::Delta(index);
        }
        let mut closing = match self.closing.take() {
            Some(closing) => closing,
            None => self.close().into(),
        };
        let event = closing.pop_front();
        // The state changes before the last event leaves: who has seen it may go on at once.
        if closing.is_empty() && !self.settled {
            self.settle();
        }
        self.closing = Some(closing);
        event.map_or(Next::End, Next::Event)
    }

    /// The first token takes its own time, also where there is none; later deltas keep the pace.
    async fn wait(&self, deltas_sent: usize) {
        let delay = match deltas_sent {
            0 => self.reply.first_token_after,
            n if n < self.reply.deltas.len() => self.reply.pace,
            _ => return,
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn delta_frame(&self, index: usize) -> Bytes {
        let delta = TextDelta {
            item_id: &self.job.message_id,
            output_index: self.reply.items.len(),
            content_index: 0,
            delta: self.reply.deltas.get(index).map_or("", String::as_str),
            logprobs: [],
        };
        events::delta_frame(self.number, self.job.obfuscate, delta)
    }

    /// Brings the response to its terminal form and returns the events that say so.
    fn close(&mut self) -> Vec<Value> {
        let response = mem::take(&mut self.job.response);
        let scripted = self.reply.usage.map(|(i, o)| snapshot::usage(i, o));
        if let Ending::Failed { code, message } = &self.reply.ending {
            let usage = scripted.unwrap_or_default();
            self.job.response = snapshot::failed(response, code, message, usage);
            let error = events::error(code, message);
            return vec![error, events::terminal(&self.job.response)];
        }

        let text = match &self.reply.final_text {
            Some(text) => text.clone(),
            None => self.reply.deltas.concat(),
        };
        let (status, reason) = match &self.reply.ending {
            Ending::Incomplete(reason) => ("incomplete", Some(reason)),
            _ => ("completed", None),
        };
        let mut output = self.reply.items.clone();
        let mut closing = Vec::new();
        if Self::has_message(&self.reply) {
            let message = events::message_item(&self.job.message_id, status, Some(&text));
            closing = events::closing(output.len(), &message, &text);
            output.push(message);
        }
        let usage = scripted.unwrap_or_else(|| {
            let said: String = output.iter().map(items::text_of).collect();
            snapshot::usage(self.job.input_tokens, snapshot::tokens(&said))
        });
        self.job.response = match reason {
            Some(reason) => snapshot::incomplete(response, reason, &output, usage),
            None => snapshot::completed(response, &output, usage),
        };
        closing.push(events::terminal(&self.job.response));
        closing
    }

    /// Stores the outcome and lets the conversation go.
    fn settle(&mut self) {
        self.settled = true;
        let response = &self.job.response;
        let id = response["id"].as_str().unwrap_or_default();
        let keep = matches!(response["status"].as_str(), Some("completed" | "incomplete"));
        let mut state = self.shared.state();
        state.update_response(id, response);
        if let Some(conversation) = &self.job.conversation {
            if keep && self.job.store {
                let mut items = mem::take(&mut self.job.input);
                items.extend(response["output"].as_array().into_iter().flatten().cloned());
                // The conversation may have been deleted meanwhile; then the items go nowhere.
                let _ = state.append(conversation, items);
            }
            state.unlock(conversation, id);
        }
    }
}

/// Dropped before its end: the client left, or the script cut the stream.
impl Drop for Run {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.reply.finish_unseen {
            if self.closing.is_none() {
                self.close();
            }
        } else {
            let response = mem::take(&mut self.job.response);
            self.job.response = snapshot::cancelled(response);
        }
        self.settle();
        if !self.cut_by_server {
            let id = self.job.response["id"].as_str().unwrap_or_default();
            self.shared.client_left(id);
        }
    }
}
