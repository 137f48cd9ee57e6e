//! What an owner used, by model and assistant: of its own alone, each call once.

use ai_engine::testing::Reply;
use ai_engine::{Money, UsageRow, prelude::*};
use chrono::{DateTime, Duration, Utc};

use super::{nanos, prices};
use crate::support::*;

on_each_database!(
    usage_is_told_by_model_and_assistant,
    nobody_sees_what_another_owner_used,
    a_fork_costs_nothing_and_counts_once,
    what_was_used_is_one_statement,
);

const ALWAYS: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn told(row: &UsageRow) -> (Option<&str>, Option<&str>, i64, Option<Money>) {
    (row.model.as_deref(), row.assistant_name.as_deref(), row.calls, row.cost())
}

async fn usage_is_told_by_model_and_assistant<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let nothing = host.user.usage(&host.engine, ALWAYS).await.unwrap();
    assert_eq!((nothing.total.cost(), nothing.rows.len()), (nanos(0), 0), "nothing was paid");
    let thread = host.thread().await;
    for _ in 0..2 {
        host.fake.reply(Reply::text("Once").usage(100, 10));
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    }
    host.fake.reply(Reply::text("Twice").usage(100, 10));
    let request = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
    request.definition(|usual| usual.model("other-model")).await.unwrap();
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    host.fake.reply(Reply::text("Hello").usage(10, 1));
    chat.run(&host.engine, "test-model", "Good morning").await.unwrap();
    host.fake.reply(Reply::text("Hello").usage(7, 1));
    chat.run(&host.engine, "unheard-of", "Good morning").await.unwrap();

    let used = host.user.usage(&host.engine, ALWAYS).await.unwrap();
    let mut rows: Vec<_> = used.rows.iter().map(told).collect();
    rows.sort();
    let teller = Some("Scheherazade");
    let expected = [
        (Some("other-model"), teller, 1, nanos(570_000)),
        (Some("test-model"), None, 1, nanos(12_000)),
        (Some("test-model"), teller, 2, nanos(240_000)),
        (Some("unheard-of"), None, 1, None),
    ];
    assert_eq!(rows, expected);
    let total = &used.total;
    assert_eq!((total.calls, total.cost(), total.unpriced_calls), (5, None, 1));
    assert_eq!(total.known_cost, Money::from_nanos(570_000 + 12_000 + 240_000));
    assert_eq!((total.usage.input_tokens, total.usage.output_tokens), (317, 32));
    let of_thread = thread.usage(&host.engine).await.unwrap();
    assert_eq!((of_thread.total.calls, of_thread.total.cost()), (3, nanos(810_000)));
    assert_eq!(chat.usage(&host.engine).await.unwrap().total.calls, 2);

    let later = host.user.usage(&host.engine, Utc::now() + Duration::hours(1)).await.unwrap();
    assert_eq!((later.total.calls, later.rows.len()), (0, 0), "nothing since then");
    // In the host's transaction as well.
    let owner = host.user.clone();
    let within = host.db.with(move |conn| owner.usage_in(conn.session(), ALWAYS)).unwrap();
    assert_eq!(within, used);
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let left = host.user.usage(&host.engine, ALWAYS).await.unwrap();
    assert_eq!(left.total.calls, 2, "what is deleted takes its costs with it");
}

async fn nobody_sees_what_another_owner_used<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once").usage(100, 10));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let bob = User { id: 2, name: "Bob".to_owned() };
    assert_eq!(bob.usage(&host.engine, ALWAYS).await.unwrap().total.calls, 0);
    assert_eq!(host.user.usage(&host.engine, ALWAYS).await.unwrap().total.calls, 1);
}

async fn a_fork_costs_nothing_and_counts_once<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.prices(prices(1, 1))).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once").usage(100, 10));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let fork = thread.fork_at(&host.engine, answer.message().unwrap()).await.unwrap();
    let copied = fork.turns(&host.engine, ai_engine::Page::default()).await.unwrap().items;
    let run = copied[0].run.as_ref().unwrap();
    assert_eq!((run.cost(), copied[0].messages[1].cost()), (nanos(0), nanos(0)));
    assert_eq!(fork.usage(&host.engine).await.unwrap().total.calls, 0);
    let used = host.user.usage(&host.engine, ALWAYS).await.unwrap();
    assert_eq!((used.total.calls, used.total.cost()), (1, nanos(120_000)));
}

async fn what_was_used_is_one_statement<D: TestDatabase + Raw>(db: D) {
    let host = Host::new(db).await;
    host.thread().await;
    let (other, watched) = watched(&host);
    host.user.usage(&other, ALWAYS).await.unwrap();
    watched.forget();
    host.user.usage(&other, ALWAYS).await.unwrap();
    assert_eq!(watched.reads().len(), 1, "{:?}", watched.reads());
}
