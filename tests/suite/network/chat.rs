//! What networks do to the stream of a chat completion. There is no last event with all of the answer, so what was lost on the
//! way is lost, and the run says so.

use ai_engine::openai::Protocol;
use ai_engine::testing::{ErrorEvent, Reply};

use super::case::{Case, End, check_all};
use super::{IMPATIENT, story};
use crate::support::*;

on_each_database!(
    streams_that_break_before_output_are_asked_for_again,
    streams_that_break_after_output_keep_it,
    what_can_be_read_is_read,
);

/// The number of the chunk with the first text, of the one after the last, which ends the answer, and of the one behind it.
const FIRST: usize = 1;
const AFTER: usize = 3;
const BEHIND: usize = 4;

fn over_chat(cases: impl IntoIterator<Item = Case>) -> Vec<Case> {
    let limited = |case: Case| {
        case.protocol(Protocol::ChatCompletions).client(|client| client.max_event_bytes(20_000))
    };
    cases.into_iter().map(limited).collect()
}

async fn streams_that_break_before_output_are_asked_for_again<D: TestDatabase>(db: D) {
    use End::Failed;
    let broken = |shape: ErrorEvent, code: &str| {
        Reply::deltas([""; 0]).failed(code, "It broke.").error_event(shape)
    };
    let thrice = [
        ("cut at the start", story().disconnect_at(0), Failed("disconnected")),
        ("cut before output", story().disconnect_at(FIRST), Failed("disconnected")),
        ("ended before output", story().end_at(FIRST), Failed("disconnected")),
        ("nested error", broken(ErrorEvent::Nested, "server_error"), Failed("server_error")),
        ("flat error", broken(ErrorEvent::Flat, "slow_down"), Failed("rate_limit_exceeded")),
        ("untyped error", broken(ErrorEvent::Untyped, "server_error"), Failed("server_error")),
    ];
    let thrice = thrice.map(|(name, reply, end)| Case::new(name, reply, end).calls(3));
    let stalled = [Case::new("stalled", story().stall_at(FIRST), Failed("timeout"))
        .calls(3)
        .client(|client| client.idle_timeout(IMPATIENT))];
    let quota = "insufficient_quota";
    let once = [
        ("nested quota", broken(ErrorEvent::Nested, quota), Failed(quota)),
        ("flat quota", broken(ErrorEvent::Flat, quota), Failed(quota)),
        ("too long", story().padded_at(FIRST, 30_000), Failed("too_large")),
    ];
    let once = once.map(|(name, reply, end)| Case::new(name, reply, end));
    let passing = [Case::once("cut once", story().disconnect_at(FIRST))];
    check_all(db, over_chat(thrice.into_iter().chain(stalled).chain(once).chain(passing))).await;
}

async fn streams_that_break_after_output_keep_it<D: TestDatabase>(db: D) {
    let kept = |reason| End::Kept(reason, "Once upon");
    let failing = |shape| story().failed("server_error", "It broke.").error_event(shape);
    let broken = [
        ("cut", story().disconnect_at(AFTER), kept("disconnected")),
        ("ended", story().end_at(AFTER), kept("disconnected")),
        ("no JSON", story().malformed_at(AFTER), kept("malformed")),
        ("too long", story().padded_at(AFTER, 30_000), kept("too_large")),
        ("nested error", failing(ErrorEvent::Nested), kept("server_error")),
        ("flat error", failing(ErrorEvent::Flat), kept("server_error")),
        ("untyped error", failing(ErrorEvent::Untyped), kept("server_error")),
        (
            "cut inside a chunk",
            story().raw_event_at(AFTER, "data: {\"choices\": [").end_at(AFTER),
            kept("disconnected"),
        ),
    ];
    let broken = broken.map(|(name, reply, end)| Case::new(name, reply, end));
    let stalled = Case::new("stalled", story().stall_at(AFTER), kept("timeout"))
        .client(|client| client.idle_timeout(IMPATIENT));
    check_all(db, over_chat(broken.into_iter().chain([stalled]))).await;
}

async fn what_can_be_read_is_read<D: TestDatabase>(db: D) {
    // Of one, two, three and four bytes.
    const TEXT: &str = "Once é 漢字 🦀 upon";
    let deltas = || Reply::deltas(["Once é", " 漢", "字 🦀", " upon"]);
    let whole = || End::Answered("Once upon");
    let mut cases: Vec<Case> = (1..=7)
        .map(|bytes| {
            let reply = deltas().chunks_of(bytes);
            let reply = if bytes % 3 == 1 { reply } else { reply.crlf().byte_order_mark() };
            Case::new(format!("in {bytes}"), reply, End::Answered(TEXT))
        })
        .collect();
    cases.extend([
        Case::new("comments", deltas().comment_at(1).comment_at(3), End::Answered(TEXT)),
        // It said why the answer ended: nothing of it is missing.
        Case::new("cut behind the end", story().disconnect_at(BEHIND), whole()),
        Case::new("without usage and [DONE]", story().end_at(BEHIND), whole()),
        Case::new("in one piece", story().ignore_stream(), whole()),
        Case::new("thoughts", story().thoughts("Let me see."), whole()),
        Case::new("other thoughts", story().thoughts("Hm.").thoughts_field("reasoning"), whole()),
    ]);
    check_all(db, over_chat(cases)).await;
}
