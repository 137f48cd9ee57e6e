use std::pin::pin;

use futures_util::FutureExt;
use futures_util::stream;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 32 << 20;

/// Decodes ready chunks to the end.
fn run(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>, limit: usize) -> Vec<Result<SseEvent>> {
    let chunks: Vec<_> =
        chunks.into_iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk.as_ref()))).collect();
    decode(stream::iter(chunks), limit).collect().now_or_never().expect("nothing to wait for")
}

fn events(bytes: &[u8]) -> Vec<(String, String)> {
    pairs(run([bytes], LIMIT))
}

fn pairs(items: Vec<Result<SseEvent>>) -> Vec<(String, String)> {
    items
        .into_iter()
        .map(|item| item.expect("an event"))
        .map(|event| (event.event, event.data))
        .collect()
}

fn messages(data: &[&str]) -> Vec<(String, String)> {
    data.iter().map(|data| ("message".to_owned(), (*data).to_owned())).collect()
}

#[test]
fn names_and_data_are_read() {
    let expected =
        vec![("a".to_owned(), "1\n2".to_owned()), ("message".to_owned(), "3".to_owned())];
    assert_eq!(events(b"event: a\ndata: 1\ndata:2\n\ndata: 3\n\n"), expected);
}

#[test]
fn comments_ids_and_unknown_fields_yield_nothing() {
    assert_eq!(
        events(b": ping\n\n:\n\nid: 7\nretry: 5\nfoo: bar\n\n\n\ndatabase: x\n\ndata: 1\n\n"),
        messages(&["1"])
    );
}

#[test]
fn every_line_end_is_understood() {
    let expected =
        vec![("a".to_owned(), "1\n2".to_owned()), ("message".to_owned(), "3".to_owned())];
    for end in ["\n", "\r\n", "\r"] {
        let text = "event: a|data: 1|data: 2||data: 3||".replace('|', end);
        assert_eq!(events(text.as_bytes()), expected, "{end:?}");
        assert_eq!(pairs(run(text.as_bytes().chunks(1), LIMIT)), expected, "{end:?}");
    }
}

#[test]
fn an_event_ended_by_carriage_returns_does_not_wait_for_more() {
    let chunks = stream::iter([Ok(Bytes::from_static(b"data: 1\r\r"))]).chain(stream::pending());
    let mut events = pin!(decode(chunks, LIMIT));
    assert_eq!(
        events.next().now_or_never().expect("ready").expect("an item").expect("an event").data,
        "1"
    );
}

#[test]
fn a_byte_order_mark_is_dropped_even_when_split() {
    assert_eq!(events(b"\xEF\xBB\xBFdata: 1\n\n"), messages(&["1"]));
    let split: [&[u8]; 4] = [b"\xEF", b"\xBB", b"\xBFda", b"ta: 1\n\n"];
    assert_eq!(pairs(run(split, LIMIT)), messages(&["1"]));
    // Only one mark is allowed: a second one belongs to the name of an unknown field.
    assert_eq!(events(b"\xEF\xBB\xBF\xEF\xBB\xBFdata: 1\n\ndata: 2\n\n"), messages(&["2"]));
    assert_eq!(events(b"\xEF\xBB\xBF\n\ndata: \xEF\xBB\xBF2\n\n"), messages(&["\u{feff}2"]));
}

#[test]
fn a_split_character_is_whole_and_an_invalid_byte_is_replaced() {
    let split: [&[u8]; 3] = [b"data: \xF0\x9F", b"\x98\x80", b"\n\n"];
    assert_eq!(pairs(run(split, LIMIT)), messages(&["😀"]));
    assert_eq!(events(b"data: a\xFFb\n\ndata: c\n\n"), messages(&["a\u{fffd}b", "c"]));
}

#[test]
fn a_last_event_without_its_blank_line_is_yielded_and_marked() {
    for text in [
        "data: 1\n\nevent: e\ndata: 2",
        "data: 1\n\nevent: e\ndata: 2\n",
        "data: 1\n\ndata: 2\nevent: e",
    ] {
        let items: Vec<_> = run([text.as_bytes()], LIMIT).into_iter().map(Result::unwrap).collect();
        assert_eq!(items.len(), 2, "{text:?}");
        assert!(items[0].complete);
        assert_eq!(
            (items[1].event.as_str(), items[1].data.as_str(), items[1].complete),
            ("e", "2", false)
        );
    }
    assert_eq!(events(b": bye"), messages(&[]));
    assert_eq!(events(b""), messages(&[]));
}

/// The connection stays open behind them.
#[tokio::test(start_paused = true)]
async fn a_last_event_that_looks_whole_counts_without_its_ends() {
    for (said, told) in [
        ("data: [DONE]\n", "[DONE]"),
        ("data: [DONE]", "[DONE]"),
        ("data: {\"a\":1}\n", "{\"a\":1}"),
        ("data:{\"a\":{}}", "{\"a\":{}}"),
        ("event: message\r\ndata: {\"a\":\"}\"}\r", "{\"a\":\"}\"}"),
    ] {
        let chunk = Bytes::from_static(said.as_bytes());
        let mut events = pin!(decode(stream::iter([Ok(chunk)]).chain(stream::pending()), LIMIT));
        let event = events.next().await.expect("an item").expect("an event");
        assert_eq!((event.data.as_str(), event.complete), (told, true), "{said:?}");
    }
    // What only looks so is waited for.
    let waited = WITHOUT_BLANK_LINE * 5;
    for (begun, rest, told) in [
        ("data: {\"a\":\"{}", "\"}\n\n", "{\"a\":\"{}\"}"),
        ("data: {\"a\":{}", "}\n\n", "{\"a\":{}}"),
        ("data: 1\ndata: {}", "\n\n", "1\n{}"),
        ("data: [DON", "E]\n\n", "[DONE]"),
    ] {
        let late = stream::once(async move {
            tokio::time::sleep(waited).await;
            Ok(Bytes::from_static(rest.as_bytes()))
        });
        let first = stream::iter([Ok(Bytes::from_static(begun.as_bytes()))]);
        let mut events = pin!(decode(first.chain(late), LIMIT));
        let event = events.next().await.expect("an item").expect("an event");
        assert_eq!(event.data, told, "{begun:?}");
    }
}

#[test]
fn a_long_line_in_small_pieces_is_one_event() {
    let mut bytes = b"data: ".to_vec();
    bytes.resize(8 << 20, b'x');
    bytes.extend_from_slice(b"\n\n");
    let items = run(bytes.chunks(1460), LIMIT);
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].as_ref().unwrap().data.len(), (8 << 20) - 6);
}

#[test]
fn an_event_over_the_limit_is_an_error_and_the_end() {
    // "data: 12" and "data:3" with their line ends: 9 + 7 bytes.
    assert_eq!(
        pairs(run([&b"data: 12\ndata:3\n\ndata: 12\n\n"[..]], 16)),
        messages(&["12\n3", "12"])
    );
    let items = run([&b"data: 1\n\ndata: 12\ndata:34\n\ndata: 5\n\n"[..]], 16);
    assert_eq!(items.len(), 2);
    assert!(matches!(items[1], Err(Error::TooLarge { limit: 16, setting: "max_event_bytes", .. })));
    let unended: [&[u8]; 3] = [b"data: ", b"1234567890", b"1"];
    assert!(matches!(run(unended, 16).as_slice(), [Err(Error::TooLarge { .. })]));
    // Comments are no part of an event, however many there are.
    assert_eq!(pairs(run([&b": ping\n".repeat(1000)[..], b"data: 1\n\n"], 16)), messages(&["1"]));
}

#[test]
fn an_error_of_the_body_is_passed_on_and_ends_the_stream() {
    let chunks = vec![
        Ok(Bytes::from_static(b"data: 1\n\ndata: 2")),
        Err(Error::disconnected("cut")),
        Ok(Bytes::from_static(b"\n\n")),
    ];
    let items: Vec<_> = decode(stream::iter(chunks), LIMIT).collect().now_or_never().unwrap();
    assert!(matches!(items.as_slice(), [Ok(_), Err(Error::Disconnected { .. })]), "{items:?}");
}

/// They stress the splitting more than random bytes would.
const PIECES: &[&[u8]] = &[
    b"data: ",
    b"event:",
    b"id: 1",
    b":",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\xEF\xBB\xBF",
    "é😀".as_bytes(),
    b"\xFF\xF0",
    b"\0{}",
];

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

/// In the usual form and nearly so.
fn usual() -> impl Strategy<Value = Vec<u8>> {
    const EVENTS: [&str; 6] = [
        "data: {\"a\":1}\n\n",
        "event: a\ndata: é😀\n\n",
        "event: a\r\ndata: b\r\n\r\n",
        "data: 1\r\r",
        "data: 1\ndata: 2\n\n",
        ": ping\n\n",
    ];
    let events = prop::collection::vec(prop::sample::select(EVENTS.as_slice()), 0..12);
    events.prop_map(|events| events.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(
        body in prop_oneof![body(), usual(), prop::collection::vec(any::<u8>(), 0..200)],
        sizes in prop::collection::vec(0_usize..9, 1..50),
        limit in prop_oneof![Just(LIMIT), 1_usize..40],
    ) {
        let mut rest = body.as_slice();
        let mut chunks = Vec::new();
        for size in sizes {
            let (head, tail) = rest.split_at(size.min(rest.len()));
            chunks.push(head);
            rest = tail;
        }
        chunks.push(rest);
        prop_assert_eq!(format!("{:?}", run([body.as_slice()], limit)), format!("{:?}", run(chunks, limit)));
    }
}
