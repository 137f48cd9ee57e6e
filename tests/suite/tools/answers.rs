//! Answers as types: told the model, read here, asked for again.

use ai_engine::openai::Protocol;

use super::*;

on_each_database!(
    what_does_not_fit_is_asked_for_again_and_no_more_often_than_said,
    the_form_goes_to_each_protocol_in_its_own_place,
);

/// How warm it is.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Weather {
    degrees: i32,
}

async fn what_does_not_fit_is_asked_for_again_and_no_more_often_than_said<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let ask = || host.teller.ai_engine_run(&host.engine, &thread, "How warm?").output::<Weather>();
    host.fake.reply(Reply::text(r#"{"degrees": "none"}"#));
    host.fake.reply(Reply::text(r#"{"degrees": "few"}"#));
    host.fake.reply(Reply::text(r#"{"degrees": 7}"#));
    let answer = ask().await.unwrap();
    let (weather, answer) = answer.parse_or_repair::<Weather>(&host.engine, 2).await.unwrap();
    assert_eq!((weather, &*answer.text()), (Weather { degrees: 7 }, r#"{"degrees": 7}"#));
    let last = host.fake.requests().pop().unwrap().body.unwrap();
    let told = last["instructions"].as_str().unwrap();
    assert!(
        told.contains("`degrees`: invalid type: string") && told.contains("JSON Schema"),
        "{told}"
    );
    assert_eq!(told.matches("An earlier answer").count(), 1, "{told}");
    let shown: Vec<&Value> = last["input"].as_array().unwrap().iter().collect();
    assert_eq!(shown.len(), 1, "the model is shown the question alone: {shown:?}");
    // One question and one answer are left.
    let said = thread.messages(&host.engine).list(ai_engine::Page::default()).await.unwrap();
    assert_eq!(said.len(), 2);

    for _ in 0..2 {
        host.fake.reply(Reply::text("I cannot."));
    }
    let answer = ask().await.unwrap();
    let before = host.fake.requests().len();
    let refused = answer.parse_or_repair::<Weather>(&host.engine, 1).await;
    let Err(Error::Mismatch { path, text, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((&*path, &*text), ("", "I cannot."));
    assert_eq!(host.fake.requests().len() - before, 1, "asked again once");
}

async fn the_form_goes_to_each_protocol_in_its_own_place<D: TestDatabase>(db: D) {
    for (protocol, name, schema) in [
        (Protocol::Responses, "text", "/format/schema"),
        (Protocol::ChatCompletions, "response_format", "/json_schema/schema"),
    ] {
        let host = Host::speaking(db.another(), protocol).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::text(r#"{"degrees": 7}"#));
        let request = host.teller.ai_engine_run(&host.engine, &thread, "How warm?");
        let answer = request.output::<Weather>().await.unwrap();
        assert_eq!(answer.parse::<Weather>().unwrap(), Weather { degrees: 7 });
        let sent = host.fake.requests().pop().unwrap().body.unwrap();
        let told = sent[name].pointer(schema).unwrap_or_else(|| panic!("{protocol}: {sent}"));
        assert_eq!(told["properties"]["degrees"]["type"], "integer", "{protocol}: {told}");
    }
}
