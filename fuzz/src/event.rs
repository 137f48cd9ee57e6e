//! What the client and a run make of an answer.

use ai_engine::fuzzing::{Accumulated, accumulate};
use ai_engine::openai::fuzzing::{body, refusal, stream, stream_leniently};
use ai_engine::openai::unstable::{ResponseStream, StreamEvent, StreamEventKind};
use ai_engine::openai::{ApiError, ApiKey, Error};
use ai_engine::{RunStatus, Usage};
use futures_util::{FutureExt, StreamExt, stream as streams};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::Input;

/// What the server may echo and nobody may print. It is in the dictionary.
const KEY: &str = "sk-fuzz1";
const MAX_EVENT: usize = 2048;
/// The longest texts of errors, each with the mark that it was cut.
const MAX_EXCERPT: usize = 200 + "…".len();
const MAX_MESSAGE: usize = 2048 + "…".len();
const MAX_FIELD: usize = 256 + "…".len();

pub fn holds(input: &[u8]) {
    let Some(input) = Input::new(input) else { return };
    match input.choice % 4 {
        0 => answered(&input),
        1 => refused(&input),
        _ => streamed(&input),
    }
}

fn key() -> ApiKey {
    ApiKey::new(KEY)
}

/// One body of JSON.
fn answered(input: &Input<'_>) {
    match body(input.body, Some(&key())) {
        Ok(body) => {
            check_event(&body.event);
            assert!(body.page.data.len() <= input.body.len());
            // What comes later is asked for by the last id.
            assert!(body.page.data.iter().all(|item| item.as_value().is_object()));
            assert!(body.item.text().len() <= input.body.len());
        }
        Err(error) => check_error(&error),
    }
}

/// An HTTP status that is an error, whose headers are the beginning of the input.
fn refused(input: &Input<'_>) {
    let status = StatusCode::from_u16(300 + u16::from(input.choice)).expect("three digits");
    let text = String::from_utf8_lossy(input.body);
    let mut headers = HeaderMap::new();
    if let Some((first, _)) = text.split_once('\n')
        && let Ok(value) = HeaderValue::from_bytes(first.as_bytes())
    {
        for name in ["location", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry"]
        {
            headers.insert(name, value.clone());
        }
    }
    let error = refusal(status, &headers, &text, Some(&key()));
    assert_eq!(error.status, Some(status.as_u16()));
    check_api_error(&error);
    check_error(&error.into());
}

/// A stream, as its reader sees it and as a run puts it together.
fn streamed(input: &Input<'_>) {
    let (events, error) = read(stream(streams::iter(input.chunks()), MAX_EVENT, Some(&key())));
    let (slowly, slow_error) =
        read(stream_leniently(streams::iter(input.whole()), MAX_EVENT, Some(&key())));
    assert_eq!(events, slowly, "the faster way reads something else");
    assert_eq!(error.as_ref().map(Error::to_string), slow_error.as_ref().map(Error::to_string));
    for (index, event) in events.iter().enumerate() {
        assert!(!event.is_terminal() || index + 1 == events.len(), "{event:?} is not the end");
        check_event(event);
    }
    let told = events.iter().any(|event| matches!(event.kind, StreamEventKind::Error(_)));
    let ended = events.last().is_some_and(StreamEvent::is_terminal);
    assert_eq!(error.is_none(), told || ended, "{events:?} ends with {error:?}");
    if let Some(error) = &error {
        check_error(error);
    }

    let put_together = |chunks| {
        let stream = stream(streams::iter(chunks), MAX_EVENT, Some(&key()));
        let (accumulated, result) =
            accumulate(stream).now_or_never().expect("it waits for nothing");
        (accumulated, result.map_err(|error| error.to_string()))
    };
    let (accumulated, result) = put_together(input.chunks());
    assert_eq!(result.is_err(), accumulated.ended.is_none());
    check_accumulated(&accumulated, &events);
    assert_eq!((accumulated, result), put_together(input.whole()), "it depends on how it was cut");
}

/// The events, and the error that ended them. Ready chunks leave the stream nothing to wait for.
fn read(mut stream: ResponseStream) -> (Vec<StreamEvent>, Option<Error>) {
    let mut events = Vec::new();
    let mut end = None;
    while let Some(item) = stream.next().now_or_never().expect("it waits for nothing") {
        assert!(end.is_none(), "something follows {end:?}");
        match item {
            Ok(event) => events.push(event),
            Err(error) => end = Some(error),
        }
    }
    assert!(StreamExt::next(&mut stream).now_or_never().expect("it is over").is_none());
    (events, end)
}

fn check_accumulated(run: &Accumulated, events: &[StreamEvent]) {
    for texts in [&run.streamed, &run.finals] {
        assert!(texts.windows(2).all(|pair| pair[0].0 < pair[1].0), "out of order: {texts:?}");
        assert!(texts.iter().all(|(slot, text)| *slot >= 0 && !text.contains('\0')));
    }
    // PostgreSQL stores no NUL.
    assert!(!run.words.iter().any(|word| word.contains('\0')), "a NUL in {:?}", run.words);
    assert!(run.finals.iter().all(|(_, text)| !text.trim().is_empty()), "a blank message");
    for (position, item) in &run.items {
        assert!(*position >= 1 && !has_nul(item), "a NUL in {item}");
    }
    let positions = run.items.windows(2).all(|pair| pair[0].0 < pair[1].0);
    assert!(positions, "items out of order: {:?}", run.items);
    if run.ended.is_none() {
        let kept: Vec<_> =
            run.streamed.iter().filter(|(_, text)| !text.trim().is_empty()).collect();
        assert_eq!(run.finals.iter().collect::<Vec<_>>(), kept, "text that had arrived is lost");
    }
    assert_ne!(run.ended, Some(RunStatus::Queued));

    // No word is lost or said twice, up to the end or the error.
    let deltas = events.iter().take_while(|event| !matches!(event.kind, StreamEventKind::Error(_)));
    let said: usize = deltas
        .map(|event| match &event.kind {
            StreamEventKind::OutputTextDelta { delta, .. }
            | StreamEventKind::RefusalDelta { delta, .. } => delta.chars().count(),
            _ => 0,
        })
        .sum();
    let kept: usize = run.streamed.iter().map(|(_, text)| text.chars().count()).sum();
    assert!(kept >= said, "{said} characters arrived, {kept} were kept");
    check_usage(run.usage);
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

/// The largest numbers must not end a program.
fn check_usage(usage: Usage) {
    assert!(usage.total_tokens() >= usage.input_tokens.max(usage.output_tokens));
    let twice = usage + usage;
    assert!(twice.input_tokens >= usage.input_tokens);
}

fn check_event(event: &StreamEvent) {
    if let StreamEventKind::Error(error) = &event.kind {
        check_api_error(error);
    }
    let Some(response) = event.response() else { return };
    if let Some(error) = &response.error {
        assert!(!error.message.is_empty() && error.message.len() <= MAX_MESSAGE);
        assert!(error.code.as_ref().is_none_or(|code| code.len() <= MAX_FIELD));
        assert!(!format!("{error:?}").contains(KEY), "the key is in {error:?}");
    }
    if let Some(usage) = response.usage {
        assert!(usage.total_tokens() >= usage.input_tokens);
    }
    let _ = response.text();
}

fn check_api_error(error: &ApiError) {
    assert!(!error.message.is_empty(), "an error without a word");
    assert!(error.message.len() <= MAX_MESSAGE, "{} bytes", error.message.len());
    for field in [&error.kind, &error.code, &error.param, &error.request_id].into_iter().flatten() {
        assert!(!field.is_empty() && field.len() <= MAX_FIELD, "{field:?}");
    }
    assert!(!format!("{error:?} {error}").contains(KEY), "the key is in {error:?}");
    assert!(!(error.is_quota_exhausted() && error.is_retryable()));
}

fn check_error(error: &Error) {
    let text = format!("{error:?} {error}");
    assert!(!text.contains(KEY), "the key is in {text}");
    if let Error::Malformed { excerpt, .. } = error {
        assert!(excerpt.len() <= MAX_EXCERPT, "{} bytes", excerpt.len());
    }
    let _ = (error.is_retryable(), error.is_not_found(), error.retry_after());
}
