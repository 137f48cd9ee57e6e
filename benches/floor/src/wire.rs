//! What the load server says: whole streams of the Responses API, built once and written as they are.

use serde_json::{Value, json};

/// What is asked for, by the name of the model: `DELTAS-EVENTS` a write at full speed, or `DELTAS-EVENTS-MICROSECONDS` with
/// so long a pause between two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Load {
    pub deltas: u32,
    pub events_a_write: u32,
    /// Microseconds between two writes; 0 is at full speed.
    pub pace: u64,
}

impl Load {
    pub fn model(self) -> String {
        format!("{}-{}-{}", self.deltas, self.events_a_write, self.pace)
    }

    pub fn of_model(model: &str) -> Option<Self> {
        let mut parts = model.split('-');
        let deltas = parts.next()?.parse().ok()?;
        let events_a_write = parts.next()?.parse().ok().filter(|events| *events > 0)?;
        let pace = parts.next().map_or(Some(0), |pace| pace.parse().ok())?;
        Some(Self { deltas, events_a_write, pace })
    }
}

/// Bytes of text in each delta at full speed.
pub const WORD: usize = 5;

const MESSAGE: &str = "msg_68a1b2c3d4e5f60718293a4b5c6d7e8f";

/// The writes of a stream at full speed, each a chunk of HTTP's own.
pub fn writes(load: Load) -> Vec<Vec<u8>> {
    let mut noise = 0x2545_f491_u32;
    let mut letter = move || {
        // xorshift32 (Marsaglia 2003).
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        char::from(b'a' + u8::try_from(noise % 26).unwrap())
    };
    let words: Vec<String> = (0..load.deltas)
        .map(|_| String::from_iter([letter(), letter(), letter(), letter(), ' ']))
        .collect();
    let mut writes = vec![chunk(&opening())];
    let mut events = Vec::new();
    for (number, word) in (1..).zip(&words) {
        delta(&mut events, number, word);
        if number % load.events_a_write == 0 {
            writes.push(chunk(&std::mem::take(&mut events)));
        }
    }
    if !events.is_empty() {
        writes.push(chunk(&events));
    }
    writes.push(chunk(&closing(load.deltas, &words.concat())));
    writes.push(b"0\r\n\r\n".to_vec());
    writes
}

/// One delta as OpenAI sends it.
pub fn delta(events: &mut Vec<u8>, number: u32, text: &str) {
    let kind = "response.output_text.delta";
    let event = format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{},\"item_id\":\"{MESSAGE}\",\
         \"output_index\":0,\"content_index\":0,\"delta\":\"{text}\",\"logprobs\":[],\"obfuscation\":\"kQ3vT9xZ2m\"}}\n\n",
        number + 3
    );
    events.extend_from_slice(event.as_bytes());
}

pub fn chunk(body: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", body.len()).into_bytes();
    chunk.extend_from_slice(body);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

pub fn opening() -> Vec<u8> {
    let mut events = Vec::new();
    let begun = response("in_progress", &[], Value::Null);
    event(&mut events, 0, "response.created", json!({"response": begun}));
    event(&mut events, 1, "response.in_progress", json!({"response": begun}));
    let item = message("in_progress", &[]);
    event(&mut events, 2, "response.output_item.added", json!({"output_index": 0, "item": item}));
    event(&mut events, 3, "response.content_part.added", of_part(json!({"part": part("")})));
    events
}

pub fn closing(deltas: u32, text: &str) -> Vec<u8> {
    let mut events = Vec::new();
    let next = deltas + 4;
    let said = of_part(json!({"text": text, "logprobs": []}));
    event(&mut events, next, "response.output_text.done", said);
    event(
        &mut events,
        next + 1,
        "response.content_part.done",
        of_part(json!({"part": part(text)})),
    );
    let item = message("completed", &[part(text)]);
    let done = json!({"output_index": 0, "item": item});
    event(&mut events, next + 2, "response.output_item.done", done);
    let usage = json!({
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": deltas, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": deltas + 9,
    });
    let response = response("completed", &[item], usage);
    event(&mut events, next + 3, "response.completed", json!({"response": response}));
    events
}

fn event(events: &mut Vec<u8>, number: u32, kind: &str, mut data: Value) {
    data["type"] = json!(kind);
    data["sequence_number"] = json!(number);
    events.extend_from_slice(format!("event: {kind}\ndata: {data}\n\n").as_bytes());
}

fn of_part(mut data: Value) -> Value {
    data["item_id"] = json!(MESSAGE);
    data["output_index"] = json!(0);
    data["content_index"] = json!(0);
    data
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message(status: &str, content: &[Value]) -> Value {
    json!({"id": MESSAGE, "type": "message", "role": "assistant", "status": status, "content": content})
}

fn response(status: &str, output: &[Value], usage: Value) -> Value {
    json!({
        "id": "resp_68a1b2c3d4e5f60718293a4b5c6d7e8f", "object": "response", "created_at": 1_756_000_000,
        "status": status, "background": false, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": null, "metadata": {}, "model": "load",
        "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": null,
    })
}
