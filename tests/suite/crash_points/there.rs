//! What the provider was sent, and what it keeps, in whichever protocol it is spoken to.

use ai_engine::openai::Protocol;
use serde_json::Value;

use super::scene::Stage;
use crate::support::*;

/// What each call sent but for system texts, which not every protocol has among what was said.
pub fn calls<D: TestDatabase>(host: &Host<D>) -> Vec<Vec<(String, String)>> {
    let (end, sent) = match host.protocol {
        Protocol::ChatCompletions => ("/chat/completions", "messages"),
        Protocol::Assistants => ("/runs", "additional_messages"),
        _ => ("/responses", "input"),
    };
    let requests = host.fake.requests().into_iter();
    let posts = requests.filter(|request| request.method == "POST" && request.path.ends_with(end));
    let bodies = posts.map(|post| post.body.unwrap());
    bodies
        .map(|body| {
            let items = body[sent].as_array().into_iter().flatten().map(said);
            items.filter(|(role, _)| role != "system").collect()
        })
        .collect()
}

/// The role and text of a message.
pub fn said(item: &Value) -> (String, String) {
    let content = &item["content"];
    let text = &content[0]["text"];
    let text = content.as_str().or_else(|| text.as_str()).or_else(|| text["value"].as_str());
    (item["role"].as_str().unwrap_or_default().to_owned(), text.unwrap_or_default().to_owned())
}

/// What a conversation holds.
pub fn conversation<D: TestDatabase>(host: &Host<D>, id: &str) -> Vec<Value> {
    match host.protocol {
        Protocol::Assistants => host.fake.thread_messages(id).unwrap(),
        _ => host.fake.conversation_items(id).unwrap(),
    }
}

/// Their ids.
pub fn conversations<D: TestDatabase>(host: &Host<D>) -> Vec<String> {
    match host.protocol {
        Protocol::Assistants => host.fake.thread_ids(),
        _ => host.fake.conversation_ids(),
    }
}

/// The assistants there that are none of ours, and the threads that are no conversation of ours or of the test's: calls made them for
/// themselves, or a process that died.
pub fn own_of_calls<D: TestDatabase>(host: &Host<D>, stage: &Stage) -> Vec<String> {
    let known = host.db.texts(
        "SELECT remote_id AS line FROM ai_engine_assistant_threads WHERE remote_id IS NOT NULL",
    );
    let is_own = |id: &String| !known.contains(id) && stage.thread.remote_id.as_ref() != Some(id);
    let threads = host.fake.thread_ids().into_iter().filter(is_own);
    let threads = threads.filter(|_| stage.scene.asks_a_chat());
    let kept = host
        .db
        .texts("SELECT remote_id AS line FROM ai_engine_assistants WHERE remote_id IS NOT NULL");
    let assistants = host.fake.assistant_ids().into_iter().filter(|id| !kept.contains(id));
    assistants.chain(threads).collect()
}
