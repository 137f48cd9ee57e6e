//! Background responses, resumed streams and the shapes of errors, against OpenAI's API description.

use ai_engine::testing::{ErrorEvent, FakeOpenAi, Gate, Reply};
use serde_json::{Value, json};

use super::{Description, Raw, as_described, call, check_events, look, reasoning};

fn request(streamed: bool) -> Value {
    json!({
        "model": "m", "background": true, "stream": streamed, "metadata": {"a": "b"},
        "tools": [look()], "input": [{"type": "message", "role": "user", "content": "Hi"}],
    })
}

async fn response(fake: &FakeOpenAi, method: &str, path: &str, body: Option<&Value>) -> Value {
    let answer = Raw::send(fake, method, path, body).await;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    let value = answer.json();
    if let Some(description) = Description::find() {
        description.check("Response", &as_described(value.clone()));
    }
    value
}

#[tokio::test]
async fn background_responses_follow_the_description_in_every_state() {
    let fake = FakeOpenAi::start().await.unwrap();
    let gate = Gate::new();
    fake.reply(Reply::text("I look.").item(reasoning()).hold_at(5, gate.clone()));
    let queued = response(&fake, "POST", "/responses", Some(&request(false))).await;
    assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
    let here = format!("/responses/{}", queued["id"].as_str().unwrap());
    gate.reached().await;
    assert_eq!(response(&fake, "GET", &here, None).await["status"], "in_progress");
    let cancel = format!("{here}/cancel");
    let cancelled = response(&fake, "POST", &cancel, None).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(response(&fake, "POST", &cancel, None).await, cancelled);
    assert_eq!(response(&fake, "GET", &here, None).await, cancelled);

    let mut kept = request(false);
    kept["store"] = json!(false);
    let foreground = json!({"model": "m", "input": "Hi"});
    let foreground = response(&fake, "POST", "/responses", Some(&foreground)).await;
    let synchronous = format!("/responses/{}", foreground["id"].as_str().unwrap());
    for (method, path, body) in [
        ("POST", "/responses", Some(&kept)),
        ("POST", &*format!("{synchronous}/cancel"), None),
        ("GET", &*format!("{synchronous}?stream=true"), None),
        ("GET", &*format!("{here}?stream=true"), None),
    ] {
        let refused = Raw::send(&fake, method, path, body).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        if let Some(description) = Description::find() {
            description.check("ErrorResponse", &refused.json());
        }
    }
}

#[tokio::test]
async fn resumed_streams_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let reply = Reply::text("I look.").item(reasoning()).item(call()).keepalive_at(4);
    for end in [reply.clone(), reply.clone().incomplete("max_output_tokens")] {
        fake.reply(end.disconnect_at(6));
        let cut = Raw::send(&fake, "POST", "/responses", Some(&request(true))).await.events();
        assert_eq!(check_events(description, &cut)[..2], ["response.created", "response.queued"]);
        let id = cut[0]["response"]["id"].as_str().unwrap();
        let path = format!("/responses/{id}?stream=true&starting_after=5");
        let rest = Raw::send(&fake, "GET", &path, None).await.events();
        check_events(description, &rest);
        assert_eq!(rest[0]["sequence_number"], 6);
        let ended = &rest.last().unwrap()["response"];
        let now = response(&fake, "GET", &format!("/responses/{id}"), None).await;
        assert_eq!(*ended, now, "the stream's last word is what is kept");
    }
}

#[tokio::test]
async fn errors_in_a_stream_have_the_shapes_that_are_known() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    for background in [false, true] {
        for shape in [ErrorEvent::Nested, ErrorEvent::Flat, ErrorEvent::Untyped] {
            fake.reply(Reply::text("Once").failed("server_error", "It broke.").error_event(shape));
            let mut body = request(true);
            body["background"] = json!(background);
            let mut events = Raw::send(&fake, "POST", "/responses", Some(&body)).await.events();
            let last = events.pop().unwrap();
            match shape {
                ErrorEvent::Flat => description.check("ResponseErrorEvent", &last),
                ErrorEvent::Untyped => description.check("ErrorResponse", &last),
                _ => assert_eq!(check_events(description, &[last]), ["response.failed"]),
            }
            check_events(description, &events);
        }
    }
}
