//! G8, G10, G11, G12: what networks and providers do to a call. Whatever it is, the run ends with a reason, nothing
//! blank and no key is stored, the provider is asked as often as it should be, and the thread can be used again.

mod case;
mod chat;
mod long_lines;

use std::time::Duration;

use ai_engine::History;
use ai_engine::testing::{API_KEY, ErrorEvent, FakeOpenAi, Reply};
use serde_json::{Value, json};

use crate::support::*;
use case::{Case, End, check_all, in_each_protocol};

on_each_database!(
    streams_that_break_before_output_are_asked_for_again,
    streams_that_break_after_output_keep_it,
    what_can_be_read_is_read,
    refusals_are_final,
    passing_troubles_are_tried_again,
    the_server_decides_whether_and_when_to_try_again,
    a_slow_provider_is_waited_for,
    addresses_without_a_provider_are_named,
    redirects_are_not_followed,
);

/// With the provider's or with our own history: what is said of streams holds for both.
const BOTH: [History; 2] = [History::Local, History::Conversation];

fn story() -> Reply {
    Reply::deltas(["Once ", "upon"])
}

/// The number of the event with the first text, and of the one after the last.
const FIRST: usize = 4;
const AFTER: usize = 6;

async fn streams_that_break_before_output_are_asked_for_again<D: TestDatabase>(db: D) {
    use End::Failed;
    let broken = |shape: ErrorEvent, code: &str| {
        Reply::deltas([""; 0]).failed(code, "It broke.").error_event(shape)
    };
    let mut cases = Vec::new();
    for history in BOTH {
        // Three calls: the first, and two more.
        let thrice = [
            ("cut at the start", story().disconnect_at(0), Failed("disconnected")),
            ("cut before output", story().disconnect_at(FIRST), Failed("disconnected")),
            ("ended before output", story().end_at(FIRST), Failed("disconnected")),
            ("nested error", broken(ErrorEvent::Nested, "server_error"), Failed("server_error")),
            ("flat error", broken(ErrorEvent::Flat, "slow_down"), Failed("rate_limit_exceeded")),
            ("untyped error", broken(ErrorEvent::Untyped, "server_error"), Failed("server_error")),
        ];
        let thrice = thrice.map(|(name, reply, end)| Case::new(name, reply, end).calls(3));
        let stalled = story().stall_at(FIRST);
        let stalled = [Case::new("stalled before output", stalled, Failed("timeout"))
            .calls(3)
            .client(|client| client.idle_timeout(IMPATIENT))];
        let quota = "insufficient_quota";
        let once = [
            ("no JSON", story().malformed_at(FIRST), End::Answered("Once upon")),
            ("nested quota", broken(ErrorEvent::Nested, quota), Failed(quota)),
            ("flat quota", broken(ErrorEvent::Flat, quota), Failed(quota)),
            ("untyped quota", broken(ErrorEvent::Untyped, quota), Failed(quota)),
            ("too long", story().padded_at(FIRST, 30_000), Failed("too_large")),
        ];
        let once = once.map(|(name, reply, end)| Case::new(name, reply, end));
        let passing = [Case::once("cut once", story().disconnect_at(FIRST))];
        cases.extend(
            thrice
                .into_iter()
                .chain(stalled)
                .chain(once)
                .chain(passing)
                .map(|case| case.history(history).client(|client| client.max_event_bytes(20_000))),
        );
    }
    check_all(db, cases).await;
}

/// Short enough to wait for. Only clients of servers that say nothing, or something all the time, have it: a busy machine
/// may take as long for an answer.
const IMPATIENT: Duration = Duration::from_millis(1500);

async fn streams_that_break_after_output_keep_it<D: TestDatabase>(db: D) {
    let kept = |reason| End::Kept(reason, "Once upon");
    let failing = |shape| story().failed("server_error", "It broke.").error_event(shape);
    let mut cases = Vec::new();
    for history in BOTH {
        let broken = [
            ("cut", story().disconnect_at(AFTER), kept("disconnected")),
            ("ended", story().end_at(AFTER), kept("disconnected")),
            ("no JSON", story().malformed_at(AFTER), End::Answered("Once upon")),
            ("too long", story().padded_at(AFTER, 30_000), kept("too_large")),
            ("nested error", failing(ErrorEvent::Nested), kept("server_error")),
            ("flat error", failing(ErrorEvent::Flat), kept("server_error")),
            ("untyped error", failing(ErrorEvent::Untyped), kept("server_error")),
            (
                "cut inside an event",
                story().raw_event_at(AFTER, "event: response.output_text.del").end_at(AFTER),
                kept("disconnected"),
            ),
        ];
        cases.extend(broken.map(|(name, reply, end)| {
            Case::new(name, reply, end)
                .history(history)
                .client(|client| client.max_event_bytes(20_000))
        }));
        cases.push(
            Case::new("stalled", story().stall_at(AFTER), kept("timeout"))
                .history(history)
                .client(|client| client.idle_timeout(IMPATIENT)),
        );
    }
    check_all(db, cases).await;
}

async fn what_can_be_read_is_read<D: TestDatabase>(db: D) {
    // Of one, two, three and four bytes.
    const TEXT: &str = "Once é 漢字 🦀 upon";
    let deltas = || Reply::deltas(["Once é", " 漢", "字 🦀", " upon"]);
    let mut cases = Vec::new();
    for bytes in 1..=7 {
        // Lines of both forms, cut at every place.
        let reply = deltas().chunks_of(bytes);
        let reply = if bytes % 3 == 1 { reply } else { reply.crlf().byte_order_mark() };
        cases.push(Case::new(format!("in {bytes}"), reply, End::Answered(TEXT)));
    }
    let delta =
        br#"data: {"type":"response.output_text.delta","item_id":"m","output_index":0,"delta":" "#;
    let invalid = [&delta[..], b"\xff\xe6\xbc\"}\n\n"].concat();
    let once = || Reply::deltas(["Once"]);
    let damaged = once().raw_event_at(5, invalid);
    cases.extend([
        // The end event has the last word.
        Case::new("invalid UTF-8, replaced", damaged.clone(), End::Answered("Once")),
        Case::new(
            "invalid UTF-8, kept",
            damaged.disconnect_at(5),
            End::Kept("disconnected", "Once \u{fffd}\u{fffd}"),
        ),
        Case::new("no event lines", deltas().without_event_lines(), End::Answered(TEXT)),
        Case::new("keepalives", deltas().keepalive_at(2).keepalive_at(7), End::Answered(TEXT)),
        Case::new("comments", deltas().comment_at(2).comment_at(6), End::Answered(TEXT)),
    ]);
    check_all(db, cases).await;
}

fn error(code: &str) -> Value {
    json!({"error": {"message": "It broke.", "type": "some_error", "param": null, "code": code}})
}

async fn refusals_are_final<D: TestDatabase>(db: D) {
    let statuses = [
        (400, "refused"),
        (401, "invalid_api_key"),
        (403, "permission_denied"),
        (404, "refused"),
        (422, "refused"),
    ];
    let mut cases: Vec<Case> = statuses
        .map(|(status, reason)| {
            let reply = Reply::status(status, error("refused"));
            Case::new(format!("HTTP {status}"), reply, End::Failed(reason))
        })
        .into();
    let html = json!("<html>Not here</html>");
    let quota = |status| Reply::status(status, error("insufficient_quota"));
    let quota_end = || End::Failed("insufficient_quota");
    cases.extend([
        Case::new("no code", Reply::status(404, html), End::Failed("unknown_path")),
        Case::new("quota", quota(429).header("retry-after", "1"), quota_end()),
        Case::new("quota, retry", quota(429).header("x-should-retry", "true"), quota_end()),
        Case::new("error with HTTP 200", quota(200), quota_end()),
        Case::new("no object", Reply::status(200, json!([1])), End::Failed("malformed")),
    ]);
    let cases = cases.into_iter().map(|case| case.client(|client| client.max_retries(2)));
    check_all(db, in_each_protocol(cases)).await;
}

fn soon(reply: Reply) -> Reply {
    reply.header("retry-after-ms", "1")
}

async fn passing_troubles_are_tried_again<D: TestDatabase>(db: D) {
    let mut cases = Vec::new();
    for status in [408, 409, 429, 500, 502, 503] {
        let reply = soon(Reply::status(status, error("passing")));
        let case = match status {
            429 => {
                let limited = End::Failed("rate_limit_exceeded");
                Case::new(format!("HTTP {status}"), reply, limited).calls(3)
            }
            503 => Case::new(format!("HTTP {status}"), reply, End::Failed("server_error")).calls(3),
            _ => Case::once(format!("HTTP {status}"), reply),
        };
        cases.push(case.client(|client| client.max_retries(2)));
    }
    let locked = || soon(Reply::status(400, error("conversation_locked")));
    let overloaded = soon(Reply::status(503, json!({}))).rate_limits(0, 0);
    cases.extend(
        [
            Case::once("locked", locked()),
            Case::new("locked", locked(), End::Failed("conversation_locked")).calls(2),
            Case::new("without a body", overloaded, End::Failed("server_error")).calls(2),
            Case::once("no answer", Reply::hang_up()),
            Case::new("no answer", Reply::hang_up(), End::Failed("disconnected")).calls(2),
            Case::new("no head", Reply::status(500, json!({})).stall_at(0), End::Failed("timeout"))
                .calls(2)
                .client(|client| client.idle_timeout(IMPATIENT)),
        ]
        .map(|case| case.client(|client| client.max_retries(1))),
    );
    let passing = soon(Reply::status(500, error("passing")));
    // The client repeats only what surely did nothing, and leaves the rest to the run, which looks first.
    cases.push(Case::once("a conversation", passing).history(History::Conversation));
    check_all(db, in_each_protocol(cases)).await;
}

async fn the_server_decides_whether_and_when_to_try_again<D: TestDatabase>(db: D) {
    let busy = || Reply::status(429, error("rate_limit_exceeded"));
    let limited = End::Failed("rate_limit_exceeded");
    let cases = [
        Case::once("no wish", busy()),
        Case::once("in a second", busy().header("retry-after", "1")),
        Case::once("a date", busy().header("retry-after", "Mon, 23 Nov 2026 12:00:00 GMT")),
        Case::once(
            "in 1 ms rather",
            busy().header("retry-after-ms", "1").header("retry-after", "3600"),
        ),
        Case::new("in an hour", busy().header("retry-after", "3600"), limited.clone()),
        Case::new("never", busy().header("x-should-retry", "false"), limited),
        Case::new(
            "not the server's fault",
            Reply::status(500, error("broken")).header("x-should-retry", "false"),
            End::Failed("server_error"),
        ),
        Case::once(
            "a wish",
            soon(Reply::status(400, error("flaky"))).header("x-should-retry", "true"),
        ),
    ];
    let cases = cases.map(|case| case.client(|client| client.max_retries(1)));
    let started = std::time::Instant::now();
    check_all(db, in_each_protocol(cases)).await;
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(1), "a second was asked for, not {waited:?}");
    assert!(waited < Duration::from_mins(1), "an hour is not waited for");
}

async fn a_slow_provider_is_waited_for<D: TestDatabase>(db: D) {
    let late = || story().first_token_after(Duration::from_secs(2));
    let every = Duration::from_millis(200);
    let told = || End::Answered("Once upon");
    let cases = [
        Case::new("silent", late(), told()),
        Case::new("keepalives", late().keepalive_every(every), told())
            .client(|client| client.idle_timeout(IMPATIENT)),
        Case::new("comments", late().comment_every(every), told())
            .client(|client| client.idle_timeout(IMPATIENT)),
    ];
    check_all(db, in_each_protocol(cases)).await;
}

async fn addresses_without_a_provider_are_named<D: TestDatabase>(db: D) {
    let (_held, closed) = closed();
    let plain = FakeOpenAi::start().await.unwrap();
    let tls = plain.base_url().replace("http://", "https://");
    let mut cases = Vec::new();
    for history in BOTH {
        cases.extend(
            [
                Case::elsewhere("refused", format!("http://{closed}/v1"), "connection_failed"),
                Case::elsewhere("no TLS", tls.clone(), "connection_failed"),
            ]
            .map(|case| case.history(history)),
        );
        // A proxy would look the name up, and have an answer of its own.
        if !["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].iter().any(is_set) {
            let unknown = "http://provider.invalid/v1".to_owned();
            cases.push(Case::elsewhere("unknown", unknown, "connection_failed").history(history));
        }
    }
    check_all(db, in_each_protocol(cases)).await;
    assert_eq!(plain.requests(), []);
}

fn is_set(name: &&str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

async fn redirects_are_not_followed<D: TestDatabase>(db: D) {
    let other = FakeOpenAi::start().await.unwrap();
    let target = format!("{}/responses?key={API_KEY}", other.base_url());
    let mut cases = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let reply = Reply::redirect(status, target.clone());
        cases.push(Case::new(format!("HTTP {status}"), reply, End::Failed("redirected")));
    }
    let own = Reply::redirect(308, "/v2/responses");
    cases.push(Case::new("on the same host", own, End::Failed("redirected")));
    check_all(db, in_each_protocol(cases)).await;
    assert_eq!(other.requests(), [], "nobody else hears of the key");
}
