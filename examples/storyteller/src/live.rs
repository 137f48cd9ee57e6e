//! What happens on a thread, as it happens. The browser is told where and what kind; all but the words as they are written it
//! fetches as a page's piece, so nothing reaches it here that no page shows.

use ai_engine::{Event, EventKind, Role, Sse, axum::LastEventId};
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::app::App;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::threads;

pub(crate) async fn events(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i64>,
    last: LastEventId,
) -> Result<Sse, Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let events = thread.events(&app.engine).resume(last.as_deref()).await?;
    Ok(events.sse().showing(shown))
}

fn shown(event: &Event) -> Option<Value> {
    match &event.kind {
        EventKind::RunQueued { run, .. }
        | EventKind::RunStarted { run, .. }
        | EventKind::RunSettled { run, .. } => Some(json!({"seq": run.seq, "run": run.id})),
        EventKind::TurnSuperseded { seq, .. } => Some(json!({"seq": seq})),
        EventKind::MessageStarted { message, .. }
        | EventKind::MessageReplaced { message, .. }
        | EventKind::MessageSettled { message, .. } => (message.role != Role::System)
            .then(|| json!({"seq": message.seq, "message": message.id, "role": message.role})),
        EventKind::MessageAppended { message_id, offset, text, .. } => {
            Some(json!({"message": message_id, "offset": offset, "text": text}))
        }
        EventKind::ToolCall { call, .. } => Some(json!({"run": call.run_id})),
        _ => None,
    }
}
