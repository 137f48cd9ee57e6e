//! Streams of events end with the session that opened them.

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;

use super::world::{Browser, World};

super::on_both! {
    a_stream_of_a_session_that_signed_out_ends
    a_stream_of_a_session_that_another_one_replaced_ends
    streams_of_a_deleted_account_end
}

async fn stream(browser: &mut Browser, thread: &str) -> BodyDataStream {
    let request = Request::get(format!("{thread}/events"));
    let answer = browser.response(request, Body::empty()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    answer.into_body().into_data_stream()
}

/// What comes until its end.
async fn rest(mut body: BodyDataStream) -> String {
    let mut read = String::new();
    while let Some(bytes) = body.next().await {
        read.push_str(&String::from_utf8_lossy(&bytes.unwrap()));
    }
    read
}

/// What is asked now is told by this stream.
async fn goes_on(browser: &mut Browser, thread: &str, body: &mut BodyDataStream) {
    browser.ask(thread, "Tell me one", None).await;
    let mut read = String::new();
    while !read.contains("event: run_settled") {
        let bytes = body.next().await.expect("the stream goes on").unwrap();
        read.push_str(&String::from_utf8_lossy(&bytes));
    }
}

async fn a_stream_of_a_session_that_signed_out_ends(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let mut elsewhere = world.signed_in("Ada").await;
    let (mut bob, other) = world.with_thread("Bob").await;
    let (here, again) = (stream(&mut ada, &thread).await, stream(&mut ada, &thread).await);
    let mut there = stream(&mut elsewhere, &thread).await;
    let mut bobs = stream(&mut bob, &other).await;
    ada.get("/account").await;
    assert_eq!(ada.post("/sign-out", &[]).await.location, "/sign-in");
    for body in [here, again] {
        rest(body).await;
    }
    // Another browser of the same user is signed in still.
    goes_on(&mut elsewhere, &thread, &mut there).await;
    goes_on(&mut bob, &other, &mut bobs).await;
}

async fn a_stream_of_a_session_that_another_one_replaced_ends(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let body = stream(&mut ada, &thread).await;
    ada.get("/sign-in").await;
    assert_eq!(ada.post("/sign-in", &[("name", "Bob")]).await.status, 303);
    rest(body).await;
}

async fn streams_of_a_deleted_account_end(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let mut elsewhere = world.signed_in("Ada").await;
    let bodies = [stream(&mut ada, &thread).await, stream(&mut elsewhere, &thread).await];
    ada.get("/account").await;
    assert_eq!(ada.post("/account/delete", &[("sure", "yes")]).await.location, "/sign-in");
    for body in bodies {
        rest(body).await;
    }
}
