//! Runs that do not end well.

use serde_json::{Value, json};

use super::{
    ErrorEvent, Reply, error_of,
    threads::{call, names, run_of, setting, text_of},
};

#[tokio::test]
async fn a_run_is_cancelled_or_expires() {
    let (fake, client, ask, thread) = setting().await;
    let path = format!("/threads/{thread}/runs");
    for (status, reason) in [("cancelled", "run_cancelled"), ("expired", "run_expired")] {
        // A gate of its own for each.
        let begun = format!("{status}: ");
        fake.reply(Reply::text(format!("{begun}never said")).hold_after(&begun));
        let stop = async {
            fake.held(&begun).await;
            let run = fake.thread_runs(&thread).unwrap().pop().unwrap();
            let here = format!("{path}/{}", run["id"].as_str().unwrap());
            if status == "expired" {
                fake.expire_runs();
            } else {
                let (code, cancelling) = client.post(&format!("{here}/cancel"), json!({})).await;
                assert_eq!((code, &cancelling["status"]), (200, &json!("cancelling")));
            }
            client.get(&here).await.1
        };
        let ((events, clean), stopped) = tokio::join!(client.run_events(&path, ask.clone()), stop);
        assert!(clean);
        assert_eq!((&stopped["status"], run_of(&events)), (&json!(status), &stopped));
        let message = fake.thread_messages(&thread).unwrap().pop().unwrap();
        assert_eq!(
            (&message["status"], text_of(&message).as_str()),
            (&json!("incomplete"), &*begun)
        );
        assert_eq!(message["incomplete_details"]["reason"], reason);
        assert!(names(&events).contains(&"thread.message.incomplete"), "{events:?}");
        fake.release(&begun);
        let again = client
            .post(&format!("{path}/{}/cancel", stopped["id"].as_str().unwrap()), json!({}))
            .await;
        assert_eq!(error_of(&again).2, format!("Cannot cancel run with status '{status}'."));
    }
    fake.reply(Reply::text("").item(call()).without_message());
    client.run_events(&path, ask.clone()).await;
    fake.expire_runs();
    let run = fake.thread_runs(&thread).unwrap().pop().unwrap();
    assert_eq!((&run["status"], &run["required_action"]), (&json!("expired"), &Value::Null));
    assert_eq!(client.post(&path, ask).await.0, 200, "the thread is free");
}

#[tokio::test]
async fn runs_fail_and_stop_short() {
    let (fake, client, ask, thread) = setting().await;
    let path = format!("/threads/{thread}/runs");
    let failed = || Reply::text("One two").failed("server_error", "Sorry.");
    let last_error = json!({"code": "server_error", "message": "Sorry."});
    for shape in [ErrorEvent::Nested, ErrorEvent::Flat, ErrorEvent::Untyped] {
        fake.reply(failed().error_event(shape));
        let (events, _) = client.run_events(&path, ask.clone()).await;
        let last = match shape {
            ErrorEvent::Nested => "done",
            ErrorEvent::Flat => "error",
            ErrorEvent::Untyped => "thread.run.step.failed",
        };
        assert_eq!(names(&events).pop(), Some(last));
        let run = fake.thread_runs(&thread).unwrap().pop().unwrap();
        assert_eq!((&run["status"], &run["last_error"]), (&json!("failed"), &last_error));
    }
    fake.reply(Reply::deltas([""; 0]).failed("rate_limit_exceeded", "Slow down."));
    let (events, _) = client.run_events(&path, ask.clone()).await;
    assert_eq!(names(&events)[3..], ["thread.run.failed", "done"], "no message is begun");
    fake.reply(Reply::text("One two").incomplete("max_output_tokens"));
    let (events, _) = client.run_events(&path, ask.clone()).await;
    assert_eq!(run_of(&events)["incomplete_details"]["reason"], "max_completion_tokens");
    let message = fake.thread_messages(&thread).unwrap().pop().unwrap();
    assert_eq!(message["incomplete_details"]["reason"], "max_tokens");
    fake.reply(Reply::text("One").keepalive_at(3).ignore_stream());
    let mut ask = ask;
    ask["stream"] = json!(true);
    assert_eq!(client.post(&path, ask).await.1["object"], "thread.run");
}
