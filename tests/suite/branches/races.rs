//! Several processes take paths of one conversation at once: each waits for the others or is refused, and what is left is one path.

use std::time::Duration;

use ai_engine::testing::Reply;
use ai_engine::{AiEngine, AssistantThread, Busy, Error, Page, Run, prelude::*};

use super::random::Dice;
use super::{ask, in_each_mode, listed, messages, one_conversation, read_by_the_model};
use crate::support::*;

on_each_database!(whoever_takes_paths_at_once_leaves_one);

/// Does one thing to the conversation, whatever the others do.
async fn act<D: TestDatabase>(
    host: &Host<D>,
    engine: &AiEngine,
    thread: &AssistantThread,
    dice: &mut Dice,
) -> Result<(), Error> {
    let runs: Vec<Run> = thread.runs(engine, Page::default()).await?;
    let run = &runs[dice.below(runs.len())];
    let said = thread.messages(engine).list(Page::default()).await?;
    let message = &said[dice.below(said.len())];
    let busy = [Busy::Reject, Busy::Interrupt][dice.below(2)];
    match dice.below(7) {
        0 => host.teller.ai_engine_run(engine, thread, "q").when_busy(Busy::Queue).await.map(drop),
        1 => host.teller.ai_engine_run(engine, thread, "q").when_busy(busy).await.map(drop),
        2 => run.regenerate(engine).when_busy(busy).await.map(drop),
        3 if message.run_id.is_some() && !message.is_assistant() => {
            thread.edit(engine, message, "p").when_busy(busy).await.map(drop)
        }
        4 => thread.truncate_after(engine, message).await,
        5 => thread.fork_at(engine, message).await.map(drop),
        _ => thread.choose(engine, run).await,
    }
}

/// Turns on the path that do not follow the one before them on it.
fn strays<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Vec<(i64, i64)> {
    let rows = host.db.texts(&format!(
        "SELECT seq || ' ' || coalesce(parent_seq, -1) || ' ' || coalesce(superseded_at_seq, 0) AS line \
         FROM ai_engine_messages WHERE position = 0 AND assistant_thread_id = {} ORDER BY seq",
        thread.id
    ));
    let (mut below, mut last, mut strays) = (0, 0, Vec::new());
    for row in rows {
        let numbers: Vec<i64> = row.split(' ').map(|number| number.parse().unwrap()).collect();
        let (seq, parent, left) = (numbers[0], numbers[1], numbers[2]);
        let parent = if parent < 0 { below } else { parent };
        below = seq;
        if left == 0 {
            if parent != last {
                strays.push((seq, parent));
            }
            last = seq;
        }
    }
    strays
}

async fn whoever_takes_paths_at_once_leaves_one<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        ask(&host, &thread, "q1", "a1").await;
        ask(&host, &thread, "q2", "a2").await;
        for _ in 0..400 {
            host.fake.reply(Reply::text("a"));
        }
        let mode = if host.conversing { "conversation" } else { "local" };
        let engines: Vec<AiEngine> = (0..3)
            .map(|_| {
                engine(&host.db, &host.fake, &Hub::default(), |builder| {
                    builder.history(mode.parse().unwrap())
                })
            })
            .collect();
        let acting = engines.iter().zip(0..).map(|(engine, seed)| {
            let (host, thread) = (&host, &thread);
            async move {
                let mut dice = Dice(seed);
                for _ in 0..20 {
                    let done = act(host, engine, thread, &mut dice);
                    let done = tokio::time::timeout(Duration::from_mins(1), done).await.unwrap();
                    match done {
                        Ok(()) | Err(Error::Busy { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
        });
        futures_util::future::join_all(acting).await;
        assert_eq!(strays(&host, &thread), []);
        let before = listed(&host, &thread).await;
        let said = messages(&host, &thread).await;
        let whole: Vec<i64> =
            said.iter().filter(|said| said.is_assistant()).map(|said| said.seq).collect();
        let mut read: Vec<String> = said
            .iter()
            .filter(|said| whole.contains(&said.seq))
            .map(|said| said.content.clone())
            .collect();
        read.push("last".to_owned());
        ask(&host, &thread, "last", "end").await;
        // Of an answer that was interrupted the model is told so.
        let told = read_by_the_model(&host, &thread).await;
        let told: Vec<&str> = told.iter().filter_map(|text| text.split("\n\n[").next()).collect();
        assert_eq!(told, read, "{before:?}");
        one_conversation(&host).await;
    }
}
