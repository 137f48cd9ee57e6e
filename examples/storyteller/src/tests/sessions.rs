//! Who is there, and what is refused to everybody else.

use axum::body::Body;
use axum::http::{Request, header};

use super::world::{World, percent_encoded};

super::on_both! {
    a_name_signs_in_and_stays_signed_in_across_a_restart
    a_request_without_the_token_of_its_session_is_refused
    pages_of_another_user_are_not_found
    every_answer_carries_the_policies
    a_session_ends_and_its_copy_with_it
    names_that_cannot_be_read_are_refused
    a_kept_picture_is_shown_only_to_whom_it_may_be
    whoever_is_signed_out_is_told_so_and_not_that_the_form_is_forged
    a_sign_in_leads_to_the_page_that_was_asked_for
    a_form_whose_session_has_ended_leads_back_to_its_page
}

async fn a_form_whose_session_has_ended_leads_back_to_its_page(world: World) {
    let mut stranger = world.browser();
    for (page, to) in [
        (
            "http://localhost:3000/storytellers/1/edit?a=b",
            "/sign-in?next=/storytellers/1/edit%3Fa%3Db",
        ),
        ("http://localhost:3000//evil.example", "/sign-in"),
        ("http://evil.example/storytellers/1/edit", "/sign-in"),
        ("http://localhost:3000@evil.example/", "/sign-in"),
        ("/storytellers/1/edit", "/sign-in"),
        ("nonsense", "/sign-in"),
    ] {
        let request = Request::post("/storytellers/1").header(header::REFERER, page);
        let answer = stranger.response(request, Body::empty()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["location"]),
            (303, &to.parse().unwrap())
        );
    }
}

async fn whoever_is_signed_out_is_told_so_and_not_that_the_form_is_forged(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let mut tab = ada.clone();
    ada.get("/account").await;
    ada.post("/sign-out", &[]).await;
    // Both tabs are of one browser: it has one cookie.
    tab.cookie.clone_from(&ada.cookie);
    let messages = format!("{thread}/messages");
    for to in [&*messages, "/threads", "/sign-out", "/nothing"] {
        let answer = tab.post(to, &[("text", "Hello")]).await;
        assert_eq!((answer.status, &*answer.location), (303, "/sign-in"), "{to}");
        tab.cookie.clone_from(&ada.cookie);
    }
    // Neither is a form of the sign-in page taken from anywhere, nor that of another user.
    assert_eq!(tab.post_with("/sign-in", "nonsense", &[("name", "Eve")]).await.status, 403);
    let mut bob = world.signed_in("Bob").await;
    let csrf = tab.csrf.clone();
    assert_eq!(bob.post_with(&messages, &csrf, &[]).await.status, 403);
}

async fn a_sign_in_leads_to_the_page_that_was_asked_for(world: World) {
    let (_, thread) = world.with_thread("Ada").await;
    let mut again = world.browser();
    let asked = format!("{thread}?older=a%26b");
    let to = again.get(&asked).await.location;
    assert_eq!(
        to,
        format!(
            "/sign-in?next={}",
            asked.replace('%', "%25").replace('?', "%3F").replace('=', "%3D")
        )
    );
    let page = again.get(&to).await;
    assert!(page.body.contains("name=\"next\""), "{}", page.body);
    let next = [("next", &*asked)];
    let refused = again.post("/sign-in", &[&next[..], &[("name", " ")]].concat()).await;
    assert!(refused.status == 422 && refused.body.contains("name=\"next\""), "{refused:?}");
    let signed_in = again.post("/sign-in", &[&next[..], &[("name", "Ada")]].concat()).await;
    assert_eq!(signed_in.location, asked);
    for stranger in
        ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"]
    {
        let mut browser = world.browser();
        let page = browser.get(&format!("/sign-in?next={}", percent_encoded(stranger))).await;
        assert!(page.status == 200 && !page.body.contains("evil"), "{}", page.body);
        let signed_in = browser.post("/sign-in", &[("name", "Eve"), ("next", stranger)]).await;
        assert_eq!(signed_in.location, "/threads", "{stranger}");
    }
    // What changes something is not done by a sign-in.
    let mut stranger = world.browser();
    assert_eq!(stranger.post(&format!("{thread}/delete"), &[]).await.location, "/sign-in");
    assert_eq!(stranger.get("/sign-in?next=/a&next=/b").await.status, 200);
}

async fn a_name_signs_in_and_stays_signed_in_across_a_restart(world: World) {
    let mut stranger = world.browser();
    assert_eq!(stranger.get("/threads").await.location, "/sign-in");
    stranger.get("/sign-in").await;
    let empty = stranger.post("/sign-in", &[("name", "  ")]).await;
    assert_eq!(empty.status, 422);
    assert!(empty.body.contains("Please write a name."), "{}", empty.body);

    let mut ada = world.signed_in("Ada <Lovelace>").await;
    let page = ada.get("/threads").await;
    assert!(page.body.contains("Ada &lt;Lovelace&gt;"), "{}", page.body);
    ada.get("/account").await;

    // The next process signs with the same secret.
    let signer = crate::signer::Signer::kept(&world.app.db).await.unwrap();
    assert!(signer.has_signed("x", &world.app.signer.sign("x")));

    assert_eq!(ada.post("/sign-out", &[]).await.location, "/sign-in");
    assert_eq!(ada.get("/threads").await.location, "/sign-in");
}

async fn a_request_without_the_token_of_its_session_is_refused(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let (mut bob, _) = world.with_thread("Bob").await;
    let forms = [
        "/threads".to_owned(),
        "/sign-out".to_owned(),
        "/account/delete".to_owned(),
        "/storytellers".to_owned(),
        format!("{thread}/delete"),
        format!("{thread}/messages"),
    ];
    for to in &forms {
        for token in ["", "nonsense", &bob.csrf.clone()] {
            let answer = ada.post_with(to, token, &[("sure", "yes"), ("name", "x")]).await;
            assert_eq!(answer.status, 403, "{to} with {token:?}");
        }
    }
    let csrf = std::mem::replace(&mut ada.csrf, "0".repeat(64));
    let asked = ada.post(&format!("{thread}/messages"), &[]).await;
    assert_eq!(asked.status, 403);
    ada.csrf = csrf;
    assert_eq!(ada.get(&thread).await.data("run").len(), 0, "nothing was asked");
    assert_eq!(ada.post("/threads", &[]).await.status, 303, "with the token it is done");
    assert_eq!(bob.get("/threads").await.status, 200);
}

async fn pages_of_another_user_are_not_found(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let png = b"\x89PNG\r\n\x1a\n and so on";
    assert_eq!(ada.ask(&thread, "What is this?", Some(("x.png", png))).await.status, 303);
    let page = ada.get(&thread).await;
    let run = page.run();
    world.until_answered(run).await;
    let picture = page
        .body
        .split("src=\"")
        .find_map(|piece| piece.split('"').next().filter(|src| src.contains("pictures")));
    let picture = picture.unwrap().replace("&#x2f;", "/");
    let shown = ada.get(&picture).await;
    assert_eq!(
        (shown.status, &shown.headers["content-type"]),
        (200, &"image/png".parse().unwrap())
    );

    let mut bob = world.signed_in("Bob").await;
    for path in [
        thread.clone(),
        format!("{thread}/events"),
        format!("{thread}/turns/1"),
        format!("{thread}/title"),
        picture,
        "/storytellers/1".to_owned(),
        "/storytellers/1/edit".to_owned(),
        "/operations".to_owned(),
    ] {
        assert_eq!(bob.get(&path).await.status, 404, "{path}");
    }
    for path in [
        format!("{thread}/rename"),
        format!("{thread}/delete"),
        format!("{thread}/runs/{run}/stop"),
        format!("{thread}/runs/{run}/regenerate"),
        format!("{thread}/runs/{run}/choose"),
        "/storytellers/1".to_owned(),
        "/storytellers/1/delete".to_owned(),
        "/stories/1/delete".to_owned(),
    ] {
        assert_eq!(bob.post(&path, &[("title", "x")]).await.status, 404, "{path}");
    }
    // A run of another thread of one's own neither.
    let other = ada.post("/threads", &[]).await.location;
    assert_eq!(ada.post(&format!("{other}/runs/{run}/regenerate"), &[]).await.status, 404);
    assert_eq!(ada.get("/operations").await.status, 200, "the first user runs the app");
}

async fn every_answer_carries_the_policies(world: World) {
    let mut browser = world.browser();
    for path in ["/sign-in", "/nothing/here", "/assets/app.js", "/assets/nothing"] {
        let answer = browser.get(path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "same-origin");
        assert!(!answer.body.contains(" style=") && !answer.body.contains("<style"), "{path}");
    }
}

async fn a_session_ends_and_its_copy_with_it(world: World) {
    let mut ada = world.signed_in("Ada").await;
    let now = chrono::Utc::now().timestamp();
    for (ends, location) in [(now + 60, ""), (now - 1, "/sign-in")] {
        let text = format!("1.nonce.{ends}");
        let signature = world.app.signer.sign(&format!("session {text}"));
        ada.cookie = format!("storyteller={text}.{signature}");
        assert_eq!(ada.get("/threads").await.location, location);
    }
    let text = format!("1.nonce.{}", now - 1);
    let signature = world.app.signer.sign(&format!("session {text}"));
    ada.cookie = format!("storyteller=1.nonce.{}.{signature}", now + 60);
    assert_eq!(ada.get("/threads").await.location, "/sign-in", "the end is signed, too");
}

async fn names_that_cannot_be_read_are_refused(world: World) {
    let mut stranger = world.browser();
    stranger.get("/sign-in").await;
    for name in ["\u{200b}", "a\u{202e}b", "a\0b"] {
        let again = stranger.post("/sign-in", &[("name", name)]).await;
        assert_eq!(again.status, 422);
        assert!(again.body.contains("without invisible characters"), "{}", again.body);
    }
    let (mut ada, thread) = world.with_thread("Ada").await;
    let refused = ada.post(&format!("{thread}/rename"), &[("title", "\u{200b}")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.problem().contains("without invisible"), "{}", refused.body);
}

async fn a_kept_picture_is_shown_only_to_whom_it_may_be(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    ada.ask(&thread, "What is this?", Some(("x.png", b"\x89PNG\r\n\x1a\n"))).await;
    let page = ada.get(&thread).await;
    world.until_answered(page.run()).await;
    let mut sources = page.body.split("src=\"").map(|piece| piece.split('"').next().unwrap());
    let picture = sources.find(|source| source.contains("pictures")).unwrap();
    let picture = picture.replace("&#x2f;", "/");
    let shown = ada.get(&picture).await;
    assert_eq!(shown.headers["cache-control"], "private, no-cache");
    let tag = shown.headers["etag"].clone();
    let again = || Request::get(&picture).header(header::IF_NONE_MATCH, &tag);
    assert_eq!(ada.response(again(), Body::empty()).await.status(), 304);
    ada.get("/account").await;
    ada.post("/sign-out", &[]).await;
    let answer = ada.response(again(), Body::empty()).await;
    assert_eq!(answer.status(), 303);
}
