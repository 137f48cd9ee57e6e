//! What a page shows of conversations after a reload: their turns, and the list of them by their last activity.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    Busy, Chat, Error, MessageStatus, Page, PageToken, Paged, Reason, Role, RunStatus,
    ThreadSummary, Turn, prelude::*,
};
use serde_json::json;

use crate::support::*;

on_each_database!(
    turns_come_in_pages_and_tell_how_each_run_ended,
    the_turns_of_a_chat_are_its_own,
    a_streaming_answer_is_in_its_turn_with_all_text_that_is_stored,
    turns_off_the_path_are_left_out_and_those_in_one_place_know_each_other,
    conversations_are_listed_by_their_last_activity_with_what_is_seen_of_them,
    a_list_goes_on_where_it_ended_also_when_that_row_is_gone,
    a_row_of_an_earlier_version_has_its_place_by_its_last_change,
    a_list_that_begins_at_an_unknown_row_is_an_error_that_names_it,
);

fn shown(turns: &[Turn]) -> Vec<String> {
    let shown = turns.iter().map(|turn| {
        let said: Vec<&str> = turn.messages.iter().map(|message| &*message.content).collect();
        let status = turn.run.as_ref().map_or("-", |run| run.status.as_str());
        format!("{} {status}: {}", turn.seq, said.join(" / "))
    });
    shown.collect()
}

async fn turns_come_in_pages_and_tell_how_each_run_ended<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = host.thread().await;
    thread.messages(&host.engine).create(Role::System, "Be brief").await.unwrap();
    host.fake.reply(Reply::text("One."));
    host.teller.ai_engine_run(&host.engine, &thread, "First").await.unwrap();
    host.teller.ai_engine_run(&host.engine, &other, "Elsewhere").await.unwrap();
    let refusal = json!({"error": {"message": "no such thing", "type": "invalid_request_error"}});
    host.fake.reply(Reply::status(400, refusal));
    host.teller.ai_engine_run(&host.engine, &thread, "Second").await.unwrap_err();
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Tea", "spoon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Third").submit().await.unwrap();
    host.hub.until_text("Tea").await;
    run.cancel(&host.engine).await.unwrap();
    host.fake.reply(Reply::text("Four.").incomplete("max_output_tokens"));
    host.teller.ai_engine_run(&host.engine, &thread, "Fourth").await.unwrap();

    // As another process, or this one after a restart, reads it.
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let newest = thread.turns(&later, Page::newest(2)).await.unwrap();
    assert_eq!(shown(&newest.items), ["4 cancelled: Third / Tea", "5 incomplete: Fourth / Four."]);
    let fourth = newest.items[1].run.as_ref().unwrap();
    assert_eq!(fourth.reason, Some(Reason::MaxOutputTokens));
    let token: PageToken = newest.next.unwrap().to_string().parse().unwrap();
    let middle = thread.turns(&later, Page::after(token, 2)).await.unwrap();
    assert_eq!(shown(&middle.items), ["2 completed: First / One.", "3 failed: Second"]);
    let second = middle.items[1].run.as_ref().unwrap();
    assert!(second.error.as_ref().unwrap().contains("no such thing"), "{second:?}");
    let oldest = thread.turns(&later, Page::after(middle.next.unwrap(), 2)).await.unwrap();
    assert_eq!((shown(&oldest.items), oldest.next), (vec!["1 -: Be brief".to_owned()], None));
    // A page that ends with the first turn says so; a turn's own number serves as well.
    let all = thread.turns(&later, Page::before(4, 3)).await.unwrap();
    assert_eq!((all.items.len(), all.next), (3, None));
    // A run reads the same wherever it is read.
    assert_eq!(Some(&later.find_run(run.id).await.unwrap()), newest.items[0].run.as_ref());
    assert!(newest.items.iter().all(|turn| turn.siblings.is_empty()));
}

async fn the_turns_of_a_chat_are_its_own<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    // It has the id of the chat.
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "On the thread").await.unwrap();
    let chat: Chat = host.user.chats(&host.engine).create().await.unwrap();
    assert_eq!(chat.id, thread.id);
    for question in ["a", "b", "c"] {
        host.fake.reply(Reply::text(question.to_uppercase()));
        chat.run(&host.engine, "test-model", question).await.unwrap();
    }
    let newest = chat.turns(&host.engine, Page::newest(2)).await.unwrap();
    assert_eq!(shown(&newest.items), ["2 completed: b / B", "3 completed: c / C"]);
    let rest = chat.turns(&host.engine, Page::after(newest.next.unwrap(), 2)).await.unwrap();
    assert_eq!((shown(&rest.items), rest.next), (vec!["1 completed: a / A".to_owned()], None));
    let recent = host.user.chats(&host.engine).recent(Page::default()).await.unwrap();
    assert_eq!((recent.items.len(), &recent.items[0].chat.id), (1, &chat.id));
    assert_eq!(recent.items[0].last_message.as_ref().unwrap().content, "C");
}

async fn a_streaming_answer_is_in_its_turn_with_all_text_that_is_stored<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once "));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.db.execute(
        "UPDATE ai_engine_messages SET status = 'streaming' WHERE role = 'assistant';
         INSERT INTO ai_engine_message_deltas (id, message_id, byte_offset, sequence_number, text)
            SELECT 9001, id, 5, 9, 'upon ' FROM ai_engine_messages WHERE role = 'assistant';
         INSERT INTO ai_engine_message_deltas (id, message_id, byte_offset, sequence_number, text)
            SELECT 9002, id, 10, 10, 'a time' FROM ai_engine_messages WHERE role = 'assistant'",
    );
    let turns = thread.turns(&host.engine, Page::newest(9)).await.unwrap();
    let answer = &turns.items[0].messages[1];
    assert_eq!((answer.status, &*answer.content), (MessageStatus::Streaming, "Once upon a time"));
    let threads = host.user.assistant_threads(&host.engine);
    let recent = threads.recent(Page::newest(9)).await.unwrap();
    assert_eq!(recent.items[0].last_message.as_ref(), Some(answer));
}

async fn turns_off_the_path_are_left_out_and_those_in_one_place_know_each_other<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let mut runs = Vec::new();
    for answer in ["One.", "Two.", "Three.", "Four."] {
        host.fake.reply(Reply::text(answer));
        let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        runs.push(run.run.id);
        host.fake.reply(Reply::text(answer));
        chat.run(&host.engine, "test-model", "Tell me").await.unwrap();
    }
    // The second turn was asked again twice; the last of the three is the one on the path.
    host.db.execute(
        "UPDATE ai_engine_messages SET superseded_at_seq = seq + 1 WHERE seq IN (2, 3);
         UPDATE ai_engine_messages SET parent_seq = 1 WHERE seq IN (2, 3, 4) AND position = 0",
    );
    let page = thread.turns(&host.engine, Page::newest(2)).await.unwrap();
    assert_eq!(shown(&page.items), ["1 completed: Tell me / One.", "4 completed: Tell me / Four."]);
    assert_eq!(page.next, None, "what is left is not on the path");
    assert_eq!(page.items[0].siblings, Vec::<i64>::new());
    assert_eq!(page.items[1].siblings, runs[1..], "those of the chat are not among them");
    let of_chat = chat.turns(&host.engine, Page::newest(2)).await.unwrap();
    assert_eq!(of_chat.items[1].siblings.len(), 3);
    assert!(of_chat.items[1].siblings.contains(&of_chat.items[1].run.as_ref().unwrap().id));
    // One that is alone in its place has no siblings.
    host.db.execute("UPDATE ai_engine_messages SET parent_seq = 0 WHERE seq = 1 AND position = 0");
    let page = thread.turns(&host.engine, Page::newest(2)).await.unwrap();
    assert_eq!(page.items[0].siblings, Vec::<i64>::new());
    // The list shows the end of the path.
    host.db.execute("UPDATE ai_engine_messages SET superseded_at_seq = 5 WHERE seq = 4");
    let threads = host.user.assistant_threads(&host.engine);
    let recent = threads.recent(Page::newest(2)).await.unwrap();
    assert_eq!(recent.items[0].last_message.as_ref().unwrap().content, "One.");
}

fn ids(page: &Paged<ThreadSummary>) -> Vec<i64> {
    page.items.iter().map(|summary| summary.thread.id).collect()
}

async fn conversations_are_listed_by_their_last_activity_with_what_is_seen_of_them<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let (first, second, third) = (host.thread().await, host.thread().await, host.thread().await);
    User { id: 2, name: "Bob".to_owned() }.assistant_threads(&host.engine).create().await.unwrap();
    let recent = threads.recent(Page::default()).await.unwrap();
    assert_eq!(ids(&recent), [third.id, second.id, first.id], "a new one counts as active");
    assert!(recent.items[0].last_message.is_none() && recent.items[0].active_run.is_none());

    host.fake.reply(Reply::text("One."));
    let answer = host.teller.ai_engine_run(&host.engine, &first, "Tell me").await.unwrap();
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Two"]).hold_at(1, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &second, "And you").submit().await.unwrap();
    let behind = host.teller.ai_engine_run(&host.engine, &second, "Then").when_busy(Busy::Queue);
    behind.submit().await.unwrap();
    gate.reached().await;
    let renamed = third.rename(&host.engine, "Not an activity").await.unwrap();
    assert_eq!(renamed.last_activity_at, third.last_activity_at);

    let recent = threads.recent(Page::default()).await.unwrap();
    assert_eq!((ids(&recent), recent.next), (vec![second.id, first.id, third.id], None));
    let [busy, answered, untouched] = &recent.items[..] else { panic!("{recent:?}") };
    assert_eq!(busy.active_run.as_ref().map(|run| run.id), Some(run.id), "the first in line");
    assert_eq!(busy.active_run.as_ref().unwrap().status, RunStatus::InProgress);
    assert_eq!(busy.last_message.as_ref().unwrap().content, "Then");
    assert_eq!(answered.last_message.as_ref(), answer.messages.last());
    assert!(answered.active_run.is_none());
    assert!(answered.thread.last_activity_at > first.last_activity_at);
    assert_eq!(untouched.thread, renamed);
    gate.open();
}

async fn a_list_goes_on_where_it_ended_also_when_that_row_is_gone<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(host.thread().await.id);
    }
    // Some at the very same moment, and some not.
    host.db.execute(
        "UPDATE ai_engine_assistant_threads SET last_activity_at = '2026-01-01 00:00:00.500' WHERE id IN (2, 3, 4);
         UPDATE ai_engine_assistant_threads SET last_activity_at = '2026-01-01 00:00:00.250' WHERE id IN (6, 7)",
    );
    let expected = [5, 1, 4, 3, 2, 7, 6];
    let whole = threads.recent(Page::newest(7)).await.unwrap();
    assert_eq!((ids(&whole), whole.next), (expected.to_vec(), None));
    let mut page = threads.recent(Page::newest(2)).await.unwrap();
    let mut seen = ids(&page);
    while let Some(next) = page.next {
        // The row that the page ended with is gone before the next one is asked for.
        threads.destroy(*seen.last().unwrap()).await.unwrap();
        let token: PageToken = next.to_string().parse().unwrap();
        page = threads.recent(Page::after(token, 2)).await.unwrap();
        seen.extend(ids(&page));
    }
    assert_eq!(seen, expected);
    // By the id of one, as the other lists.
    let behind = threads.recent(Page::before(5, 1)).await.unwrap();
    assert_eq!(ids(&behind), [4], "1 is gone");
}

async fn a_row_of_an_earlier_version_has_its_place_by_its_last_change<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let (first, second, third) = (host.thread().await, host.thread().await, host.thread().await);
    host.db.execute(
        "UPDATE ai_engine_assistant_threads SET last_activity_at = NULL, updated_at = '2026-01-02 00:00:00' WHERE id = 2;
         UPDATE ai_engine_assistant_threads SET last_activity_at = '2026-01-01 00:00:00' WHERE id = 1;
         UPDATE ai_engine_assistant_threads SET last_activity_at = '2026-01-03 00:00:00' WHERE id = 3",
    );
    let recent = threads.recent(Page::default()).await.unwrap();
    assert_eq!(ids(&recent), [third.id, second.id, first.id]);
    second.rename(&host.engine, "Named").await.unwrap();
    second.set_metadata(&host.engine, json!({"a": 1})).await.unwrap();
    let recent = threads.recent(Page::default()).await.unwrap();
    assert_eq!(ids(&recent), [third.id, second.id, first.id], "a name is no activity");
    host.teller.ai_engine_run(&host.engine, &second, "Tell me").await.unwrap();
    let recent = threads.recent(Page::default()).await.unwrap();
    assert_eq!(ids(&recent), [second.id, third.id, first.id]);
}

async fn a_list_that_begins_at_an_unknown_row_is_an_error_that_names_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (user, engine) = (&host.user, &host.engine);
    let (threads, chats) = (user.assistant_threads(engine), user.chats(engine));
    let thread = host.thread().await;
    let foreign = User { id: 2, name: "Bob".to_owned() }.assistant_threads(engine).create().await;
    let foreign = foreign.unwrap().id;
    let (unknown, strange) = (Page::before(99, 5), Page::before(foreign, 5));
    let refused = [
        (thread.messages(engine).list(unknown).await.err(), "message", 99),
        (thread.runs(engine, unknown).await.err(), "run", 99),
        (threads.list(unknown).await.err(), "assistant thread", 99),
        (threads.list(strange).await.err(), "assistant thread", foreign),
        (threads.recent(strange).await.err(), "assistant thread", foreign),
        (chats.list(unknown).await.err(), "chat", 99),
        (chats.recent(unknown).await.err(), "chat", 99),
    ];
    for (error, wanted, missing) in refused {
        let Some(Error::NotFound { what, id, .. }) = error else { panic!("{wanted}: {error:?}") };
        assert_eq!((what, id), (wanted, missing.to_string()));
    }
    let elsewhere = Page::after("turn-4".parse().unwrap(), 5);
    for error in [threads.recent(elsewhere).await.err(), threads.list(elsewhere).await.err()] {
        assert!(matches!(error, Some(Error::Invalid { field: "page token", .. })), "{error:?}");
    }
}
