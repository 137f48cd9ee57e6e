//! An owner may refuse a run, and nothing of it is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ai_engine::testing::Reply;
use ai_engine::{
    AssistantThread, BeforeRun, Error, Money, Refusal, Result, Run, RunProposal, RunStatus,
    prelude::*,
};
use chrono::DateTime;

use super::prices;
use crate::support::*;

on_each_database!(
    what_is_refused_leaves_nothing,
    a_refusal_leaves_the_hosts_transaction_usable,
    an_owner_refuses_by_what_was_used,
    a_request_that_is_repeated_does_not_ask_again,
    owners_that_say_nothing_are_not_loaded_for_it,
);

struct Ward {
    id: i32,
}

ai_engine::record! { Ward { id: i32 } as "Ward" }

#[derive(Debug, Clone, Default)]
struct Rule {
    closed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    loaded: Arc<AtomicUsize>,
}

impl MessageHooks for Ward {
    fn ai_engine_before_run(
        &self,
        run: &RunProposal<'_>,
        cx: &mut BeforeRun<'_>,
    ) -> Result<(), Refusal> {
        let rule = cx.state::<Rule>()?;
        rule.asked.fetch_add(1, Ordering::SeqCst);
        if rule.closed.load(Ordering::SeqCst) {
            return Err(Refusal::new(format!(
                "{} is closed for {:?}",
                run.definition.model, run.content
            )));
        }
        let used = self.usage_in(cx.session, DateTime::UNIX_EPOCH)?;
        if used.total.known_cost >= Money::from_nanos(240_000) {
            return Err(Refusal::new("used up"));
        }
        Ok(())
    }
}

impl Threadable for Ward {}

async fn start<D: TestDatabase>(db: D) -> (Host<D>, AssistantThread, Rule) {
    let host = Host::new(db).await;
    let rule = Rule::default();
    let (state, loaded) = (rule.clone(), Arc::clone(&rule.loaded));
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.prices(prices(1, 1)).state(state).owner::<Ward>(move |_, id| {
            loaded.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Ward { id }))
        })
    });
    let host = Host { engine, ..host };
    let thread = Ward { id: 3 }.assistant_threads(&host.engine).create().await.unwrap();
    (host, thread, rule)
}

fn stored<D: TestDatabase>(host: &Host<D>) -> [i64; 3] {
    ["runs", "messages", "assistants"]
        .map(|table| host.db.number(&format!("SELECT count(*) FROM ai_engine_{table}")))
}

async fn what_is_refused_leaves_nothing<D: TestDatabase>(db: D) {
    let (host, thread, rule) = start(db).await;
    let ask = || host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
    rule.closed.store(true, Ordering::SeqCst);
    let refused = [
        ask().await.map(|answer| answer.run),
        ask().submit().await,
        ask().enqueue().await,
        ask().stream().await.map(|_| unreachable!()),
    ];
    for refused in refused {
        let error: Error = refused.unwrap_err();
        let Error::Refused { reason, .. } = &error else { panic!("{error}") };
        assert_eq!(reason, "test-model is closed for \"Tell me\"");
        assert_eq!((error.http_status(), &error.public_message()), (403, reason));
    }
    assert_eq!((stored(&host), host.fake.requests().len()), ([0, 0, 0], 0));

    // What takes another one's place is asked for as well.
    rule.closed.store(false, Ordering::SeqCst);
    host.fake.reply(Reply::text("Once").usage(1, 1));
    let answer = ask().await.unwrap();
    let before = stored(&host);
    rule.closed.store(true, Ordering::SeqCst);
    let question =
        thread.messages(&host.engine).list(ai_engine::Page::default()).await.unwrap().remove(0);
    let again: [Result<Run>; 2] = [
        answer.run.regenerate(&host.engine).submit().await,
        thread.edit(&host.engine, &question, "Other").submit().await,
    ];
    for refused in again {
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    assert_eq!(stored(&host), before);
    let left = thread.turns(&host.engine, ai_engine::Page::default()).await.unwrap().items;
    assert_eq!(left.len(), 1, "the path is as it was");
}

async fn a_refusal_leaves_the_hosts_transaction_usable<D: Raw>(db: D) {
    let (host, thread, rule) = start(db).await;
    rule.closed.store(true, Ordering::SeqCst);
    let extra = Storyteller { id: 8, name: "Dinarzade".to_owned(), model: "m".to_owned() };
    D::begin(&mut host.db.connect(), |conn| {
        conn.insert_storyteller(&extra)?;
        let refused = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit_in(conn);
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
        Ok(())
    })
    .unwrap();
    assert_eq!(stored(&host), [0, 0, 0]);
    assert_eq!(host.db.number("SELECT count(*) FROM storytellers WHERE id = 8"), 1);
}

async fn an_owner_refuses_by_what_was_used<D: TestDatabase>(db: D) {
    let (host, thread, _) = start(db).await;
    for _ in 0..2 {
        host.fake.reply(Reply::text("Once").usage(100, 10));
        let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap().run;
        assert_eq!(run.status, RunStatus::Completed);
    }
    let third = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await;
    assert!(
        matches!(&third, Err(Error::Refused { reason, .. }) if reason == "used up"),
        "{third:?}"
    );
}

async fn a_request_that_is_repeated_does_not_ask_again<D: TestDatabase>(db: D) {
    let (host, thread, rule) = start(db).await;
    host.fake.reply(Reply::text("Once").usage(1, 1));
    let ask = || host.teller.ai_engine_run(&host.engine, &thread, "Tell me").idempotency_key("k");
    let first = ask().await.unwrap().run;
    rule.closed.store(true, Ordering::SeqCst);
    assert_eq!(ask().submit().await.unwrap().id, first.id);
    assert_eq!(rule.asked.load(Ordering::SeqCst), 1);
}

async fn owners_that_say_nothing_are_not_loaded_for_it<D: TestDatabase>(db: D) {
    struct Quiet(i32);
    ai_engine::record! { Quiet(i32) as "Quiet" }
    impl MessageHooks for Quiet {}
    impl Threadable for Quiet {}

    let host = Host::new(db).await;
    let loaded = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&loaded);
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.owner::<Quiet>(move |_, id| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Quiet(id)))
        })
    });
    let thread = Quiet(3).assistant_threads(&engine).create().await.unwrap();
    // Once to find out, and then for its hooks alone.
    for expected in [2, 3, 4] {
        host.fake.reply(Reply::text("Once"));
        host.teller.ai_engine_run(&engine, &thread, "Tell me").await.unwrap();
        assert_eq!(loaded.load(Ordering::SeqCst), expected);
    }
}
