//! How a response ends: its terminal object, and the events that lead there.

use serde_json::Value;

use crate::{
    script::reply::{Ending, ErrorEvent, Reply},
    service::{items, job::final_text, snapshot},
    wire::events,
};

/// The terminal form of a response that has begun so, and the events that follow its deltas.
/// `message` is the id of its message, if it has one.
pub(crate) fn of(
    begun: Value,
    reply: &Reply,
    message: Option<&str>,
    input_tokens: u64,
) -> (Value, Vec<Value>) {
    let scripted = reply.usage.map(|(input, output)| snapshot::usage(input, output));
    if let Ending::Failed { code, message } = &reply.ending {
        let response = snapshot::failed(begun, code, message, scripted.unwrap_or_default());
        let mut events = vec![events::error(reply.error_event, code, message)];
        if reply.error_event == ErrorEvent::Nested {
            events.push(events::terminal(&response));
        }
        return (response, events);
    }

    let text = final_text(reply);
    let (status, reason) = match &reply.ending {
        Ending::Incomplete(reason) => ("incomplete", Some(reason)),
        _ => ("completed", None),
    };
    let mut output = reply.items.clone();
    let mut events = Vec::new();
    if let Some(id) = message {
        let message = events::message_item(id, status, Some(&text));
        events = events::closing(output.len(), &message, &text);
        output.push(message);
    }
    let usage = match scripted {
        _ if !reply.reports_usage => Value::Null,
        Some(scripted) => scripted,
        None => {
            let said: String = output.iter().map(items::text_of).collect();
            snapshot::usage(input_tokens, snapshot::tokens(&said))
        }
    };
    let response = match reason {
        Some(reason) => snapshot::incomplete(begun, reason, &output, usage),
        None => snapshot::completed(begun, &output, usage),
    };
    events.push(events::terminal(&response));
    (response, events)
}
