//! What a host does with its conversations, one thing after the other, as several clients do at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ai_engine::prelude::*;
use ai_engine::{AiEngine, Busy, Error, Events, Recovery, Result, Role, RunRequest};
use tokio::sync::RwLock;
use tokio::time::{Instant, timeout_at};

use crate::host::{GONE, HostDatabase, Place, Teller, tell};
use crate::question::{self, Api, Question};
use crate::random::Random;
use crate::shown::Shown;

pub struct App<D> {
    pub database: D,
    pub engine: AiEngine,
    pub places: Mutex<Vec<Place>>,
    pub full: Mutex<Vec<Place>>,
    pub questions: AtomicU64,
    pub name: String,
    /// Read by clients that do something.
    pub acting: RwLock<()>,
    /// What each client does.
    pub doing: Mutex<HashMap<tokio::task::Id, String>>,
}

impl<D: HostDatabase> App<D> {
    /// `conversation:owner`, those to destroy with a minus; then questions to ask again: `?conversation:question:key`.
    pub async fn take(&self, order: &str, random: &mut Random) {
        let known = std::mem::take(&mut *self.places.lock().unwrap());
        for word in order.split_whitespace() {
            let fields: Vec<&str> = word.trim_start_matches(['-', '?']).split(':').collect();
            if word.starts_with('?') {
                let place =
                    self.places.lock().unwrap().iter().find(|p| p.name() == fields[0]).cloned();
                if let Some(place) = place {
                    self.submit(&place, fields[1], Some(fields[2].to_owned()), random).await;
                }
                continue;
            }
            let found = match known.iter().find(|place| place.name() == fields[0]) {
                Some(place) => Ok(place.clone()),
                None => Place::find(&self.engine, fields[1].parse().unwrap(), fields[0]).await,
            };
            match found {
                Ok(place) if word.starts_with('-') => self.full.lock().unwrap().push(place),
                Ok(place) => self.places.lock().unwrap().push(place),
                Err(Error::NotFound { .. }) => tell(&format!("missing\t{}", fields[0])),
                Err(error) => told("find", Err::<(), _>(error)),
            }
        }
    }

    /// Destroys all these, as `conversation:owner`.
    pub async fn clear(&self, order: &str) {
        for word in order.split_whitespace() {
            let Some((name, owner)) = word.split_once(':') else { continue };
            tell(&format!("destroy\t{name}"));
            match Place::find(&self.engine, owner.parse().unwrap(), name).await {
                Ok(place) => told("destroy", place.destroy(&self.engine).await),
                Err(error) => told("find", Err::<(), _>(error)),
            }
        }
        for api in Api::ALL {
            told("forget", Teller::of(api).delete_openai_assistant(&self.engine).await);
        }
    }

    pub fn does(&self, what: impl Into<String>) {
        if let Some(client) = tokio::task::try_id() {
            self.doing.lock().unwrap().insert(client, what.into());
        }
    }

    /// One thing that a host does.
    pub async fn act(&self, random: &mut Random) {
        let place = random.pick(&self.places.lock().unwrap()).cloned();
        let few = self.places.lock().unwrap().len() < 8;
        let Some(place) = place.filter(|_| !few) else {
            return self.create(random).await;
        };
        match random.below(100) {
            0..45 => {
                let question = self.question(&place, random);
                let key = random.percent(40).then(|| format!("key-{question}"));
                self.submit(&place, &question, key, random).await;
            }
            45..60 => self.branch(&place, random).await,
            60..80 => self.submit_in(&place, random).await,
            80..90 => {
                self.does(format!("cancel {}", place.name()));
                told("cancel", place.cancel(&self.engine).await);
            }
            90..93 => {
                let said = match &place {
                    Place::Thread(thread) => {
                        thread.messages(&self.engine).create(Role::System, "Be brief.").await
                    }
                    Place::Chat(chat) => {
                        chat.messages(&self.engine).create(Role::System, "Be brief.").await
                    }
                };
                told("message", said);
            }
            93..96 => self.follow(place.events(&self.engine), random).await,
            _ => {
                let mut doomed = self.full.lock().unwrap().pop();
                // Also one where runs are under way.
                if random.percent(10) {
                    self.places.lock().unwrap().retain(|other| other.name() != place.name());
                    doomed = Some(place);
                }
                if let Some(place) = doomed {
                    self.does(format!("destroy {}", place.name()));
                    tell(&format!("destroy\t{}", place.name()));
                    told("destroy", place.destroy(&self.engine).await);
                }
            }
        }
    }

    /// Takes a turn again, another path, or a copy.
    async fn branch(&self, place: &Place, random: &mut Random) {
        let engine = &self.engine;
        let (Ok(runs), Ok(said)) = (place.runs(engine).await, place.messages(engine).await) else {
            return;
        };
        let (run, message) = (random.pick(&runs).cloned(), random.pick(&said).cloned());
        let (Some(run), Some(message)) = (run, message) else { return };
        self.does(format!("branch {}", place.name()));
        match random.below(10) {
            0..4 => {
                let retries = random.percent(50);
                let request = if retries { run.retry(engine) } else { run.regenerate(engine) };
                let Ok(said) = engine.messages_of(&run).await else { return };
                let Some(question) = said.first() else { return };
                tell(&format!("again\t{}", question.content));
                // The assistant as it is now knows nothing of what the first request changed.
                let asked = Question::of(&question.content);
                let request = request.definition(move |usual| asked.address(usual));
                match varied(request, random).submit().await {
                    Ok(run) => tell(&format!("taken\t{}\t{}", place.name(), run.id)),
                    Err(Error::Answered { .. }) => {}
                    Err(error) => told("again", Err::<(), _>(error)),
                }
            }
            4..7 if message.is_user() => {
                let question = self.question(place, random);
                tell(&format!("ask\t{}\t{question}\t\t", place.name()));
                let request = place.edit(engine, &message, &question);
                match varied(request, random).submit().await {
                    Ok(run) => tell(&format!("ack\t{question}\t{}", run.id)),
                    Err(error) => refused(&question, error),
                }
            }
            4..8 => told("choose", place.choose(engine, &run).await),
            8 => told("truncate", place.truncate_after(engine, &message).await),
            _ => match place.fork_at(engine, &message).await {
                Ok(fork) => {
                    tell(&format!("conversation\t{}\t{}", fork.name(), fork.owner()));
                    self.places.lock().unwrap().push(fork);
                }
                Err(error) => told("fork", Err::<(), _>(error)),
            },
        }
    }

    async fn create(&self, random: &mut Random) {
        let owner =
            if random.percent(10) { GONE } else { 1 + i64::try_from(random.below(3)).unwrap() };
        match Place::create(&self.engine, owner, random.percent(70)).await {
            Ok(place) => {
                tell(&format!("conversation\t{}\t{owner}", place.name()));
                self.places.lock().unwrap().push(place);
            }
            Err(error) => told("create", Err::<(), _>(error)),
        }
    }

    fn question(&self, place: &Place, random: &mut Random) -> String {
        let number = self.questions.fetch_add(1, Ordering::SeqCst);
        question::ask(&self.name, number, &place.name(), random)
    }

    /// Asks, and asks again with the same key, as a host would that got no answer.
    async fn submit(
        &self,
        place: &Place,
        question: &str,
        key: Option<String>,
        random: &mut Random,
    ) {
        let times = if key.is_some() && random.percent(50) { 2 } else { 1 };
        for _ in 0..times {
            let mut request = varied(place.ask(&self.engine, question), random);
            if let Some(key) = &key {
                request = request.idempotency_key(key);
            }
            let key = key.as_deref().unwrap_or_default();
            tell(&format!("ask\t{}\t{question}\t{key}\t", place.name()));
            self.does(format!("submit {question} to {}", place.name()));
            let run = match request.submit().await {
                Ok(run) => run,
                Err(error) => return refused(question, error),
            };
            tell(&format!("ack\t{question}\t{}", run.id));
            if random.percent(40) {
                // Failed runs and destroyed ones are no surprise here.
                self.does(format!("answer of run {}", run.id));
                let answered = self.engine.answer(run.id).await;
                if let Err(error @ (Error::NotDriven { .. } | Error::Database(_))) = answered {
                    told("answer", Err::<(), _>(error));
                }
            } else if random.percent(30) {
                self.does(format!("events of run {}", run.id));
                let (mut events, mut shown) = (run.events(&self.engine), Shown::default());
                while let Some(Ok(event)) = events.next().await {
                    shown.take(event);
                }
            }
        }
    }

    /// Reads what happens on a conversation for a while, whichever process makes it happen, with an interruption.
    async fn follow(&self, mut events: Events, random: &mut Random) {
        self.does("follow");
        let mut shown = Shown::default();
        let until = Instant::now() + Duration::from_millis(random.below(400));
        let mut cursor = None;
        while let Ok(Some(Ok(event))) = timeout_at(until, events.next()).await {
            cursor = Some(event.cursor.clone());
            shown.take(event);
        }
        let Some(cursor) = cursor else { return };
        let mut events = events.after(cursor);
        let until = Instant::now() + Duration::from_millis(random.below(400));
        while let Ok(Some(Ok(event))) = timeout_at(until, events.next()).await {
            shown.take(event);
        }
    }

    /// In a transaction of the host, with a row of its own.
    async fn submit_in(&self, place: &Place, random: &mut Random) {
        let (question, commit) = (self.question(place, random), random.percent(60));
        let (engine, asked, mut choice) = (self.engine.clone(), place.clone(), random.clone());
        let text = question.clone();
        let submit = move |session: &mut dyn ai_engine::Session| {
            varied(asked.ask(&engine, &text), &mut choice).submit_in(session)
        };
        let noted = if commit { "noted" } else { "never" };
        tell(&format!("ask\t{}\t{question}\t\t{noted}", place.name()));
        self.does(format!("submit {question} to {} in a transaction", place.name()));
        match self.database.submit_with_note(question.clone(), commit, submit).await {
            Ok(run) => tell(&format!("ack\t{question}\t{}", run.id)),
            // A transaction of the host's is the host's to make again.
            Err(error) if format!("{error:?}").contains("deadlock") => {
                tell(&format!("refused\t{question}"));
            }
            Err(error) => refused(&question, error),
        }
    }
}

fn varied(request: RunRequest, random: &mut Random) -> RunRequest {
    let busy = match random.below(10) {
        0..2 => Busy::Reject,
        2..7 => Busy::Queue,
        _ => Busy::Interrupt,
    };
    let request = request.when_busy(busy);
    match random.below(10) {
        0..3 => request.recovery(Recovery::Retry),
        3..8 => request.recovery(Recovery::Settle),
        // As whoever takes it up has it.
        _ => request,
    }
}

/// Nothing was stored.
fn refused(question: &str, error: Error) {
    tell(&format!("refused\t{question}"));
    if !matches!(error, Error::Host(_)) {
        told("submit", Err::<(), _>(error));
    }
}

/// What must not happen is told.
fn told<T>(what: &str, result: Result<T>) {
    match result {
        Ok(_)
        | Err(
            Error::Busy { .. } | Error::NotFound { .. } | Error::RunGone(_) | Error::ShuttingDown,
        ) => {}
        Err(error) => tell(&format!("{what}: {error:?}").replace(['\n', '\t'], " ")),
    }
}
