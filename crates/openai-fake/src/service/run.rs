//! One answer in the making: yields its events one by one and settles the state at the end.

use std::{collections::VecDeque, future, mem, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    fake::Shared,
    script::reply::{Reply, Step},
    service::job::{Job, has_message},
    wire::{
        flush::Flushes,
        frame::{Event, Framer, Mangle},
    },
};

pub(crate) struct Run {
    shared: Arc<Shared>,
    job: Box<dyn Job>,
    reply: Reply,
    opening: VecDeque<Event>,
    deltas_sent: usize,
    closing: Option<VecDeque<Event>>,
    /// Number of the next event.
    number: usize,
    /// Where there is a body whose earlier events can be flushed.
    flushes: Option<Flushes>,
    /// What the next event waits for. It is kept here so that [`Self::next`] can be dropped.
    waiting: Option<Wait>,
    /// How many of the delays have passed.
    delays_passed: usize,
    stalled: bool,
    settled: bool,
    cut_by_server: bool,
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What comes next in the body.
pub(crate) enum Next {
    Raw(Bytes),
    /// What to do to the event that follows.
    Mangle(Mangle),
    Event(usize, Event),
    End,
    Broken,
}

impl Run {
    pub(crate) fn new(shared: Arc<Shared>, mut job: Box<dyn Job>, reply: Reply) -> Self {
        Self {
            shared,
            opening: job.opening(&reply).into(),
            job,
            reply,
            deltas_sent: 0,
            closing: None,
            number: 0,
            flushes: None,
            waiting: None,
            delays_passed: 0,
            stalled: false,
            settled: false,
            cut_by_server: false,
        }
    }

    /// How its events are written.
    pub(crate) fn framer(&self) -> Framer {
        Framer {
            voice: self.job.voice(&self.reply),
            deltas: Arc::clone(&self.reply.deltas),
            obfuscate: self.job.obfuscates(),
            shape: self.reply.shape,
        }
    }

    /// The headers that the script wants on the answer.
    pub(crate) fn take_headers(&mut self) -> Vec<(String, String)> {
        mem::take(&mut self.reply.headers)
    }

    /// Leaves to the run what concerns the model; the rest is for the connections.
    pub(crate) fn take_connection_steps(&mut self) -> Vec<(usize, Step)> {
        let of_run = |(_, step): &(usize, Step)| matches!(step, Step::Hold(_) | Step::Keepalive);
        let (of_run, others) = mem::take(&mut self.reply.steps).into_iter().partition(of_run);
        self.reply.steps = of_run;
        others
    }

    /// Whether its last event is out.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(crate) fn flush_with(&mut self, flushes: Flushes) {
        self.flushes = Some(flushes);
    }

    /// Runs without a stream, to the final answer; `None` where the reply was cut.
    pub(crate) async fn into_answer(mut self) -> Option<(u16, Value)> {
        loop {
            match self.next().await {
                Next::Raw(_) | Next::Mangle(_) | Next::Event(..) => {}
                Next::End if self.settled => return Some(self.job.take_answer()),
                Next::End | Next::Broken => return None,
            }
        }
    }

    /// What comes next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if self.stalled {
                future::pending::<()>().await;
            }
            if let Some(sign_of_life) = self.wait().await {
                return self.numbered(sign_of_life);
            }
            let Some(step) = self.take_step().or_else(|| self.take_hold()) else {
                let Some(delay) = self.take_delay() else {
                    return self.next_of_answer();
                };
                self.waiting = Some(Box::pin(tokio::time::sleep(delay)));
                continue;
            };
            match step {
                Step::Raw(raw) => return Next::Raw(raw),
                Step::Mangle(mangle) => return Next::Mangle(mangle),
                Step::Keepalive => return self.numbered(self.job.keepalive()),
                Step::Hold(gate) => {
                    let flushes = self.flushes.clone();
                    self.waiting = Some(Box::pin(async move {
                        if let Some(flushes) = flushes {
                            flushes.flushed().await;
                        }
                        gate.pass().await;
                    }));
                }
                Step::Stall => self.stalled = true,
                Step::End => {
                    self.cut_by_server = true;
                    return Next::End;
                }
                Step::Disconnect => {
                    self.cut_by_server = true;
                    return Next::Broken;
                }
            }
        }
    }

    fn numbered(&mut self, event: Event) -> Next {
        let number = self.number;
        self.number += 1;
        Next::Event(number, event)
    }

    fn take_step(&mut self) -> Option<Step> {
        let due = |(at, _): &(usize, Step)| *at <= self.number;
        let index = self.reply.steps.iter().position(due)?;
        Some(self.reply.steps.remove(index).1)
    }

    /// The gate behind the words that were sent last.
    fn take_hold(&mut self) -> Option<Step> {
        if self.reply.holds.is_empty() || !self.opening.is_empty() {
            return None;
        }
        let sent = self.reply.deltas.iter().take(self.deltas_sent).map(String::len).sum();
        let index = self.reply.holds.iter().position(|hold| hold.at <= sent)?;
        Some(Step::Hold(self.reply.holds.remove(index).gate))
    }

    /// Waits for what is to be waited for; `Some` is the keepalive that is due meanwhile.
    async fn wait(&mut self) -> Option<Event> {
        let waiting = self.waiting.as_mut()?;
        match self.reply.keepalive_every {
            None => waiting.await,
            Some(every) => {
                if timeout(every, waiting).await.is_err() {
                    return Some(self.job.keepalive());
                }
            }
        }
        self.waiting = None;
        None
    }

    /// The first token takes its own time, also where there is none; later deltas keep the pace.
    fn take_delay(&mut self) -> Option<Duration> {
        if !self.opening.is_empty() || self.closing.is_some() {
            return None;
        }
        if self.delays_passed > self.deltas_sent {
            return None;
        }
        self.delays_passed = self.deltas_sent + 1;
        let delay = match self.deltas_sent {
            0 => self.reply.first_token_after,
            n if n < self.reply.deltas.len() => self.reply.pace,
            _ => Duration::ZERO,
        };
        (!delay.is_zero()).then_some(delay)
    }

    fn next_of_answer(&mut self) -> Next {
        if let Some(event) = self.opening.pop_front() {
            self.job.tells(&event, &self.shared);
            return self.numbered(event);
        }
        let index = self.deltas_sent;
        if index < self.reply.deltas.len() && has_message(&self.reply) {
            self.deltas_sent += 1;
            return self.numbered(Event::Delta(index));
        }
        let mut closing = match self.closing.take() {
            Some(closing) => closing,
            None => self.job.close(&self.reply).into(),
        };
        let event = closing.pop_front();
        if let Some(event) = &event {
            self.job.tells(event, &self.shared);
        }
        if closing.is_empty() && !self.settled {
            self.settle();
        }
        self.closing = Some(closing);
        event.map_or(Next::End, |event| self.numbered(event))
    }

    fn settle(&mut self) {
        self.settled = true;
        self.job.settle(&self.shared);
    }
}

/// Dropped before its end: the client left, or the script cut the stream.
impl Drop for Run {
    fn drop(&mut self) {
        // What runs in the background has no client; it ends with the server or was cancelled.
        if self.settled || self.job.in_background() {
            return;
        }
        if !self.reply.finish_unseen {
            self.job.cancel();
        } else if self.closing.is_none() {
            self.job.close(&self.reply);
        }
        self.settle();
        if !self.cut_by_server {
            self.shared.client_left(self.job.id());
        }
    }
}
