//! Asking, and what becomes of it.

use ai_engine::testing::Reply;
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::json;

use super::world::{Browser, World};

super::on_both! {
    words_come_as_they_are_written_and_the_end_is_rendered
    a_page_in_mid_answer_goes_on_where_it_was_rendered_to
    a_second_question_waits_and_its_page_follows_the_first_answer_too
    hostile_output_runs_nothing
    what_failed_is_said_in_our_words_and_can_be_tried_again
    what_is_no_picture_is_refused
    another_answer_takes_the_place_of_the_first
    what_waits_is_told_when_it_comes_and_when_it_goes
    an_old_answer_is_not_asked_for_anew
    a_question_is_counted_as_it_was_written
}

/// Events of the thread from this place on, until one has this text; what was read.
async fn until(browser: &mut Browser, path: &str, text: &str) -> String {
    let mut body = stream(browser, path).await;
    more(&mut body, text).await
}

async fn stream(browser: &mut Browser, path: &str) -> BodyDataStream {
    let response = browser.response(Request::get(path), Body::empty()).await;
    assert_eq!(response.status(), 200, "{path}");
    response.into_body().into_data_stream()
}

/// The same, of a stream that is open.
async fn more(body: &mut BodyDataStream, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let bytes = body.next().await.expect("the stream goes on").unwrap();
        read.push_str(&String::from_utf8_lossy(&bytes));
    }
    read
}

/// The pieces of all answers, put together, without what came before this offset.
fn words(events: &str) -> String {
    let data = events.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = data.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    values.filter_map(|value| value["text"].as_str().map(str::to_owned)).collect()
}

async fn words_come_as_they_are_written_and_the_end_is_rendered(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    world.fake.reply(Reply::text("Once **upon** a time").hold_after("Once **upon** "));
    assert_eq!(ada.ask(&thread, "Tell me one", None).await.location, thread);
    let run = ada.get(&thread).await.run();
    let events = until(&mut ada, &format!("{thread}/events"), "upon").await;
    for secret in ["instructions", "idempotency", "gpt-6-luna", "Tell me one"] {
        assert!(!events.contains(secret), "{secret}: {events}");
    }
    world.fake.release("Once **upon** ");
    world.until_answered(run).await;
    let events = until(&mut ada, &format!("{thread}/events"), "event: run_settled").await;
    assert_eq!(words(&events), "Once **upon** a time");
    let page = ada.get(&thread).await;
    assert!(page.body.contains("Once <strong>upon</strong> a time"), "{}", page.body);
    assert!(page.body.contains("tokens"), "{}", page.body);
    assert_eq!(page.data("state"), ["done"]);
}

async fn a_page_in_mid_answer_goes_on_where_it_was_rendered_to(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    world.fake.reply(Reply::text("Once upon a time").hold_after("Once upon "));
    ada.ask(&thread, "Tell me one", None).await;
    let run = ada.get(&thread).await.run();
    let asked = world.app.engine.find_run(run).await.unwrap();
    asked.until_text(&world.app.engine, "Once upon ").await.unwrap();
    let page = ada.get(&thread).await;
    let shown = page.body.split("<div class=\"text plain\">").nth(1).unwrap();
    let shown = shown.split('<').next().unwrap().to_owned();
    assert_eq!(shown, "Once upon ");
    world.fake.release("Once upon ");
    let after = page.data("after")[0].clone();
    let path = format!("{thread}/events?after={after}");
    let rest = words(&until(&mut ada, &path, "event: run_settled").await);
    assert_eq!(rest, "a time", "every word once");
}

async fn a_second_question_waits_and_its_page_follows_the_first_answer_too(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    world.fake.reply(Reply::text("Once upon a time").hold_after("Once upon "));
    world.fake.reply(Reply::text("The second one"));
    ada.ask(&thread, "Tell me one", None).await;
    let first = world.app.engine.find_run(ada.get(&thread).await.run()).await.unwrap();
    first.until_text(&world.app.engine, "Once upon ").await.unwrap();
    assert_eq!(ada.ask(&thread, "And another", None).await.status, 303);
    let page = ada.get(&thread).await;
    assert_eq!(page.data("state"), ["typing", "queued"]);
    assert!(page.body.contains("Will be answered after the current one."), "{}", page.body);
    world.fake.release("Once upon ");
    let path = format!("{thread}/events?after={}", page.data("after")[0]);
    let rest = words(&until(&mut ada, &path, "one\"").await);
    assert_eq!(rest, "a timeThe second one");
}

async fn hostile_output_runs_nothing(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let hostile = "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1))";
    world.fake.reply(Reply::text(hostile));
    let name = "\"><script>alert(2)</script>.png";
    let png: &[u8] = b"\x89PNG\r\n\x1a\n";
    ada.ask(&thread, "<script>alert(3)</script>", Some((&name.replace('"', "%22"), png))).await;
    let run = ada.get(&thread).await.run();
    world.until_answered(run).await;
    for path in [&*thread, "/threads"] {
        let page = ada.get(path).await.body;
        let scripts: Vec<&str> = page.split("<script").skip(1).collect();
        for script in scripts {
            let ours = ["app.js", "place.js", "composer.js", "turns.js", "live.js"]
                .map(|name| format!(" src=\"/assets/{name}\" defer></script>"));
            assert!(ours.iter().any(|ours| script.starts_with(ours)), "{page}");
        }
        assert!(!page.contains("<img src=x") && !page.contains("href=\"javascript"), "{page}");
    }
}

async fn what_failed_is_said_in_our_words_and_can_be_tried_again(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let words = json!({"error": {"message": "organization org-secret has no money", "code": "insufficient_quota"}});
    world.fake.reply(Reply::status(429, words));
    ada.ask(&thread, "Tell me one", None).await;
    let run = ada.get(&thread).await.run();
    world.until_answered(run).await;
    let page = ada.get(&thread).await;
    assert_eq!(page.data("state"), ["failed"]);
    assert!(page.body.contains("quota is used up"), "{}", page.body);
    assert!(!page.body.contains("org-secret"), "{}", page.body);
    world.fake.reply(Reply::text("Once upon a time"));
    assert_eq!(ada.post(&format!("{thread}/runs/{run}/retry"), &[]).await.status, 303);
    let again = ada.get(&thread).await.run();
    assert_ne!(again, run);
    world.until_answered(again).await;
    let page = ada.get(&thread).await;
    assert_eq!(page.data("state"), ["done"]);
    assert!(page.body.contains("Once upon a time"), "{}", page.body);
}

async fn what_is_no_picture_is_refused(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let svg: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    let refused = ada.ask(&thread, "Look", Some(("x.png", svg))).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("PNG, JPEG, WebP or GIF"), "{}", refused.body);
    let mut large = b"\x89PNG\r\n\x1a\n".to_vec();
    large.resize(crate::pictures::MOST_BYTES + 1, 0);
    assert_eq!(ada.ask(&thread, "Look", Some(("x.png", &large))).await.status, 413);
    large.resize(crate::csrf::MOST_BYTES + 1, 0);
    assert_eq!(ada.ask(&thread, "Look", Some(("x.png", &large))).await.status, 413);
    assert_eq!(ada.ask(&thread, "", None).await.status, 422, "nothing was asked");
    assert_eq!(ada.get(&thread).await.data("run").len(), 0);
}

async fn another_answer_takes_the_place_of_the_first(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    world.fake.reply(Reply::text("The first"));
    world.fake.reply(Reply::text("The second"));
    ada.ask(&thread, "Tell me one", None).await;
    let first = ada.get(&thread).await.run();
    world.until_answered(first).await;
    ada.post(&format!("{thread}/runs/{first}/regenerate"), &[]).await;
    let second = ada.get(&thread).await.run();
    world.until_answered(second).await;
    let page = ada.get(&thread).await;
    assert_eq!(page.data("run"), [second.to_string()]);
    assert!(page.body.contains("2 of 2"), "{}", page.body);
    assert_eq!(ada.post(&format!("{thread}/runs/{first}/choose"), &[]).await.status, 303);
    let page = ada.get(&thread).await;
    assert_eq!(page.data("run"), [first.to_string()]);
    assert!(page.body.contains("The first"), "{}", page.body);
}

async fn what_waits_is_told_when_it_comes_and_when_it_goes(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    world.fake.reply(Reply::text("Once upon a time").hold_after("Once upon "));
    ada.ask(&thread, "Tell me one", None).await;
    let first = world.app.engine.find_run(ada.get(&thread).await.run()).await.unwrap();
    first.until_text(&world.app.engine, "Once upon ").await.unwrap();
    ada.ask(&thread, "And another", None).await;
    let page = ada.get(&thread).await;
    let path = format!("{thread}/events?after={}", page.data("after")[0]);
    let second = page.run();
    let mut tab = ada.clone();
    let mut body = stream(&mut tab, &path).await;
    assert!(more(&mut body, "{\"seqs\":[").await.contains("event: waiting"));
    // The one tab stops it while another one watches.
    assert_eq!(ada.post(&format!("{thread}/runs/{second}/stop"), &[]).await.status, 303);
    more(&mut body, "{\"seqs\":[]}").await;
    world.fake.release("Once upon ");
    world.until_answered(first.id).await;
}

async fn an_old_answer_is_not_asked_for_anew(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let mut runs = Vec::new();
    for words in ["The first", "The second"] {
        world.fake.reply(Reply::text(words));
        ada.ask(&thread, "Tell me one", None).await;
        runs.push(ada.get(&thread).await.run());
        world.until_answered(*runs.last().unwrap()).await;
    }
    for verb in ["regenerate", "retry"] {
        let refused = ada.post(&format!("{thread}/runs/{}/{verb}", runs[0]), &[]).await;
        assert_eq!(refused.status, 409);
        assert!(refused.problem().contains("asked after this answer"), "{}", refused.body);
        ada.get(&thread).await;
    }
    let page = ada.get(&thread).await;
    assert!(page.body.contains("The first") && page.body.contains("The second"));
    assert_eq!(ada.post(&format!("{thread}/runs/{}/regenerate", runs[1]), &[]).await.status, 303);
}

async fn a_question_is_counted_as_it_was_written(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let most = crate::messages::MOST_CHARS;
    // Browsers send the end of a line as two characters.
    let long = format!("{}x", "x\r\n".repeat(most / 2 - 1));
    assert_eq!(ada.ask(&thread, &long, None).await.status, 303);
    world.until_answered(ada.get(&thread).await.run()).await;
    let refused = ada.ask(&thread, &"x".repeat(most + 1), None).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.problem().contains("20000 characters at most; this one has 20001"),
        "{refused:?}"
    );
    let refused = ada.ask_once(&thread, "Hello", None, &"k".repeat(101)).await;
    assert_eq!(refused.status, 422);
    assert!(refused.problem().contains("Load the page again"), "{refused:?}");
}
