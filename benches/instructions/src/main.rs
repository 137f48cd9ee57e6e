//! Reads a stream of so many deltas and puts its text together as a run does, without a network: what scripts/instructions
//! counts the instructions and allocations of. One half of the deltas comes each in a chunk of its own, the other half cut at the size of a
//! network's segment. `instructions PROTOCOL DELTAS`

use ai_engine::fuzzing::{accumulate, accumulate_chat};
use ai_engine::openai::fuzzing::stream;
use bytes::Bytes;
use futures_util::{FutureExt, stream as streams};

/// Each as OpenAI sends it.
const RESPONSES: [&str; 2] = [
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\
    \"sequence_number\":4711,\"item_id\":\"msg_68a1b2c3d4e5f60718293a4b5c6d7e8f\",\"output_index\":0,\"content_index\":0,\
    \"delta\":\"word \",\"logprobs\":[],\"obfuscation\":\"kQ3vT9xZ2m\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":4712,\
    \"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[]}}\n\n",
];
const CHAT: [&str; 2] = [
    "data: {\"id\":\"chatcmpl-CfG7h8Jk2LmN4pQrStUvWxYz01234\",\"object\":\"chat.completion.chunk\",\"created\":1796040000,\
    \"model\":\"gpt-5.4-mini-2026-03-17\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\
    \"obfuscation\":\"kQ3vT9xZ2m\"}\n\n",
    "data: {\"id\":\"chatcmpl-CfG7h8Jk2LmN4pQrStUvWxYz01234\",\"choices\":[{\"index\":0,\"delta\":{},\
    \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
];
/// What a TCP segment carries over Ethernet.
const SEGMENT: usize = 1460;
/// What a run may keep of a stream: all of it.
const MOST_BYTES: usize = 1 << 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let protocol = arguments.next().expect("which protocol");
    let deltas: usize = arguments.next().and_then(|count| count.parse().ok()).expect("how many");
    let [delta, end] = if protocol == "chat" { CHAT } else { RESPONSES };
    let half = deltas / 2;
    let mut chunks: Vec<Bytes> = vec![Bytes::from_static(delta.as_bytes()); half];
    let mut rest = Bytes::from(delta.repeat(deltas - half));
    while !rest.is_empty() {
        chunks.push(rest.split_to(SEGMENT.min(rest.len())));
    }
    chunks.push(Bytes::from_static(end.as_bytes()));

    let chunks = streams::iter(chunks.into_iter().map(Ok));
    let read = if protocol == "chat" {
        accumulate_chat(chunks, MOST_BYTES, None).now_or_never()
    } else {
        accumulate(stream(chunks, MOST_BYTES, None)).now_or_never()
    };
    let (run, result) = read.expect("it waits for nothing");
    result.expect("it is in order");
    let text: usize = run.finals.iter().map(|(_, text)| text.len()).sum();
    assert_eq!(text, deltas * "word ".len(), "the text is not whole");
}
