//! Questions that cannot be asked, and what is shown of those that can.

use ai_engine::prelude::*;
use ai_engine::testing::Reply;
use axum::body::to_bytes;
use axum::http::{Request, header};

use super::world::World;

super::on_both! {
    a_second_picture_is_refused
    a_question_without_anything_to_see_is_none
    a_chosen_storyteller_that_is_gone_is_said_to_be
    a_question_that_is_refused_is_in_its_form_again
    a_question_is_never_an_empty_bubble
    a_title_of_a_models_is_one_line_that_can_be_read
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

async fn a_second_picture_is_refused(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let two = [("picture", "a.png", PNG), ("picture", "b.png", PNG)];
    let refused = ada.ask_with(&thread, &[("teller", "1"), ("text", "Look")], &two).await;
    assert_eq!(refused.status, 422);
    assert!(refused.problem().contains("One picture at a time"), "{}", refused.body);
    // Browsers send an empty one for a field that nothing was chosen in.
    let one = [("picture", "", &b""[..]), ("picture", "b\u{202e}.png", PNG), ("picture", "", b"")];
    let asked = ada.ask_with(&thread, &[("teller", "1"), ("text", "Look")], &one).await;
    assert_eq!(asked.status, 303);
    let page = ada.get(&thread).await;
    assert!(page.body.contains("alt=\"b.png\""), "{}", page.body);
    world.until_answered(page.run()).await;
}

async fn a_question_without_anything_to_see_is_none(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    for (text, said) in [
        ("\u{200b}", "Write something first."),
        ("\u{2060}\u{3164}\n\u{feff}", "Write something first."),
        ("a\0b", "invisible character in this text that cannot be stored"),
        ("\0", "invisible character in this text that cannot be stored"),
    ] {
        let refused = ada.ask(&thread, text, None).await;
        assert_eq!(refused.status, 422, "{text:?}");
        assert!(refused.problem().contains(said), "{text:?}: {}", refused.body);
    }
    assert_eq!(ada.ask_once(&thread, "Hello", None, "k\0").await.status, 422);
    assert_eq!(ada.get(&thread).await.data("run").len(), 0);
}

async fn a_chosen_storyteller_that_is_gone_is_said_to_be(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    ada.get("/account").await;
    for (teller, said) in
        [("77", "The storyteller you chose is gone"), ("", "Choose a storyteller")]
    {
        let refused = ada.ask_with(&thread, &[("teller", teller), ("text", "Hi")], &[]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.problem().contains(said), "{}", refused.body);
    }
}

async fn a_question_that_is_refused_is_in_its_form_again(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let fields = [("name", "Zarathustra"), ("model", "gpt-6-luna")];
    ada.post("/storytellers", &fields).await;
    let text = "<b>Look</b>\r\nat this";
    let long = "x".repeat(crate::messages::MOST_CHARS + 1);
    let large = [PNG, &vec![0; crate::pictures::MOST_BYTES]].concat();
    let none: &[u8] = b"<svg/>";
    for (status, text, shown, teller, picture, said) in [
        (422, text, "&lt;b&gt;Look&lt;&#x2f;b&gt;\nat this", "2", none, "none of the pictures"),
        (413, text, "&lt;b&gt;Look&lt;&#x2f;b&gt;\nat this", "2", &large, "too large"),
        (422, text, "&lt;b&gt;Look&lt;&#x2f;b&gt;\nat this", "77", b"", "chose is gone"),
        (422, "a\0b", "ab", "2", b"", "invisible character"),
        (422, &long, &long, "2", b"", "characters at most"),
    ] {
        let fields = [("text", text), ("teller", teller)];
        let again = ada.ask_with(&thread, &fields, &[("picture", "x.png", picture)]).await;
        assert_eq!(again.status, status, "{said}");
        assert!(again.problem().contains(said), "{said}: {}", again.problem());
        assert!(again.body.contains(&format!("\n{shown}</textarea>")), "{said}");
        let is_chosen = again.body.contains("<option value=\"2\" selected>");
        assert_eq!(is_chosen, teller == "2", "{said}");
    }
    assert_eq!(ada.get(&format!("{thread}/messages")).await.location, thread);
    let chat = ada.post("/chats", &[]).await.location;
    let again = ada.ask_with(&chat, &[("text", "Hello"), ("model", " ")], &[]).await;
    assert_eq!((again.status, again.problem()), (422, "Please write a model."));
    assert!(again.body.contains("\nHello</textarea>"), "{}", again.body);
    assert!(again.body.contains("name=\"model\" value=\"gpt-6-luna\""), "{}", again.body);
    // The script keeps the form itself, and wants the words alone.
    let request = Request::post(format!("{chat}/messages"))
        .header("x-live", "1")
        .header("x-csrf-token", &ada.csrf)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
    let body =
        "--edge\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nHello\r\n--edge--\r\n";
    let response = ada.response(request, body.into()).await;
    assert_eq!(response.status(), 422);
    let page = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let page = String::from_utf8_lossy(&page);
    assert!(page.contains("data-problem>Please write a model.") && !page.contains("<textarea"));
}

async fn a_question_is_never_an_empty_bubble(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    for (text, shown) in [
        ("![my cat](https://e.org/cat.png)", ">my cat</a>"),
        ("[note]: remember-the-milk", "remember-the-milk"),
        ("<ul>\n  <li>milk", "&lt;ul&gt;<br>"),
        ("#", "#</pre>"),
    ] {
        world.fake.reply(Reply::text(text));
        ada.ask(&thread, text, None).await;
        world.until_answered(ada.get(&thread).await.run()).await;
        let page = ada.get(&thread).await.body;
        assert_eq!(page.matches(shown).count(), 2, "the question and its answer: {page}");
    }
}

async fn a_title_of_a_models_is_one_line_that_can_be_read(world: World) {
    let mut ada = world.signed_in("Ada").await;
    let (user, engine) = (world.user("Ada").await, &world.app.engine);
    let chat = user.chats(engine).create().await.unwrap();
    let title = format!("The \u{202e}Light\nhouse {}", "x".repeat(200));
    chat.rename(engine, &title).await.unwrap();
    let shown = format!("The Light house {}", "x".repeat(104));
    let path = format!("/chats/{}", chat.id);
    for page in [&*path, "/chats", &format!("{path}/title")] {
        let body = ada.get(page).await.body;
        assert!(body.contains(&shown) && !body.contains(&format!("{shown}x")), "{page}: {body}");
        assert!(!body.contains('\u{202e}'), "{page}: {body}");
    }
}
