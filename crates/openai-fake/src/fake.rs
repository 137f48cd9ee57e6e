//! The handle of the fake server: start it, script it, look into it.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        watch,
    },
    task::AbortHandle,
};

use crate::{
    Error, Reply, Request,
    script::queue::Script,
    service::{run::Run, server, state::State, tape::Tape},
};

/// A key for tests. The fake server accepts any key but the empty one, unless it was [told which](FakeOpenAi::keys).
pub const API_KEY: &str = "sk-fake-openai-test-key";

/// A fake `OpenAI` server on the loopback interface.
///
/// Clones are handles of the same server. It stops, and its connections are cut, when the last
/// handle is dropped, at [`shutdown`](Self::shutdown), or with the runtime it was started in. The
/// drop of the last handle panics if the requests were not those that were [expected](Self::expect).
#[derive(Clone)]
pub struct FakeOpenAi {
    handle: Arc<Handle>,
}

struct Handle {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

/// What the server's tasks and the handles share. The tasks hold no handle, so the handles alone
/// decide how long the server lives.
pub(crate) struct Shared {
    state: Mutex<State>,
    script: Mutex<Script>,
    requests: Mutex<Vec<Arc<Request>>>,
    hooks: Mutex<Vec<Hook>>,
    /// Responses whose client left, in order.
    left: watch::Sender<Vec<String>>,
    /// To the server's task, which carries them out.
    background: UnboundedSender<(Tape, Run)>,
    closing: AtomicBool,
}

type Hook = Arc<dyn Fn(&Request) + Send + Sync>;

impl FakeOpenAi {
    /// Starts a server on a free port, in the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the loopback interface gives no port.
    pub async fn start() -> Result<Self, Error> {
        Self::start_on(0).await
    }

    /// Starts a server on this port of the loopback interface; 0 is any free one.
    ///
    /// # Errors
    ///
    /// When the port is taken, or is not for everybody to listen on.
    pub async fn start_on(port: u16) -> Result<Self, Error> {
        let listen = async || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) =
            listen().await.map_err(|source| Error::Listen { port, source })?;
        let (background, to_run) = unbounded_channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new()),
            script: Mutex::new(Script::new()),
            requests: Mutex::new(Vec::new()),
            hooks: Mutex::new(Vec::new()),
            left: watch::Sender::new(Vec::new()),
            background,
            closing: AtomicBool::new(false),
        });
        let server = server::serve(listener, to_run, Arc::clone(&shared));
        let server = tokio::spawn(server).abort_handle();
        Ok(Self { handle: Arc::new(Handle { address, shared, server }) })
    }

    /// The address to give to a client: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.handle.address)
    }

    /// Stops the server and cuts its open connections. What it recorded stays readable.
    pub fn shutdown(&self) {
        self.handle.stop();
    }

    // Scripting

    /// Queues a reply for the next response that nothing more particular answers.
    pub fn reply(&self, reply: Reply) {
        self.shared().script().push(reply);
    }

    /// Queues a reply for the next response whose last user text contains `needle`; for tests
    /// with several conversations at once.
    pub fn reply_to(&self, needle: &str, reply: Reply) {
        self.shared().script().push_to(needle, reply);
    }

    /// Gives this reply to every response that no queued reply answers, in place of the demo
    /// model's.
    pub fn reply_always(&self, reply: Reply) {
        self.shared().script().set_always(reply);
    }

    /// Answers the next request of this method whose path contains `path` with a
    /// [`Reply::status`] or [`Reply::hang_up`], before the service does anything: a way to make
    /// any endpoint fail once.
    pub fn intercept(&self, method: &str, path: &str, reply: Reply) {
        self.shared().script().push_intercept(method, path, reply);
    }

    /// Sets the demo model's time for a word (25 ms unless set).
    pub fn demo_pace(&self, pace: Duration) {
        self.shared().script().demo_pace = pace;
    }

    /// Has these models and no others: a request that names another one is refused with 404
    /// `model_not_found`. Until then any model is known, since tests name their own.
    pub fn models<M: Into<String>>(&self, names: impl IntoIterator<Item = M>) {
        let names = names.into_iter().map(Into::into).collect();
        self.shared().state().models.set(names);
    }

    /// Takes these keys and no others: a request with another one is refused with 401
    /// `invalid_api_key`.
    pub fn keys<K: Into<String>>(&self, keys: impl IntoIterator<Item = K>) {
        let keys = keys.into_iter().map(Into::into).collect();
        self.shared().state().keys = Some(keys);
    }

    /// Refuses a chat (Chat Completions) as llama.cpp does where the template of a model is strict: a system message is
    /// only taken as the first, and the user and the assistant have to alternate.
    pub fn strict_template(&self) {
        self.shared().state().strict_template = true;
    }

    /// Has all runs expire that are not over, as if their ten minutes had passed.
    pub fn expire_runs(&self) {
        self.shared().state().assistants.expire_runs();
    }

    // Recording

    /// All requests so far, in order of arrival, refused ones too.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let requests = lock(&self.shared().requests);
        requests.iter().map(|r| Request::clone(r)).collect()
    }

    /// How many responses were begun, chat completions and turns of runs among them: requests that were neither refused nor
    /// answered by [`Reply::status`] or [`Reply::hang_up`].
    #[must_use]
    pub fn responses_created(&self) -> usize {
        self.shared().state().responses_created
    }

    /// Calls `hook` at the start of each request, once it is read and before anything is done
    /// about it. Several hooks are called in order.
    ///
    /// The hook runs on the server's task: let it note what it sees rather than panic, and give
    /// it no clone of this handle, which would keep the server alive.
    pub fn on_request(&self, hook: impl Fn(&Request) + Send + Sync + 'static) {
        lock(&self.shared().hooks).push(Arc::new(hook));
    }

    /// How many connections their client left before the last event. A response that runs in the
    /// background goes on, and can be left more than once.
    #[must_use]
    pub fn disconnects(&self) -> usize {
        self.shared().left.borrow().len()
    }

    /// Resolves once `count` responses have lost their client.
    pub async fn disconnected(&self, count: usize) {
        let mut left = self.shared().left.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = left.wait_for(|ids| ids.len() >= count).await;
    }

    /// Resolves once the client of this response has left it before its last event.
    pub async fn client_left(&self, response_id: &str) {
        let mut left = self.shared().left.subscribe();
        let _ = left.wait_for(|ids| ids.iter().any(|id| id == response_id)).await;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl fmt::Debug for FakeOpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeOpenAi").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

impl Handle {
    fn stop(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.server.abort();
    }
}

impl Drop for Handle {
    #[allow(clippy::panic, reason = "that is how a test fails")]
    fn drop(&mut self) {
        self.stop();
        let findings = self.shared.script().take_findings();
        // A second panic would abort the process, and all other tests with it.
        if let Some(findings) = findings.filter(|_| !std::thread::panicking()) {
            panic!("{findings}");
        }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    /// Tells the hooks, then records.
    pub(crate) fn received(&self, request: &Arc<Request>) {
        let hooks = lock(&self.hooks).clone();
        for hook in hooks {
            hook(request);
        }
        lock(&self.requests).push(Arc::clone(request));
    }

    pub(crate) fn run_in_background(&self, tape: Tape, run: Run) {
        // It fails only once the server is stopped.
        let _ = self.background.send((tape, run));
    }

    pub(crate) fn client_left(&self, response_id: &str) {
        // When the server stops, it is not the client who leaves.
        if !self.closing.load(Ordering::Acquire) {
            let id = response_id.to_owned();
            self.left.send_modify(|ids| ids.push(id));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
