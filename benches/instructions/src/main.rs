//! Reads a stream of so many deltas and puts its text together as a run does, without a network: what scripts/instructions
//! counts the instructions and allocations of. One half of the deltas comes each in a chunk of its own, the other half cut at the size of a
//! network's segment. `instructions PROTOCOL DELTAS`, and with `unread` behind it, what
//! the stream itself costs, which is not to be counted.

use ai_engine::fuzzing::{accumulate, accumulate_chat};
use ai_engine::openai::fuzzing::stream;
use bytes::Bytes;
use futures_util::{FutureExt, stream as streams};

const WORD: &str = "word ";

/// A delta and the end, each as OpenAI sends it. At the end the Responses API says the text three times more.
fn responses(text: &str) -> (String, String) {
    let item = "msg_68a1b2c3d4e5f60718293a4b5c6d7e8f";
    let delta = format!(
        "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":4711,\
        \"item_id\":\"{item}\",\"output_index\":0,\"content_index\":0,\"delta\":\"{WORD}\",\"logprobs\":[],\
        \"obfuscation\":\"kQ3vT9xZ2m\"}}\n\n"
    );
    let part = format!(
        "{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"{text}\"}}"
    );
    let message = format!(
        "{{\"id\":\"{item}\",\"type\":\"message\",\"status\":\"completed\",\"content\":[{part}],\"role\":\"assistant\"}}"
    );
    let place = format!("\"item_id\":\"{item}\",\"output_index\":0,\"content_index\":0");
    let done = [
        ("response.output_text.done", format!("{place},\"text\":\"{text}\"")),
        ("response.content_part.done", format!("{place},\"part\":{part}")),
        ("response.output_item.done", format!("\"output_index\":0,\"item\":{message}")),
        (
            "response.completed",
            format!(
                "\"response\":{{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[{message}]}}"
            ),
        ),
    ];
    let event = |(name, more)| format!("event: {name}\ndata: {{\"type\":\"{name}\",{more}}}\n\n");
    (delta, done.map(event).concat())
}

fn chat() -> (String, String) {
    let head = "\"id\":\"chatcmpl-CfG7h8Jk2LmN4pQrStUvWxYz01234\",\"object\":\"chat.completion.chunk\",\"created\":1796040000,\
        \"model\":\"gpt-5.4-mini-2026-03-17\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\"";
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{reason}}}],\
            \"usage\":null,\"obfuscation\":\"kQ3vT9xZ2m\"}}\n\n"
        )
    };
    let delta = chunk(&format!("{{\"content\":\"{WORD}\"}}"), "null");
    (delta, chunk("{}", "\"stop\"") + "data: [DONE]\n\n")
}

/// What a TCP segment carries over Ethernet.
const SEGMENT: usize = 1460;
/// What a run may keep of a stream: all of it.
const MOST_BYTES: usize = 1 << 24;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let protocol = arguments.next().expect("which protocol");
    let deltas: usize = arguments.next().and_then(|count| count.parse().ok()).expect("how many");
    let (delta, end) = if protocol == "chat" { chat() } else { responses(&WORD.repeat(deltas)) };
    let half = deltas / 2;
    let mut chunks: Vec<Bytes> = vec![Bytes::from(delta.clone()); half];
    let mut rest = Bytes::from(delta.repeat(deltas - half));
    while !rest.is_empty() {
        chunks.push(rest.split_to(SEGMENT.min(rest.len())));
    }
    chunks.push(Bytes::from(end));

    if arguments.next().as_deref() == Some("unread") {
        std::hint::black_box(chunks);
        return;
    }
    let chunks = streams::iter(chunks.into_iter().map(Ok));
    let read = if protocol == "chat" {
        accumulate_chat(chunks, MOST_BYTES, None).now_or_never()
    } else {
        accumulate(stream(chunks, MOST_BYTES, None)).now_or_never()
    };
    let (run, result) = read.expect("it waits for nothing");
    result.expect("it is in order");
    let text: usize = run.finals.iter().map(|(_, text)| text.len()).sum();
    assert_eq!(text, deltas * WORD.len(), "the text is not whole");
}
