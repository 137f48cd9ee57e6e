//! The short ways of events that come by the thousand, compared with the long one: a stream must read alike on both.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::fuzzing;
use super::{ResponseStream, StreamEvent};

/// The events, and the error that ended them.
fn read(mut stream: ResponseStream) -> (Vec<StreamEvent>, Option<String>) {
    let mut events = Vec::new();
    while let Some(item) = StreamExt::next(&mut stream).now_or_never().expect("nothing to wait for")
    {
        match item {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error.to_string())),
        }
    }
    (events, None)
}

/// Pieces of a stream: whole events of each form, lines, halves of characters, and what is out of order.
const PIECES: &[&str] = &[
    "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"a\",\"delta\":\"word \"}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"é😀\"}\n\n",
    "event: x\r\ndata:{\"type\":\"response.refusal.delta\",\"delta\":\"no\"}\r\n\r\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\\ud83d\"}\r\r",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\ude00b\"}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\u0000\"}\n\n",
    "data: {\"type\":\"response.reasoning_text.delta\",\"delta\":\"hm\"}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\n",
    "data: \"delta\":\"in two lines\"}\n",
    "event: response.output_text.delta\n",
    "data: {\"delta\":\"named beside\"}\n\n",
    "data: {\"type\":\"error\",\"message\":\"m\"}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\"}}\n\n",
    "data: [DONE]\n\n",
    "data: oops\n\n",
    "data:\n\n",
    ": comment\n",
    "id: 7\n",
    "database: x\n\n",
    "\n",
    "\r",
    "\r\n",
    "\u{feff}",
];

/// Bytes that are no UTF-8.
const BROKEN: &[&[u8]] = &[b"data: \xFF{}\n\n", b"\xF0\x9F", b"\xFF\n\n"];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::sample::select(BROKEN).prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn however_it_is_cut_both_ways_say_the_same(
        body in pieces(),
        sizes in prop::collection::vec(1_usize..200, 1..40),
        limit in prop_oneof![3 => Just(1 << 20), 1 => 8_usize..160],
    ) {
        let mut rest = Bytes::from(body.clone());
        let mut chunks: Vec<_> =
            sizes.iter().map(|size| Ok(rest.split_to(rest.len().min(*size)))).collect();
        chunks.push(Ok(rest));
        let whole = vec![Ok(Bytes::from(body))];
        let slowly = read(fuzzing::stream_leniently(stream::iter(whole), limit, None));
        prop_assert_eq!(read(fuzzing::stream(stream::iter(chunks), limit, None)), slowly);
    }
}
