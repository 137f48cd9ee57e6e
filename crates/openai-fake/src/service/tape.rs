//! Background responses: what one has said so far, for whoever comes to read it.

use std::{future, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    fake::Shared,
    script::reply::Step,
    service::run::{Next, Run},
    wire::frame::{Event, Framer},
};

/// The events of a background response, from the first one on. Clones are the same tape.
#[derive(Clone, Debug)]
pub(crate) struct Tape {
    recorded: Arc<watch::Sender<Recorded>>,
    pub(crate) framer: Framer,
    pub(crate) comment_every: Option<Duration>,
    /// Whether the response was asked for as a stream; only then can one be resumed.
    pub(crate) streamed: bool,
}

#[derive(Debug, Default)]
struct Recorded {
    events: Vec<Event>,
    ended: bool,
    /// What the script does to connections, each to the first that comes there.
    steps: Vec<(usize, Step)>,
}

impl Tape {
    pub(crate) fn new(run: &mut Run, comment_every: Option<Duration>, streamed: bool) -> Self {
        let steps = run.take_connection_steps();
        Self {
            recorded: Arc::new(watch::Sender::new(Recorded { steps, ..Recorded::default() })),
            framer: run.framer(),
            comment_every,
            streamed,
        }
    }

    /// Runs the response to its end, or until the tape is [ended](Self::end).
    pub(crate) async fn record(self, mut run: Run) {
        let mut recorded = self.recorded.subscribe();
        loop {
            let next = tokio::select! {
                biased;
                _ = recorded.wait_for(|recorded| recorded.ended) => return,
                next = run.next() => next,
            };
            match next {
                // The last event and the end are one: who has seen it has not left too early.
                Next::Event(_, event) => self.recorded.send_modify(|recorded| {
                    if !recorded.ended {
                        recorded.events.push(event);
                        recorded.ended = run.is_settled();
                    }
                }),
                Next::Raw(_) | Next::Mangle(_) => {}
                Next::End | Next::Broken => return self.end(),
            }
        }
    }

    /// Nothing comes any more.
    pub(crate) fn end(&self) {
        self.recorded.send_modify(|recorded| recorded.ended = true);
    }

    /// These come last, unless it has ended already.
    pub(crate) fn finish(&self, events: Vec<Event>) {
        self.recorded.send_modify(|recorded| {
            if !recorded.ended {
                recorded.events.extend(events);
                recorded.ended = true;
            }
        });
    }

    /// The text that has been told.
    pub(crate) fn said(&self) -> String {
        let recorded = self.recorded.borrow();
        let deltas = recorded.events.iter().filter(|event| matches!(event, Event::Delta(_)));
        self.framer.deltas.iter().take(deltas.count()).map(String::as_str).collect()
    }

    /// Whether the answer to a request that does not stream is to be lost.
    pub(crate) fn loses_its_answer(&self) -> bool {
        let lost = |step: &Step| matches!(step, Step::Disconnect | Step::End);
        self.recorded.borrow().steps.iter().any(|(at, step)| *at == 0 && lost(step))
    }

    /// The events from this number on.
    pub(crate) fn play(&self, from: usize, shared: &Arc<Shared>, id: &str) -> Playback {
        Playback {
            tape: self.clone(),
            number: from,
            shared: Arc::clone(shared),
            response_id: id.to_owned(),
            stalled: false,
            over: false,
        }
    }
}

/// One connection that reads a tape.
pub(crate) struct Playback {
    pub(crate) tape: Tape,
    number: usize,
    shared: Arc<Shared>,
    response_id: String,
    stalled: bool,
    /// Ended, or cut by the script.
    over: bool,
}

impl Playback {
    /// What comes next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Next {
        if self.stalled {
            future::pending::<()>().await;
        }
        let number = self.number;
        let mut recorded = self.tape.recorded.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = recorded.wait_for(|now| now.ended || now.events.len() > number).await;
        match self.take_step() {
            Some(Step::Raw(raw)) => return Next::Raw(raw),
            Some(Step::Mangle(mangle)) => return Next::Mangle(mangle),
            Some(Step::Stall) => {
                self.stalled = true;
                future::pending::<()>().await;
            }
            Some(Step::End) => {
                self.over = true;
                return Next::End;
            }
            Some(Step::Disconnect) => {
                self.over = true;
                return Next::Broken;
            }
            Some(Step::Hold(_) | Step::Keepalive) | None => {}
        }
        let event = self.tape.recorded.borrow().events.get(number).cloned();
        match event {
            Some(event) => {
                self.number += 1;
                Next::Event(number, event)
            }
            None => {
                self.over = true;
                Next::End
            }
        }
    }

    fn take_step(&self) -> Option<Step> {
        let mut taken = None;
        self.tape.recorded.send_if_modified(|recorded| {
            let index = recorded.steps.iter().position(|(at, _)| *at == self.number);
            taken = index.map(|index| recorded.steps.remove(index).1);
            false
        });
        taken
    }
}

/// The client left; the response goes on.
impl Drop for Playback {
    fn drop(&mut self) {
        let recorded = self.tape.recorded.borrow();
        let seen_all = recorded.ended && self.number >= recorded.events.len();
        if !self.over && !seen_all {
            self.shared.client_left(&self.response_id);
        }
    }
}
