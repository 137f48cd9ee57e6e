//! Reads a stream of so many deltas and puts its text together as a run does, without a network: what scripts/instructions
//! counts the instructions of. One half of the deltas comes each in a chunk of its own, the other half cut at the size of a
//! network's segment.

use ai_engine::fuzzing::accumulate;
use ai_engine::openai::fuzzing::stream;
use bytes::Bytes;
use futures_util::{FutureExt, stream as streams};

const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\
    \"sequence_number\":4711,\"item_id\":\"msg_68a1b2c3d4e5f60718293a4b5c6d7e8f\",\"output_index\":0,\"content_index\":0,\
    \"delta\":\"word \",\"logprobs\":[],\"obfuscation\":\"kQ3vT9xZ2m\"}\n\n";
const END: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":4712,\
    \"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[]}}\n\n";
/// What a TCP segment carries over Ethernet.
const SEGMENT: usize = 1460;

fn main() {
    let deltas: usize =
        std::env::args().nth(1).and_then(|count| count.parse().ok()).expect("how many");
    let half = deltas / 2;
    let mut chunks: Vec<Bytes> = vec![Bytes::from_static(DELTA.as_bytes()); half];
    let mut rest = Bytes::from(DELTA.repeat(deltas - half));
    while !rest.is_empty() {
        chunks.push(rest.split_to(SEGMENT.min(rest.len())));
    }
    chunks.push(Bytes::from_static(END.as_bytes()));

    let stream = stream(streams::iter(chunks.into_iter().map(Ok)), 1 << 20, None);
    let (run, result) = accumulate(stream).now_or_never().expect("it waits for nothing");
    result.expect("it is in order");
    let text: usize = run.finals.iter().map(|(_, text)| text.len()).sum();
    assert_eq!(text, deltas * "word ".len(), "the text is not whole");
}
