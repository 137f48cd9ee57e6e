//! The fake provider as a server under test: it does all that it is told to, and shows all that it has.

use ai_engine::openai::{OpenAiBuilder, Protocol};
use ai_engine::testing::conformance::{Act, Counts, Subject};
use ai_engine::testing::{FakeOpenAi, Reply, Request};
use ai_engine::{AssistantDefinition, History, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

pub struct Fake<D> {
    db: D,
    pub server: FakeOpenAi,
    protocol: Protocol,
    history: History,
}

impl<D> Fake<D> {
    pub async fn start(db: D, protocol: Protocol, history: History) -> Self {
        let server = FakeOpenAi::start().await.unwrap();
        server.strict_template();
        Self { db, server, protocol, history }
    }

    fn call(&self) -> Option<Request> {
        self.server.requests().into_iter().rfind(is_call)
    }

    /// The number of the first event with a text, in the order of the protocol; each text is one event.
    const fn first(&self) -> usize {
        match self.protocol {
            Protocol::ChatCompletions => 1,
            Protocol::Assistants => 7,
            _ => 4,
        }
    }
}

fn is_call(request: &Request) -> bool {
    let ends = ["/responses", "/chat/completions", "/runs"];
    request.method == "POST" && ends.iter().any(|end| request.path.ends_with(end))
}

impl<D: TestDatabase> Subject for Fake<D> {
    type Database = D::Database;

    fn database(&self) -> D::Database {
        self.db.database()
    }

    fn client(&self) -> OpenAiBuilder {
        self.server.openai_builder().protocol(self.protocol)
    }

    fn definition(&self) -> AssistantDefinition {
        AssistantDefinition::new("test-model")
    }

    fn history(&self) -> Option<History> {
        Some(self.history)
    }

    fn other_protocols(&self) -> Vec<OpenAiBuilder> {
        let all = [Protocol::Responses, Protocol::ChatCompletions, Protocol::Assistants];
        let others = all.into_iter().filter(|other| *other != self.protocol);
        others.map(|other| self.server.openai_builder().protocol(other)).collect()
    }

    fn takes_pictures(&self) -> bool {
        true
    }

    fn act(&self, act: Act) -> bool {
        let first = self.first();
        self.server.reply(match act {
            Act::Say(text) => Reply::deltas(text),
            Act::SayUpToTheLimit(text) => Reply::deltas(text).incomplete("max_output_tokens"),
            Act::CallFunctions(calls) => {
                calls.into_iter().fold(Reply::text("").without_message(), |reply, call| {
                    let (name, arguments) = (call.name, call.arguments);
                    reply.item(json!({"type": "function_call", "name": name, "arguments": arguments}))
                })
            }
            Act::Stall(text) => {
                let after = first + text.len();
                Reply::deltas(text).stall_at(after)
            }
            Act::Break(text) => {
                let after = first + text.len();
                Reply::deltas(if text.is_empty() { vec!["lost".to_owned()] } else { text })
                    .disconnect_at(after)
            }
            Act::Fail(text) => Reply::deltas(text).failed("server_error", "It broke."),
            Act::HangUp => Reply::hang_up(),
            Act::Refuse { status, code, .. } => Reply::status(
                status,
                json!({"error": {"message": "It broke.", "type": "some_error", "param": null, "code": code}}),
            ),
            other => panic!("{other:?} is new"),
        });
        true
    }

    fn shown(&self) -> Option<Vec<String>> {
        let call = self.call()?;
        let body = call.body.clone().unwrap_or_default();
        let instructions = body["instructions"].as_str().map(str::to_owned);
        let held = match body["conversation"].as_str() {
            Some(id) => self.server.conversation_items(id),
            None => {
                let thread = call.path.split('/').nth(3).filter(|_| call.path.ends_with("/runs"));
                thread.and_then(|id| self.server.thread_messages(id))
            }
        };
        let sent = self.server.last_input();
        let items = held.unwrap_or(sent.items);
        let instructions = instructions.or(sent.instructions);
        Some(instructions.into_iter().chain(items.iter().map(Value::to_string)).collect())
    }

    fn counts(&self) -> Option<Counts> {
        let requests = self.server.requests();
        let mut counts = Counts::default();
        counts.calls = requests.iter().filter(|request| is_call(request)).count();
        counts.requests = requests.len();
        // A run that is cancelled there ends its stream, perhaps before the server sees that nobody reads it any more.
        let cancelled = requests.iter().filter(|request| request.path.ends_with("/cancel")).count();
        counts.left = self.server.disconnects().max(cancelled);
        Some(counts)
    }

    fn held(&self) -> Option<Vec<String>> {
        let fake = &self.server;
        let ids = [
            fake.conversation_ids(),
            fake.items().iter().map(Value::to_string).collect(),
            fake.response_ids(),
            fake.thread_ids(),
            fake.assistant_ids(),
        ];
        Some(ids.concat())
    }
}
