//! What a protocol does not have.

use serde_json::json;

use super::scene::{Scene, builder_of};
use super::{Outcome, Subject};
use crate::openai::Protocol;
use crate::{Error, History};

pub(super) async fn unsupported_is_refused_before_anything_is_sent<S: Subject>(
    subject: &S,
) -> Outcome {
    let scene = Scene::new(subject).await;
    let protocol = subject.client().build().expect("the client").protocol();
    for history in [History::Local, History::Conversation] {
        let has = match protocol {
            Protocol::ChatCompletions => history == History::Local,
            Protocol::Assistants => history == History::Conversation,
            Protocol::Responses => true,
        };
        let client = subject.client().build().expect("the client");
        let built = builder_of(subject, subject.database()).openai(client).history(history).build();
        match built {
            Ok(_) => assert!(has, "{history:?} cannot be had over {protocol}"),
            Err(Error::Configuration(text)) => {
                assert!(!has, "{history:?} can be had over {protocol}: {text}");
                let told = text.contains(protocol.as_str()) && text.contains("History::");
                assert!(told, "the error names the protocol, and the way out: {text}");
            }
            Err(error) => panic!("{history:?} over {protocol}: {error}"),
        }
    }
    // A tool of the newest protocol alone. That one leaves it to the server which tools there are.
    if protocol != Protocol::Responses {
        let thread = scene.thread().await;
        let before = scene.counts();
        let request = scene.request(&thread, "What is new?");
        let request = request.definition(|usual| usual.tool(json!({"type": "web_search"})));
        let refused = request.await;
        let Err(Error::Unsupported { what, .. }) = &refused else {
            panic!("a tool that the protocol does not have is refused, and not: {refused:?}")
        };
        assert!(what.contains("web_search"), "{what}");
        assert_eq!(scene.said(&thread).await, [], "nothing is stored");
        if let (Some(before), Some(now)) = (before, scene.counts()) {
            assert_eq!(now, before, "nothing is sent");
        }
        scene.turn(&thread, "What is old?", "The hills.").await;
    }
    scene.passed().await
}
