//! The span of a run while it is driven, in the names of OpenTelemetry's conventions for generative AI
//! (<https://github.com/open-telemetry/semantic-conventions-genai>, 0.1), and the event at its end. Fields of ours begin with
//! `ai_engine`. No text of a conversation is in them; `content.rs` has what a host may ask for beside them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::flight::Flight;
use crate::engine::core::Core;
use crate::model::{Messageable, RunRow, RunStatus};

/// Whoever filters by target finds runs by this one.
const TARGET: &str = "ai_engine::run";

/// `caller`: the span to be a child of, unless the host's tracing system knows a better one.
pub(super) fn begin(core: &Core, row: &RunRow, caller: Option<&Span>) -> Span {
    let of = Messageable::of(row.assistant_thread_id, row.chat_id);
    let conversation = match of {
        Messageable::AssistantThread(id) => format!("assistant_thread:{id}"),
        Messageable::Chat(id) => format!("chat:{id}"),
    };
    let agent = row.assistant_name.as_deref().filter(|_| row.assistant_id.is_some());
    let (operation, kind, name) = match agent {
        Some(agent) => ("invoke_agent", "internal", format!("invoke_agent {agent}")),
        None if row.assistant_id.is_some() => ("invoke_agent", "internal", "invoke_agent".into()),
        None => ("chat", "client", format!("chat {}", row.model)),
    };
    let server = core.remotes().find(row.provider.as_deref());
    let server = server.and_then(|remote| remote.provider.server());
    let waited = chrono::Utc::now() - row.created_at;
    let context = row.submission.as_ref().and_then(|known| known.trace_context.as_deref());
    let span = tracing::info_span!(
        target: TARGET,
        parent: caller.and_then(Span::id),
        "run",
        otel.name = name,
        otel.kind = kind,
        otel.status_code = Empty,
        gen_ai.operation.name = operation,
        // Of servers that speak its protocol as well: who they are, `server.address` tells.
        gen_ai.provider.name = "openai",
        gen_ai.request.model = row.model,
        gen_ai.request.stream = true,
        gen_ai.conversation.id = conversation,
        gen_ai.agent.name = agent,
        server.address = server.map(|(host, _)| host),
        server.port = server.and_then(|(_, port)| port),
        gen_ai.response.id = Empty,
        gen_ai.response.model = Empty,
        gen_ai.response.time_to_first_chunk = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.cache_write.input_tokens = Empty,
        gen_ai.usage.reasoning.output_tokens = Empty,
        gen_ai.input.messages = Empty,
        gen_ai.output.messages = Empty,
        "error.type" = Empty,
        ai_engine.run.id = row.id,
        ai_engine.run.status = Empty,
        ai_engine.run.reason = Empty,
        ai_engine.run.provider = Empty,
        ai_engine.run.attempts = Empty,
        ai_engine.run.queued_ms = waited.num_milliseconds().max(0),
        ai_engine.run.first_word_ms = Empty,
        ai_engine.usage.estimated = Empty,
        ai_engine.traceparent = context,
    );
    if let (Some(door), Some(context), false) =
        (&core.options().trace_context, context, span.is_disabled())
        && catch_unwind(AssertUnwindSafe(|| door.adopt(&span, context))).is_err()
    {
        tracing::error!(run = row.id, "the host's trace context panicked");
    }
    span
}

/// The end of a run that was stored.
pub(super) fn end(core: &Core, flight: &Flight, span: &Span) {
    let (claimed_at, first_word, call) =
        flight.log(|log| (log.claimed_at, log.first_word, log.call.clone()));
    let since_claim = |at: tokio::time::Instant| claimed_at.map(|claimed| ms(at - claimed));
    let first_word_ms = first_word.and_then(|(at, _)| since_claim(at));
    let duration_ms = since_claim(tokio::time::Instant::now());
    // Not under its lock: whoever listens to spans is the host's.
    let run = flight.transcript.look(|seen| seen.run.clone());
    let (status, usage) = (run.status.as_str(), run.usage);
    let reason = run.reason.as_deref();
    span.record("ai_engine.run.status", status);
    span.record("ai_engine.run.reason", reason);
    span.record("ai_engine.run.attempts", run.attempts);
    span.record("ai_engine.run.first_word_ms", first_word_ms);
    span.record("ai_engine.usage.estimated", usage.estimated);
    span.record("gen_ai.usage.input_tokens", usage.input_tokens);
    span.record("gen_ai.usage.output_tokens", usage.output_tokens);
    span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens);
    span.record("gen_ai.usage.cache_write.input_tokens", usage.cache_write_tokens);
    span.record("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
    if let Some((_, after)) = first_word {
        span.record("gen_ai.response.time_to_first_chunk", after.as_secs_f64());
    }
    if let Some(call) = &call {
        // Of whoever was asked last, who may be another than at first: it answered, if any did.
        let last = core.remotes().find(Some(&call.provider));
        let server = last.and_then(|remote| remote.provider.server());
        span.record("ai_engine.run.provider", &call.provider);
        span.record("gen_ai.request.model", &call.asked_model);
        span.record("server.address", server.map(|(host, _)| host));
        span.record("server.port", server.and_then(|(_, port)| port));
        span.record("gen_ai.response.id", call.remote_id.as_deref());
        span.record("gen_ai.response.model", call.model.as_deref());
    }
    // A cancelled run, or one at its token limit, is as it was asked to be.
    if run.status == RunStatus::Failed || run.error.is_some() {
        span.record("error.type", reason.unwrap_or("_OTHER"));
        span.record("otel.status_code", "ERROR");
    }
    span.in_scope(|| {
        tracing::info!(
            target: TARGET,
            run = run.id,
            status,
            reason,
            input_tokens = usage.input_tokens,
            output_tokens = usage.output_tokens,
            estimated = usage.estimated,
            attempts = run.attempts,
            duration_ms,
            first_word_ms,
            "the run ended"
        );
    });
}

/// Milliseconds.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
