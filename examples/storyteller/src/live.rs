//! What happens in a conversation, as it happens. The browser is told where and what kind; all but the words as they are written it
//! fetches as a page's piece, so nothing reaches it here that no page shows.

use ai_engine::{Event, EventKind, Role, axum::LastEventId};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::opened::Opened;
use crate::problem::Problem;

pub(crate) async fn events(
    app: State<App>,
    open: Opened,
    last: LastEventId,
) -> Result<Response, Problem> {
    let events = open.conversation.events(&app.engine).with_waiting();
    let events = events.resume(last.as_deref()).await?.sse().showing(shown);
    Ok(app.signed_out.limit(open.visit.session, events.into_response()))
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
        // Every tab sees what is asked in another one, before its turn comes.
        EventKind::Waiting { messages, .. } => {
            let seqs: Vec<i64> = messages.iter().map(|message| message.seq).collect();
            Some(json!({"seqs": seqs}))
        }
        _ => None,
    }
}
