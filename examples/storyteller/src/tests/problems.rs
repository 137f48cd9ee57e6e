//! What goes wrong has a page, with the way back.

use axum::body::Body;
use axum::http::{Request, header};
use diesel::connection::SimpleConnection;

use super::world::World;
use crate::database::transaction;

super::on_both! {
    every_problem_has_a_page_with_the_navigation
    a_database_that_fails_is_not_the_users_fault
    only_known_names_of_the_app_are_answered
}

async fn every_problem_has_a_page_with_the_navigation(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    for path in ["/nothing", "/threads/abc", "/stories/9999999999999", "/assets/x", "/sign-out"] {
        let page = ada.get(path).await;
        assert_eq!((page.status, page.problem().is_empty()), (404, false), "{path}");
        assert!(page.body.contains("<nav") && page.body.contains("Ada"), "{}", page.body);
    }
    ada.get("/account").await;
    let page = ada.post("/threads/abc/rename", &[("title", "x")]).await;
    assert_eq!((page.status, page.problem().is_empty()), (404, false));
    ada.get("/account").await;
    let page = ada.post(&format!("{thread}/messages"), &[("text", "not of this form")]).await;
    assert!(page.status >= 400 && page.problem().contains("could not be read"), "{page:?}");
    assert!(page.body.contains("<nav"), "{}", page.body);
    let mut stranger = world.browser();
    let page = stranger.get("/nothing").await;
    assert_eq!(page.status, 404);
    assert!(!page.body.contains("<nav") && !page.problem().is_empty(), "{}", page.body);
}

async fn a_database_that_fails_is_not_the_users_fault(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    ada.get(&thread).await;
    let form = ada.clone();
    let away = "ALTER TABLE storytellers RENAME TO away";
    transaction!(world.app.db, |conn| conn.batch_execute(away)?).unwrap();
    let boundary = "--edge\r\nContent-Disposition: form-data; name=";
    let body = format!(
        "{boundary}\"csrf\"\r\n\r\n{}\r\n{boundary}\"text\"\r\n\r\nHi\r\n{boundary}\"teller\"\r\n\r\n1\r\n--edge--\r\n",
        form.csrf
    );
    let request = Request::post(format!("{thread}/messages"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
    let response = ada.response(request, body.into()).await;
    assert!(response.status().as_u16() >= 500, "{}", response.status());
}

async fn only_known_names_of_the_app_are_answered(mut world: World) {
    let mut settings = (*world.app.settings).clone();
    settings.host = Some("stories.example".to_owned());
    world.app.settings = settings.into();
    world.router = crate::router::of(world.app.clone());
    let mut browser = world.browser();
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:3000", 200),
        ("127.0.0.1:3000", 200),
        ("[::1]:3000", 200),
        ("stories.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example:3000", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ] {
        let request = Request::get("/sign-in").header(header::HOST, host);
        let answer = browser.response(request, Body::empty()).await;
        assert_eq!(answer.status().as_u16(), status, "{host}");
    }
    let twice = Request::get("/sign-in")
        .header(header::HOST, "localhost")
        .header(header::HOST, "evil.example");
    assert_eq!(browser.response(twice, Body::empty()).await.status(), 421);
}
