//! A turn as a page shows it: the question, what was answered and called, and what can be done about it.

use ai_engine::{
    Message, MessageStatus, Part, PartKind, Role, Run, ToolCall, ToolCallStatus, Turn,
};
use serde::Serialize;
use serde_json::Value;

use crate::markdown;
use crate::names;
use crate::storytellers::Storyteller;
use crate::told::Told;
use crate::words::{When, call_line, state, status_line};

#[derive(Debug, Serialize)]
pub(crate) struct TurnView {
    /// The address of its conversation.
    base: String,
    seq: i64,
    run: Option<RunView>,
    entries: Vec<Entry>,
    /// Who answers, as long as it exists.
    pub(crate) teller_id: Option<i32>,
}

#[derive(Debug, Serialize)]
struct RunView {
    id: i64,
    state: &'static str,
    line: Option<String>,
    /// The name at the time of the run: it stays when the storyteller is deleted.
    teller: String,
    model: String,
    tokens: Option<i64>,
    is_estimated: bool,
    cost: Option<String>,
    /// The place among the answers to this question, and the runs beside it.
    place: Option<usize>,
    answers: usize,
    previous: Option<i64>,
    next: Option<i64>,
}

/// A message or a call, in the order in which they came.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    Message(MessageView),
    Call(CallView),
}

#[derive(Debug, Serialize)]
struct MessageView {
    id: i64,
    role: Role,
    author: String,
    at: When,
    /// Of what is finished: Markdown, rendered and sanitised.
    html: Option<String>,
    /// Of what is being written: the words so far, as they are.
    text: String,
    /// Their length, which the offsets of events are counted in.
    bytes: usize,
    is_streaming: bool,
    pictures: Vec<Picture>,
}

#[derive(Debug, Serialize)]
struct Picture {
    id: i64,
    name: String,
}

#[derive(Debug, Serialize)]
struct CallView {
    id: i64,
    status: ToolCallStatus,
    is_waiting: bool,
    line: &'static str,
    title: String,
    /// What it would publish, while it waits for a decision.
    story: Option<Told>,
}

/// Whether one of its calls waits for a decision.
pub(crate) fn waits(turn: &Turn) -> bool {
    turn.tool_calls.iter().any(|call| call.status == ToolCallStatus::AwaitingApproval)
}

impl TurnView {
    /// `story`: what a call of it that waits would publish.
    pub(crate) fn of(base: String, turn: &Turn, story: Option<&Told>) -> Self {
        let run = turn.run.as_ref();
        let messages = turn.messages.iter().filter(|message| message.role != Role::System);
        let mut entries: Vec<((i64, bool), Entry)> = messages
            .map(|message| {
                ((message.position, false), Entry::Message(MessageView::of(message, run)))
            })
            .chain(
                turn.tool_calls
                    .iter()
                    .map(|call| ((call.position, true), Entry::Call(CallView::of(call, story)))),
            )
            .collect();
        entries.sort_by_key(|(place, _)| *place);
        Self {
            base,
            seq: turn.seq,
            run: run.map(|run| RunView::of(run, &turn.siblings)),
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            teller_id: run.and_then(|run| run.assistable_id::<Storyteller>().ok().flatten()),
        }
    }
}

impl TurnView {
    /// The model that answered.
    pub(crate) fn model(&self) -> Option<&str> {
        self.run.as_ref().map(|run| &*run.model)
    }
}

impl RunView {
    fn of(run: &Run, siblings: &[i64]) -> Self {
        let place = siblings.iter().position(|id| *id == run.id);
        let beside = |step: Option<usize>| step.and_then(|at| siblings.get(at)).copied();
        let has_ended = run.status.is_terminal();
        Self {
            id: run.id,
            state: state(run.status),
            line: status_line(run.status, run.reason.as_ref()),
            teller: teller(Some(run)),
            model: run.model.clone(),
            tokens: has_ended.then(|| run.usage.total_tokens()),
            is_estimated: run.usage.estimated,
            cost: run.cost().filter(|_| has_ended).map(|cost| cost.to_string()),
            place: place.map(|place| place + 1),
            answers: siblings.len(),
            previous: beside(place.and_then(|place| place.checked_sub(1))),
            next: beside(place.map(|place| place + 1)),
        }
    }
}

/// Who answers: a storyteller by its name, and in a chat the model itself.
fn teller(run: Option<&Run>) -> String {
    let name = run.map(|run| run.assistant_name.as_ref().unwrap_or(&run.model));
    name.cloned().unwrap_or_else(|| "Storyteller".to_owned())
}

impl MessageView {
    fn of(message: &Message, run: Option<&Run>) -> Self {
        let is_streaming = message.status == MessageStatus::Streaming;
        let author = if message.is_assistant() {
            teller(run)
        } else {
            message.author.clone().unwrap_or_else(|| "You".to_owned())
        };
        let name = message.metadata.get("picture").and_then(Value::as_str).unwrap_or("a picture");
        let is_picture = |part: &&Part| part.kind == PartKind::Image && part.has_bytes();
        let pictures = message.parts.iter().filter(is_picture);
        Self {
            id: message.id,
            role: message.role,
            author,
            at: message.created_at.into(),
            html: (!is_streaming).then(|| markdown::html(&message.content)),
            text: if is_streaming { message.content.clone() } else { String::new() },
            bytes: message.content.len(),
            is_streaming,
            pictures: pictures.map(|part| Picture { id: part.id, name: name.to_owned() }).collect(),
        }
    }
}

impl CallView {
    fn of(call: &ToolCall, story: Option<&Told>) -> Self {
        let arguments: Value = serde_json::from_str(call.effective_arguments()).unwrap_or_default();
        let is_waiting = call.status == ToolCallStatus::AwaitingApproval;
        Self {
            id: call.id,
            status: call.status,
            is_waiting,
            line: call_line(call.status),
            // The model chose it, as long as nobody decided.
            title: arguments["title"].as_str().and_then(names::cleaned_title).unwrap_or_default(),
            story: story.filter(|_| is_waiting).cloned(),
        }
    }
}
