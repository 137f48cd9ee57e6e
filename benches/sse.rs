//! The decoder of server-sent events: many small events, however they are cut, and one long line in network-sized
//! pieces.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use ai_engine::openai::decode_sse;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;

const EVENTS: usize = 20_000;
const LONG_LINE: usize = 4 * 1024 * 1024;
/// What a TCP segment carries over Ethernet.
const SEGMENT: usize = 1460;
const LIMIT: usize = 16 * 1024 * 1024;

fn delta(number: usize) -> String {
    let kind = "response.output_text.delta";
    format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},\"item_id\":\"msg_0123456789abcdef\",\
         \"output_index\":0,\"content_index\":0,\"delta\":\"word \",\"logprobs\":[],\"obfuscation\":\"kQ3vT9xZ\"}}\n\n"
    )
}

/// Decodes all chunks; the events are counted, so that none goes missing in a fast benchmark.
async fn count(chunks: &[Bytes]) -> usize {
    let chunks = futures_util::stream::iter(chunks.to_vec()).map(Ok);
    let events = decode_sse(chunks, LIMIT);
    events
        .fold(0, |count, event| async move {
            black_box(event.unwrap());
            count + 1
        })
        .await
}

fn decode(c: &mut Criterion) {
    let one_per_chunk: Vec<Bytes> = (0..EVENTS).map(delta).map(Bytes::from).collect();
    let in_one_chunk = vec![Bytes::from(one_per_chunk.concat())];
    let line = Bytes::from(format!("data: {}\n\n", "x".repeat(LONG_LINE)));
    let in_segments: Vec<Bytes> = line.chunks(SEGMENT).map(Bytes::copy_from_slice).collect();
    let cases = [
        ("20000 events, one per chunk", one_per_chunk, EVENTS),
        ("20000 events, one chunk", in_one_chunk, EVENTS),
        ("one 4 MiB line, chunks of 1460 bytes", in_segments, 1),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut group = c.benchmark_group("sse");
    for (name, chunks, events) in &cases {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        group.throughput(Throughput::Bytes(u64::try_from(bytes).unwrap()));
        group.bench_with_input(BenchmarkId::from_parameter(name), chunks, |b, chunks| {
            b.iter(|| assert_eq!(runtime.block_on(count(chunks)), *events));
        });
    }
    group.finish();
}

fn settings() -> Criterion {
    Criterion::default().sample_size(50)
}

criterion_group! { name = benches; config = settings(); targets = decode }
criterion_main!(benches);
