//! What whoever runs the app sees.

use ai_engine::schema::ai_engine_workers as workers;
use ai_engine::testing::Reply;
use chrono::Utc;
use diesel::prelude::*;

use super::world::World;
use crate::database::transaction;

super::on_both! {
    workers_that_died_are_not_at_work_and_calls_are_summed
    an_idle_process_is_not_said_to_be_none
}

async fn an_idle_process_is_not_said_to_be_none(world: World) {
    let mut ada = world.signed_in("Ada").await;
    let page = ada.get("/operations").await;
    assert!(page.data("worker").is_empty());
    assert!(page.body.contains("nothing is being written. This process is up"), "{}", page.body);
}

async fn workers_that_died_are_not_at_work_and_calls_are_summed(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let now = Utc::now().timestamp_millis();
    transaction!(world.app.db, |conn| {
        for (id, ends) in [("dead", now - 1_000), ("alive", now + 60_000)] {
            diesel::insert_into(workers::table)
                .values((
                    workers::id.eq(id),
                    workers::started_at.eq(now - 9_000),
                    workers::lease_ends_at.eq(ends),
                ))
                .execute(conn)?;
        }
    })
    .unwrap();
    for _ in 0..2 {
        world.fake.reply(Reply::text("Once upon a time").usage(100, 50));
        ada.ask(&thread, "Tell me one", None).await;
        world.until_answered(ada.get(&thread).await.run()).await;
    }
    let page = ada.get("/operations").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let at_work = page.data("worker");
    assert!(at_work.contains(&"alive".to_owned()), "{at_work:?}");
    assert!(!at_work.contains(&"dead".to_owned()), "{at_work:?}");
    let day = Utc::now().date_naive().to_string();
    assert!(page.body.contains("Of the conversations that are still there."), "{}", page.body);
    let row = page.body.split("<tr>").find(|row| row.contains(&format!(">{day}</td>")));
    let row = row.unwrap_or_else(|| panic!("{}", page.body));
    for cell in ["<td class=\"model\"><bdi>gpt-6-luna<", ">2<", ">300<"] {
        assert!(row.contains(cell), "{cell}: {row}");
    }
}
