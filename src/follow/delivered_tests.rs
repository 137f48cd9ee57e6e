//! What readers are told, and what they are not told again.

use super::*;
use crate::follow::transcript::Transcript;
use crate::model::{MessageStatus, ToolCallStatus};
use crate::store::deltas::Appended;
use crate::store::timeline::Progress;

fn changed(source: &Transcript, delivered: &Delivered) -> usize {
    source.look(|seen| seen.changed_since(delivered.looked.version).count())
}

/// A source of the run in which the model has said this much.
fn said(text: &str, status: MessageStatus) -> Transcript {
    let message = Message::sample(0, text, status);
    let ended = status != MessageStatus::Streaming;
    let run = Run::sample(if ended { RunStatus::Completed } else { RunStatus::InProgress });
    Transcript::stored(run, vec![message], Vec::new())
}

/// What a reader of this source is given, in a word each.
fn tell(source: &Transcript, delivered: &mut Delivered) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(change) = source.look(|seen| seen.after(delivered)) {
        words.push(match change {
            Change::Appended { offset, text, .. } => format!("{offset}:{text}"),
            Change::Replaced(message) => format!("replaced {}", message.content),
            Change::Settled(_) => "settled".to_owned(),
            Change::Ended(_) => "ended".to_owned(),
            _ => continue,
        });
    }
    words
}

#[test]
fn a_reader_that_changes_its_source_gets_the_rest() {
    let mut delivered = Delivered::default();
    assert_eq!(tell(&said("Once ", MessageStatus::Streaming), &mut delivered), ["0:Once "]);
    // The other source is behind: nothing until it has caught up.
    assert_eq!(tell(&said("On", MessageStatus::Streaming), &mut delivered), [""; 0]);
    let end = said("Once upon", MessageStatus::Completed);
    assert_eq!(tell(&end, &mut delivered), ["5:upon", "settled", "ended"]);
    assert_eq!(tell(&end, &mut delivered), [""; 0]);
}

/// A page that shows a text knows nothing of the call that stands before it in the same answer, nor of what becomes of it.
#[test]
fn a_call_before_the_text_that_a_page_shows_is_told() {
    let said = Message::sample(2, "Let me see.", MessageStatus::Completed);
    let calls = [(1, 3), (4, 6)].map(|(position, output_position)| ToolCall {
        output_position,
        ..ToolCall::sample(position, ToolCallStatus::AwaitingApproval)
    });
    let run = Run::sample(RunStatus::InProgress);
    let source = Transcript::stored(run, vec![said.clone()], calls.into());
    let told = |mut delivered: Delivered| {
        let mut told = Vec::new();
        while let Some(change) = source.look(|seen| seen.after(&mut delivered)) {
            if let Change::ToolCall(call) = change {
                told.push(call.position);
            }
        }
        told
    };
    let delivered = |message: &Message| {
        let slot = message.position - 1;
        let shown = DeliveredText::of(slot, &message.content, true);
        Delivered {
            opening: Opening::Begun,
            passed: slot,
            messages: vec![shown],
            ..Delivered::default()
        }
    };
    assert_eq!(told(delivered(&said)), [1, 4]);
    // Those of an earlier answer were shown.
    assert_eq!(told(delivered(&Message::sample(4, "A hall.", MessageStatus::Completed))), [4]);
}

/// The final text came between two looks, and the row was looked at twice before the reader was.
#[test]
fn a_text_that_was_replaced_stays_so() {
    let source = said("Ünce üpon ", MessageStatus::Streaming);
    let mut delivered = Delivered::default();
    assert_eq!(tell(&source, &mut delivered), ["0:Ünce üpon "]);
    let end = said("x", MessageStatus::Completed);
    let (run, row) = { end.look(|seen| (seen.run.clone(), seen.messages[0].row.clone().unwrap())) };
    for _ in 0..2 {
        let progress = Progress {
            run: run.clone(),
            messages: vec![row.clone()],
            appended: Vec::new(),
            calls: Vec::new(),
        };
        assert!(source.follow(progress));
    }
    assert_eq!(tell(&source, &mut delivered), ["replaced x", "ended"]);
}

/// Deltas that do not follow on what is known, whatever cut them.
#[test]
fn text_that_does_not_follow_on_ends_its_source() {
    let source = said("é", MessageStatus::Streaming);
    for offset in [0, 1, 3, usize::MAX] {
        let appended = Appended { message_id: 1, offset, text: "x".to_owned() };
        let run = source.look(|seen| seen.run.clone());
        let progress =
            Progress { run, messages: Vec::new(), appended: vec![appended], calls: Vec::new() };
        assert!(!source.follow(progress), "{offset}");
    }
}

/// What a look costs does not grow with the messages of a run.
#[test]
fn a_look_sees_what_is_new_and_not_what_there_is() {
    const MESSAGES: i64 = 8_000;
    let source = Transcript::new(Run::sample(RunStatus::InProgress));
    let row = said("", MessageStatus::Streaming).look(|seen| seen.messages[0].row.clone());
    source.update(|seen| seen.begun = true);
    let mut delivered = Delivered::default();
    tell(&source, &mut delivered);
    for slot in 0..MESSAGES {
        source.update(|seen| {
            seen.change(slot, |message| {
                message.row.clone_from(&row);
                message.text.push('x');
            });
        });
        assert_eq!(changed(&source, &delivered), 1);
        assert_eq!(tell(&source, &mut delivered), ["0:x"]);
        assert_eq!(changed(&source, &delivered), 0);
    }
}

#[test]
fn another_text_in_another_source_replaces_what_was_delivered() {
    for (text, status) in
        [("On", MessageStatus::Incomplete), ("Twice upon", MessageStatus::Completed)]
    {
        let mut delivered = Delivered::default();
        tell(&said("Once ", MessageStatus::Streaming), &mut delivered);
        assert_eq!(tell(&said("Twice ", MessageStatus::Streaming), &mut delivered), [""; 0]);
        let replaced = format!("replaced {text}");
        assert_eq!(tell(&said(text, status), &mut delivered), [replaced.as_str(), "ended"]);
    }
}
