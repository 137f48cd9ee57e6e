//! Server-sent events: bytes in, events out.

use ai_engine::openai::{Error, Result, decode_sse};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};

use super::Input;

/// More than any input has.
const UNLIMITED: usize = 1 << 20;

/// Its name, its data, whether the blank line after it arrived.
type Event = (String, String, bool);

pub fn holds(input: &[u8]) {
    let Some(input) = Input::new(input) else { return };
    let limit = match input.choice {
        0 => UNLIMITED,
        small => usize::from(small),
    };
    let (events, error) = split(read(input.whole(), limit));
    let (chunked, chunked_error) = split(read(input.chunks(), limit));
    assert_eq!(events, chunked, "the events depend on how the bytes were cut");
    assert_eq!(error, chunked_error, "the end depends on how the bytes were cut");

    for (index, (name, data, complete)) in events.iter().enumerate() {
        assert!(!name.is_empty(), "an event without a name: {data}");
        // One invalid byte becomes a replacement character of three.
        assert!(data.len() <= 3 * limit, "{} bytes of {limit}", data.len());
        let last = error.is_none() && index + 1 == events.len();
        assert!(*complete || last, "an event in the middle is cut off: {data}");
    }
    if error.is_none() {
        assert_eq!(events, by_the_book(input.body));
    }
}

/// All that the decoder yields. Ready chunks leave it nothing to wait for.
fn read(chunks: Vec<Result<Bytes>>, limit: usize) -> Vec<Result<Event>> {
    let most = chunks.iter().flatten().map(Bytes::len).sum::<usize>() + 1;
    let events = decode_sse(stream::iter(chunks), limit)
        .take(most + 1)
        .map(|event| event.map(|event| (event.event, event.data, event.complete)));
    let events: Vec<_> = events.collect().now_or_never().expect("it waits for nothing");
    assert!(events.len() <= most, "it does not end");
    events
}

/// The events, and the error after them: only that of the limit is possible.
fn split(items: Vec<Result<Event>>) -> (Vec<Event>, Option<String>) {
    let mut events = Vec::with_capacity(items.len());
    let mut end = None;
    for item in items {
        assert!(end.is_none(), "something follows the error");
        match item {
            Ok(event) => events.push(event),
            Err(error @ Error::TooLarge { .. }) => end = Some(error.to_string()),
            Err(error) => panic!("bytes cannot cause {error:?}"),
        }
    }
    (events, end)
}

/// The same, as the HTML standard words it (9.2.6, "interpreting an event stream"), for a body that is all there; but an
/// event that the end cuts off is kept.
fn by_the_book(body: &[u8]) -> Vec<Event> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut name, mut data) = (String::new(), String::new());
    let mut dispatch = |name: &mut String, data: &mut String, complete| {
        let (name, mut data) = (std::mem::take(name), std::mem::take(data));
        if data.pop().is_some() {
            let event = if name.is_empty() { "message".to_owned() } else { name };
            events.push((event, data, complete));
        }
    };
    for line in text.split_terminator('\n') {
        if line.is_empty() {
            dispatch(&mut name, &mut data, true);
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            _ => {}
        }
    }
    dispatch(&mut name, &mut data, false);
    events
}
