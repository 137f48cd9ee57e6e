//! What a run makes of the stream of a chat completion.

use ai_engine::fuzzing::{Accumulated, accumulate_chat, accumulate_chat_leniently};
use ai_engine::openai::ApiKey;
use bytes::Bytes;
use futures_util::{FutureExt, stream};

use super::Input;

/// What the server may echo and nobody may print.
const KEY: &str = "sk-fuzz1";
const MAX_EVENT: usize = 2048;

pub fn holds(input: &[u8]) {
    let Some(input) = Input::new(input) else { return };
    let (run, result) = put_together(input.chunks());
    let (whole, whole_result) = put_together(input.whole());
    assert_eq!(told(&run), told(&whole), "it depends on how it was cut");
    assert_eq!(result, whole_result);
    let (slowly, slow_result) = put_together_leniently(input.whole());
    assert_eq!(told(&run), told(&slowly), "the faster way reads something else");
    assert_eq!(result, slow_result);
    assert_eq!(result.is_err(), run.ended.is_none());
    if let Err(error) = &result {
        assert!(!error.contains(KEY), "the key is in {error}");
    }
    for texts in [&run.streamed, &run.finals] {
        assert!(texts.iter().all(|(slot, text)| *slot >= 0 && !text.contains('\0')));
        // One answer has one message.
        assert!(texts.len() <= 1, "{texts:?}");
    }
    // The end says what was streamed: the protocol has no other text.
    let said: Vec<_> = run.streamed.iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    if run.ended.is_none() || !said.is_empty() {
        assert_eq!(run.finals.iter().collect::<Vec<_>>(), said);
    }
    assert!(run.items.windows(2).all(|pair| pair[0].0 < pair[1].0), "{:?}", run.items);
    assert!(run.usage.total_tokens() >= run.usage.input_tokens.max(run.usage.output_tokens));
}

/// All but the ids that are made up for calls without one.
fn told(run: &Accumulated) -> impl PartialEq + std::fmt::Debug {
    let texts = (run.streamed.clone(), run.finals.clone());
    let places: Vec<i64> = run.items.iter().map(|(position, _)| *position).collect();
    (texts, places, run.ended, run.usage)
}

fn put_together(
    chunks: Vec<ai_engine::openai::Result<Bytes>>,
) -> (Accumulated, Result<(), String>) {
    let key = ApiKey::new(KEY);
    let reading = accumulate_chat(stream::iter(chunks), MAX_EVENT, Some(&key));
    let (run, result) = reading.now_or_never().expect("it waits for nothing");
    (run, result.map_err(|error| error.to_string()))
}

fn put_together_leniently(
    chunks: Vec<ai_engine::openai::Result<Bytes>>,
) -> (Accumulated, Result<(), String>) {
    let key = ApiKey::new(KEY);
    let reading = accumulate_chat_leniently(stream::iter(chunks), MAX_EVENT, Some(&key));
    let (run, result) = reading.now_or_never().expect("it waits for nothing");
    (run, result.map_err(|error| error.to_string()))
}
