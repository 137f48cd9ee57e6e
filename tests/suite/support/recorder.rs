//! What a host's subscriber sees of us: spans, their parents and fields, and events.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// Records the spans of runs and of the host, and all events.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    spans: Vec<SpanSeen>,
    events: Vec<EventSeen>,
    entered: Vec<(u64, &'static Metadata<'static>)>,
}

type Fields = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct SpanSeen {
    pub id: u64,
    pub name: &'static str,
    pub parent: Option<u64>,
    pub fields: Fields,
    /// It was entered at least once.
    pub entered: bool,
    metadata: &'static Metadata<'static>,
    handles: usize,
}

impl SpanSeen {
    pub fn is_closed(&self) -> bool {
        self.handles == 0
    }
}

#[derive(Clone, Debug)]
pub struct EventSeen {
    pub within: Option<u64>,
    pub fields: Fields,
}

/// Has somebody listen in this process from its first test on, to nothing. Where nobody ever listens, a place that says something is
/// registered as one that nobody wants to hear, and a subscriber that comes at that moment hears nothing of it.
pub fn listen() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| tracing::subscriber::set_global_default(Nobody).unwrap());
}

/// Hears of every place, and wants nothing.
struct Nobody;

impl Subscriber for Nobody {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Runs a test on one thread, which has this subscriber: it is a thread's, and runs are driven by other tasks.
pub async fn recorded<F: Future<Output = ()>>(test: impl FnOnce(Recorder) -> F + Send + 'static) {
    listen();
    let running = tokio::task::spawn_blocking(|| {
        let recorder = Recorder::default();
        let _guard = tracing::subscriber::set_default(recorder.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(super::in_time(test(recorder)));
    });
    running.await.unwrap();
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn span(&self, id: &Id) -> SpanSeen {
        self.lock().spans[usize::try_from(id.into_u64()).unwrap() - 1].clone()
    }

    /// The spans of runs that are driven or were.
    pub fn runs(&self) -> Vec<SpanSeen> {
        self.lock().spans.iter().filter(|span| span.name == "run").cloned().collect()
    }

    /// The span of the only run, once it is closed.
    pub async fn closed_run(&self) -> SpanSeen {
        super::until(|| self.runs().iter().all(SpanSeen::is_closed) && !self.runs().is_empty())
            .await;
        self.runs().remove(0)
    }

    /// The events with this message.
    pub fn events(&self, message: &str) -> Vec<EventSeen> {
        let is_it = |event: &&EventSeen| event.fields.get("message").is_some_and(|m| m == message);
        self.lock().events.iter().filter(is_it).cloned().collect()
    }

    /// All that was said in any span or event.
    pub fn words(&self) -> String {
        let seen = self.lock();
        format!("{:?} {:?}", seen.spans, seen.events)
    }
}

impl Recorded {
    fn at(&mut self, span: &Id) -> &mut SpanSeen {
        &mut self.spans[usize::try_from(span.into_u64()).unwrap() - 1]
    }
}

struct Visitor<'f>(&'f mut Fields);

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Recorder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ai_engine::run")
            || metadata.target() == "host"
            || metadata.is_event()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut seen = self.lock();
        let current = seen.entered.last().map(|(id, _)| *id);
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => current,
            None => None,
        };
        let mut fields = Fields::new();
        attributes.record(&mut Visitor(&mut fields));
        let id = seen.spans.len() as u64 + 1;
        let metadata = attributes.metadata();
        let (name, entered) = (metadata.name(), false);
        seen.spans.push(SpanSeen { id, name, parent, fields, entered, metadata, handles: 1 });
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Visitor(&mut self.lock().at(span).fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Visitor(&mut fields));
        let mut seen = self.lock();
        let within = seen.entered.last().map(|(id, _)| *id);
        seen.events.push(EventSeen { within, fields });
    }

    fn enter(&self, span: &Id) {
        let mut seen = self.lock();
        seen.at(span).entered = true;
        let metadata = seen.at(span).metadata;
        seen.entered.push((span.into_u64(), metadata));
    }

    fn exit(&self, span: &Id) {
        let mut seen = self.lock();
        let left = seen.entered.iter().rposition(|(id, _)| *id == span.into_u64());
        left.map(|at| seen.entered.remove(at));
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.lock().at(span).handles += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut seen = self.lock();
        seen.at(&span).handles -= 1;
        seen.at(&span).is_closed()
    }

    fn current_span(&self) -> Current {
        match self.lock().entered.last() {
            Some((id, metadata)) => Current::new(Id::from_u64(*id), metadata),
            None => Current::none(),
        }
    }
}
