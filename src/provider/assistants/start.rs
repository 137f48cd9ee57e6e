//! How a run begins: on the thread of the conversation or on one of its own, by the assistant it is for or by one of its own, when the
//! thread has nothing else to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::running::Running;
use super::{messages, settings};
use crate::openai::{CreateRun, OpenAi, run_in_the_way};
use crate::provider::{Call, CallError, Result};

/// How long an earlier run is waited for that keeps the thread busy.
const MOST_WAITED: Duration = Duration::from_secs(30);
/// The longest wait between two looks at it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Most earlier runs that are cancelled for one.
const MOST_IN_THE_WAY: usize = 3;

/// Starts a run. Who stops waiting for it leaves nothing behind: each request that makes something is seen to its end.
pub(super) async fn start(client: OpenAi, call: Call) -> Result<Running> {
    let (caller, started) = oneshot::channel();
    let starting = async move {
        let running = prepare_and_begin(client, &call, &caller).await;
        // What nobody takes is dropped, which tidies up.
        drop(caller.send(running));
    };
    tokio::spawn(starting.in_current_span());
    started
        .await
        .map_err(|_| CallError::disconnected("the task that starts the run was stopped"))?
}

type Caller = oneshot::Sender<Result<Running>>;

async fn prepare_and_begin(client: OpenAi, call: &Call, caller: &Caller) -> Result<Running> {
    let mut running = Running::new(client, call.own.clone());
    let (additional, system) = messages::of(&call.input)?;
    let mut request = settings::run(&call.definition);
    request.additional_messages = additional;
    if !system.is_empty() {
        let texts: Vec<String> = request.instructions.into_iter().chain(system).collect();
        request.instructions = Some(texts.join("\n\n"));
    }
    match &call.conversation {
        Some(thread) => running.thread.clone_from(thread),
        None => {
            running.thread = running.client.assistants().create_thread().await?;
            running.owns_thread = true;
            if let Some(own) = &call.own {
                own.note_thread(&running.thread).await?;
            }
        }
    }
    match &call.assistant {
        Some(assistant) => request.assistant_id.clone_from(assistant),
        // A run needs one, and says itself all that it is asked for.
        None => {
            let mut settings = settings::of(&call.definition);
            if let Some((name, value)) = call.own.as_ref().map(|own| own.mark()) {
                settings.metadata = [(name.to_owned(), value.to_owned())].into();
            }
            running.is_in_doubt = true;
            let tries = Arc::default();
            let made = running.client.assistants().create(&settings, false, &tries).await?;
            // Each request that was not answered may have made one.
            running.is_in_doubt = tries.load(Ordering::Relaxed) > 1;
            request.assistant_id.clone_from(&made);
            running.own_assistant = Some(made);
        }
    }
    begin(running, request, call, caller).await
}

/// Starts it. What is in the way is the run of a process that died, or one that was just cancelled: two of ours are never on one thread.
async fn begin(
    mut running: Running,
    request: CreateRun,
    call: &Call,
    caller: &Caller,
) -> Result<Running> {
    // A run that may be there already is not started twice.
    let careful = call.conversation.is_some();
    let mut in_the_way = 0;
    loop {
        if caller.is_closed() {
            return Err(CallError::disconnected("nobody waits for the run any more"));
        }
        let assistants = running.client.assistants();
        let error = match assistants.stream(&running.thread, &request, careful, &call.tries).await {
            Ok(stream) => {
                (running.stream, running.is_over) = (Some(stream), false);
                return Ok(running);
            }
            Err(error) => error,
        };
        if let Some(earlier) = run_in_the_way(&error).filter(|_| in_the_way < MOST_IN_THE_WAY) {
            in_the_way += 1;
            if make_way(&running.client, &running.thread, &earlier).await? {
                continue;
            }
        }
        return Err(error.into());
    }
}

/// Ends an earlier run and waits for its end; whether it came.
async fn make_way(client: &OpenAi, thread: &str, earlier: &str) -> Result<bool> {
    let assistants = client.assistants();
    // One that is over by now, or about to be, cannot be cancelled.
    if let Err(error) = assistants.cancel_run(thread, earlier).await
        && !matches!(error.api().and_then(|api| api.status), Some(400 | 404 | 409))
    {
        return Err(error.into());
    }
    let until = Instant::now() + MOST_WAITED;
    let mut pause = client.retry_delay();
    loop {
        match assistants.retrieve_run(thread, earlier).await {
            Ok(run) if run.is_over() => return Ok(true),
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error.into()),
            Ok(_) if Instant::now() >= until => return Ok(false),
            Ok(_) => sleep(pause.min(LONGEST_PAUSE)).await,
        }
        pause = pause.saturating_mul(2);
    }
}
