//! Another protocol, another form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::scene::Scene;
use super::{Act, Outcome, Subject};
use crate::openai::Protocol;
use crate::{Content, EngineBuilder, Error, Page, Threadable};

pub(super) async fn switch_of_protocol_in_mid_thread<S: Subject>(subject: &S) -> Outcome {
    let others = subject.other_protocols();
    if others.is_empty() {
        return Outcome::Skipped { why: "there is no other protocol (`other_protocols`)" };
    }
    let others: Vec<_> =
        others.into_iter().map(|client| client.build().expect("a client")).collect();
    let names: Vec<_> = others.iter().map(|client| client.protocol().to_string()).collect();
    let with_others = |builder| {
        let pairs = names.iter().zip(&others);
        pairs.fold(builder, |builder: EngineBuilder<_>, (name, client)| {
            builder.provider(name, client.clone())
        })
    };
    let scene = Scene::with(subject, |client| client, with_others).await;
    let before = subject.held();
    let thread = scene.thread().await;
    let mut said: Vec<(String, String)> = Vec::new();
    // To each other one and back, so that each comes from what another said.
    let route = names.iter().flat_map(|name| [None, Some(name)]).chain([None]);
    for (turn, name) in route.enumerate() {
        let question = format!("Question number {turn}, please?");
        let request = scene.request(&thread, &question);
        let request = match name {
            Some(name) => request.provider(name),
            None => request,
        };
        let (got, answer) = scene.answered(request, &format!("Answer number {turn}.")).await;
        let asked = got.run.provider.as_deref();
        assert_eq!(asked, Some(name.map_or("openai", |name| &**name)), "who was asked");
        let mut texts: Vec<&str> =
            said.iter().flat_map(|(question, answer)| [&**question, &**answer]).collect();
        texts.push(&question);
        scene.assert_shown(&texts);
        said.push((question, answer));
    }
    let turns: Vec<_> = said.iter().map(|(question, answer)| (&**question, &**answer)).collect();
    scene.assert_said(&thread, &turns).await;
    let threads = scene.asker.assistant_threads(&scene.engine);
    threads.destroy(thread.id).await.expect("it can be destroyed");
    scene.forget_answerer().await;
    scene.until_held_again(before).await;
    scene.passed().await
}

/// One red pixel, as a PNG.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

pub(super) async fn pictures_reach_the_model<S: Subject>(subject: &S) -> Outcome {
    if !subject.takes_pictures() {
        return Outcome::Skipped { why: "the model takes no pictures (`takes_pictures`)" };
    }
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let bytes = STANDARD.decode(PIXEL).expect("base64");
    let asked = "Which colour is this?";
    let picture = || Content::text(asked).image("image/png", bytes.clone());
    let protocol = subject.client().build().expect("the client").protocol();
    let before = scene.counts();
    if protocol == Protocol::Assistants {
        // It takes pictures by their addresses alone.
        let refused = scene.request(&thread, picture()).await;
        let Err(Error::RunFailed { message, .. }) = &refused else {
            panic!("a picture that cannot be sent ends the run, and not: {refused:?}")
        };
        assert!(message.contains("picture"), "{message}");
        scene.assert_calls(before, 0, "for what cannot be sent");
        let address = "https://example.org/red.png";
        if subject.act(Act::Say(vec!["Red.".to_owned()])) {
            let linked = Content::text("And this?").image_url(address);
            scene.request(&thread, linked).await.expect("an answer about a picture");
            scene.assert_shown(&["And this?", address]);
        } else {
            scene.leave_out("a picture at an address, which the server would load");
        }
    } else {
        scene.answered(scene.request(&thread, picture()), "Red.").await;
        scene.assert_shown(&[asked, PIXEL]);
        // Where the history is sent, so is the picture.
        scene.turn(&thread, "Are you sure?", "Quite.").await;
        scene.assert_shown(&[asked, PIXEL, "Are you sure?"]);
    }
    let messages = thread.messages(&scene.engine);
    let stored = messages.list(Page::default()).await.expect("a page").remove(0);
    let [part] = &stored.parts[..] else { panic!("one picture, and not: {:?}", stored.parts) };
    assert_eq!(messages.part_bytes(part.id).await.expect("its bytes"), bytes);
    scene.passed().await
}
