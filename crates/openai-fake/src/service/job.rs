//! What differs between the protocols in the making of an answer.

use serde_json::Value;

use crate::{
    fake::Shared,
    script::reply::{Ending, Reply},
    wire::frame::{Event, Voice},
};

/// The object that a [`Run`](super::run::Run) makes, in one protocol: the events that tell of it, and what the service keeps of it.
pub(crate) trait Job: Send {
    fn id(&self) -> &str;

    /// Whether it is a task of the server, which does not end with a connection.
    fn in_background(&self) -> bool {
        false
    }

    /// The form of its text deltas.
    fn voice(&self, reply: &Reply) -> Voice;

    /// Whether deltas are padded.
    fn obfuscates(&self) -> bool {
        false
    }

    /// What comes before the text.
    fn opening(&mut self, reply: &Reply) -> Vec<Event>;

    /// This event, of before or after the text, is about to leave.
    fn tells(&mut self, _event: &Event, _shared: &Shared) {}

    /// Brings the object to its terminal form; what comes after the text says so.
    fn close(&mut self, reply: &Reply) -> Vec<Event>;

    /// Brings it to the form that it has when nobody is there any more.
    fn cancel(&mut self);

    /// The state changes before the last event leaves: who has seen it may go on at once.
    fn settle(&mut self, shared: &Shared);

    /// HTTP status and body of the answer to a request that does not stream.
    fn take_answer(&mut self) -> (u16, Value);

    fn keepalive(&self) -> Event;
}

/// A response that fails at once never begins its message.
pub(crate) fn has_message(reply: &Reply) -> bool {
    let failed = matches!(reply.ending, Ending::Failed { .. });
    reply.with_message && !(failed && reply.deltas.is_empty())
}

/// The text of the finished message.
pub(crate) fn final_text(reply: &Reply) -> String {
    reply.final_text.clone().unwrap_or_else(|| reply.deltas.concat())
}
