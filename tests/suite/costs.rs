//! G19: every call counts once, at the prices that held when it ended; what is not known is none; what a run may take is held to.

mod budgets;
mod refusals;
mod reports;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Costs, Error, Money, Price, PriceList, RunStatus, prelude::*};
use chrono::NaiveDate;
use serde_json::json;

use crate::support::*;

on_each_database!(
    what_was_paid_stays_when_prices_change,
    what_is_not_known_is_none_and_never_free,
    a_cancelled_answer_is_paid_for_as_far_as_can_be_told,
    an_answer_that_was_lost_is_paid_for,
    a_call_of_a_dead_process_is_paid_for,
    what_was_refused_costs_nothing,
    the_providers_tools_are_charged_for,
    a_container_is_charged_for_once_in_a_run_whoever_goes_on_with_it,
);

pub(crate) fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

/// A thousand billionths for a token of input, two thousand for one of output; so many times that.
pub(crate) fn prices(times: u32, on: u32) -> PriceList {
    let price = Price::per_million(times, 2 * times).cached(f64::from(times) / 10.0);
    let builder = PriceList::builder("ours", day(on)).model("test-model", price);
    builder.model("other-model", Price::per_million(5, 7)).build().unwrap()
}

#[allow(clippy::unnecessary_wraps, reason = "a cost may be unknown")]
pub(crate) fn nanos(nanos: i64) -> Option<Money> {
    Some(Money::from_nanos(nanos))
}

fn parts(costs: Costs) -> [Option<i64>; 3] {
    [costs.input_cost, costs.output_cost, costs.tool_cost].map(|cost| cost.map(Money::nanos))
}

async fn what_was_paid_stays_when_prices_change<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once").usage(100, 10));
    let first = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let paid = [Some(100_000), Some(20_000), Some(0)];
    assert_eq!((parts(first.run.costs), first.run.priced_on), (paid, Some(day(1))));
    assert_eq!(parts(first.message().unwrap().costs), paid);
    assert_eq!(
        (first.run.cost(), first.message().unwrap().cost()),
        (nanos(120_000), nanos(120_000))
    );

    let dearer = engine(&host.db, &host.fake, &host.hub, |builder| builder.prices(prices(10, 2)));
    host.fake.reply(Reply::text("upon").usage(100, 10));
    let second = host.teller.ai_engine_run(&dearer, &thread, "Go on").await.unwrap();
    assert_eq!((second.run.cost(), second.run.priced_on), (nanos(1_200_000), Some(day(2))));

    let turns = thread.turns(&dearer, ai_engine::Page::default()).await.unwrap().items;
    let shown = turns.iter().map(|turn| {
        let run = turn.run.as_ref().unwrap();
        (run.cost(), run.priced_on, turn.messages[1].cost())
    });
    let expected = [
        (nanos(120_000), Some(day(1)), nanos(120_000)),
        (nanos(1_200_000), Some(day(2)), nanos(1_200_000)),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected, "as they were paid");
    assert_eq!(turns[0].messages[0].cost(), nanos(0), "nobody wrote the question for money");
    assert_eq!(dearer.find_run(first.run.id).await.unwrap().cost(), nanos(120_000));
    assert_eq!(json!(first.run)["costs"]["input_cost"], "0.0001", "exact in JSON as well");
}

async fn what_is_not_known_is_none_and_never_free<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once").usage(100, 10));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!((answer.run.cost(), answer.run.priced_on), (None, None));
    assert_eq!((answer.message().unwrap().cost(), answer.run.usage.input_tokens), (None, 100));
    let used = thread.usage(&host.engine).await.unwrap().total;
    assert_eq!((used.cost(), used.calls, used.unpriced_calls), (None, 1, 1));
    assert_eq!((used.known_cost, used.usage.input_tokens), (Money::ZERO, 100));
}

async fn a_cancelled_answer_is_paid_for_as_far_as_can_be_told<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let run = run.cancel(&host.engine).await.unwrap();
    let (usage, cost) = (run.usage, run.cost());
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (11, 2, true));
    assert_eq!(cost, nanos(11 * 1_000 + 2 * 2_000));
    let used = thread.usage(&host.engine).await.unwrap();
    assert_eq!((used.total.cost(), used.total.usage.estimated), (cost, true));
    gate.open();
}

async fn an_answer_that_was_lost_is_paid_for<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("lost").disconnect_at(3));
    let failed = json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "output": [],
        "error": {"code": "server_error", "message": "no"}, "usage": {"input_tokens": 5, "output_tokens": 1}}});
    host.fake.reply(Reply::deltas([""]).raw_event_at(0, format!("data: {failed}\n\n")).end_at(1));
    host.fake.reply(Reply::text("Once upon").usage(20, 3));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.attempts, 3);
    // The first is estimated by what was sent, the second says it, and so does the third.
    assert_eq!(answer.run.cost(), nanos(11 * 1_000 + (5 * 1_000 + 2_000) + (20 * 1_000 + 6_000)));
    assert_eq!(answer.message().unwrap().cost(), nanos(26_000));
    let used = thread.usage(&host.engine).await.unwrap();
    assert_eq!((used.total.cost(), used.total.calls), (answer.run.cost(), 3));
}

async fn a_call_of_a_dead_process_is_paid_for<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    until(|| {
        host.db.texts("SELECT content AS line FROM ai_engine_messages WHERE role = 'assistant'")
            == ["Once "]
    })
    .await;
    host.db.execute(
        "UPDATE ai_engine_runs SET lease_owner = 'dead', fencing_token = fencing_token + 1",
    );
    let other = engine(&host.db, &host.fake, &host.hub, |builder| builder.prices(prices(1, 2)));
    assert_eq!(other.recover().await.unwrap().settled, 1);
    let ended = other.find_run(run.id).await.unwrap();
    assert_eq!((ended.status, ended.usage.estimated), (RunStatus::Incomplete, true));
    assert_eq!((ended.cost(), ended.priced_on), (nanos(11 * 1_000 + 2 * 2_000), Some(day(2))));
    gate.open();
}

async fn what_was_refused_costs_nothing<D: TestDatabase>(db: D) {
    // Nor does it matter that no list has the model.
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let body = json!({"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
    host.fake.reply(Reply::status(404, body));
    let error = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
    let Error::RunFailed { run_id, .. } = error else { panic!("{error}") };
    assert_eq!(host.engine.find_run(run_id).await.unwrap().cost(), nanos(0));
}

async fn the_providers_tools_are_charged_for<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| {
        let luna =
            Price::per_million(1, 2).tier(ai_engine::ServiceTier::Flex, "0.5").web_searches(10);
        builder
            .prices(PriceList::builder("ours", day(1)).model("test-model", luna).build().unwrap())
    })
    .await;
    let thread = host.thread().await;
    let ask = || {
        let request = host.teller.ai_engine_run(&host.engine, &thread, "What is new?");
        request.definition(|usual| usual.parameter("service_tier", "flex"))
    };
    let search = json!({"type": "web_search_call", "id": "w", "status": "completed",
        "action": {"type": "search", "query": "news"}});
    host.fake.reply(Reply::text("Nothing.").item(search).usage(100, 10));
    let run = ask().await.unwrap().run;
    // It says that it served the call as usual, whatever was asked for.
    assert_eq!(parts(run.costs), [Some(100_000), Some(20_000), Some(10_000_000)]);
    // A picture has a price that nothing tells.
    let picture = json!({"type": "image_generation_call", "id": "i", "status": "completed", "result": "aGk="});
    host.fake.reply(Reply::text("See.").item(picture).usage(100, 10));
    assert_eq!(ask().await.unwrap().run.cost(), None);
}

async fn a_container_is_charged_for_once_in_a_run_whoever_goes_on_with_it<D: TestDatabase>(db: D) {
    let list = || {
        let price = Price::per_million(1, 2).container(3);
        PriceList::builder("ours", day(1)).model("test-model", price).build().unwrap()
    };
    let host = Host::with(db, |builder| builder.prices(list())).await;
    let thread = host.thread().await;
    let ran = |id: &str| {
        json!({"type": "code_interpreter_call", "id": id, "status": "completed",
            "container_id": "cntr_1", "code": "1", "outputs": []})
    };
    let weigh =
        json!({"type": "function_call", "call_id": "c", "name": "weigh", "arguments": "{}"});
    host.fake.reply(Reply::text("Let me see.").item(ran("a")).item(weigh).usage(100, 10));
    let clerk = ai_engine::AssistantDefinition::new("test-model").tool(json!({
        "type": "function", "name": "weigh", "parameters": {"type": "object", "properties": {}},
    }));
    let request = host.teller.ai_engine_run(&host.engine, &thread, "How heavy?");
    let run = request.definition(move |_| clerk.clone()).await.unwrap().run;
    assert_eq!(run.status, RunStatus::RequiresAction);
    // Another process goes on.
    let other = engine(&host.db, &host.fake, &host.hub, |builder| builder.prices(list()));
    host.fake.reply(Reply::text("Two kilos.").item(ran("b")).usage(100, 10));
    let call = thread.pending(&other).await.unwrap().remove(0);
    other.submit_output(call.id, json!(2)).await.unwrap();
    let run = other.answer(run.id).await.unwrap().run;
    assert_eq!(run.status, RunStatus::Completed);
    assert_eq!(parts(run.costs), [Some(200_000), Some(40_000), Some(3_000_000_000)]);
    until_announced(&host.db).await;
}
