//! What a call is in this protocol, and what its run means.

use serde_json::{Value, json};

use super::*;
use crate::model::Item;

#[test]
fn messages_are_what_users_and_assistants_said() {
    let items = [
        Item::message("system", "Be brief."),
        Item::message("user", "Hi"),
        Item::from(
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}),
        ),
        Item::function_call_output("c", "1"),
        Item::message("assistant", " "),
        Item::message("assistant", "Yes?"),
        Item::from(json!({"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "This"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            {"type": "input_image", "file_id": "file-1"},
        ]})),
    ];
    let (said, system) = messages::of(&items).unwrap();
    let expected = json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "[Call c: f({})]"},
        {"role": "user", "content": "[What came of call c:]\n1"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [
            {"type": "text", "text": "This"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            {"type": "image_file", "image_file": {"file_id": "file-1"}},
        ]},
    ]);
    assert_eq!((Value::from(said), system), (expected, vec!["Be brief.".to_owned()]));
}

#[test]
fn what_has_no_form_here_is_refused_in_the_newest_question_alone() {
    for part in [
        json!({"type": "input_image", "image_url": "data:image/png;base64,AA=="}),
        json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}),
        json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}),
    ] {
        let question =
            Item::from(json!({"type": "message", "role": "user", "content": [part.clone()]}));
        let error = messages::of(std::slice::from_ref(&question)).unwrap_err().to_string();
        let kind = part["type"].as_str().unwrap();
        assert!(error.contains(kind) && error.contains("assistants"), "{error}");
        let (said, _) = messages::of(&[question.clone(), Item::message("user", "And?")]).unwrap();
        let text = said[0]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("cannot be shown"), "{text}");
        assert_eq!(messages::listed(question).text(), text, "as it is listed");
    }
}

#[test]
fn a_definition_has_this_protocols_names_and_what_it_lacks_is_refused() {
    let definition = AssistantDefinition::new("m")
        .name("Homer")
        .description("A poet.")
        .instructions("Sing.")
        .temperature(0.5)
        .top_p(0.9)
        .max_output_tokens(500)
        .max_prompt_tokens(1000)
        .reasoning(json!({"effort": "low"}))
        .metadata("tenant", "t")
        .tool(json!({"type": "function", "name": "f", "parameters": {}}))
        .tool(json!({"type": "code_interpreter"}))
        .parameter("tool_choice", "auto");
    settings::check(&definition).unwrap();
    let function = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let tools = json!([function, {"type": "code_interpreter"}]);
    assert_eq!(
        serde_json::to_value(settings::of(&definition)).unwrap(),
        json!({
            "model": "m", "name": "Homer", "description": "A poet.", "instructions": "Sing.", "temperature": 0.5,
            "top_p": 0.9, "reasoning_effort": "low", "tools": tools, "metadata": {"tenant": "t"},
        })
    );
    let run = settings::run(&definition);
    assert_eq!(Value::Object(run.extra.clone()), json!({"tool_choice": "auto"}));
    assert_eq!(
        serde_json::to_value(run).unwrap(),
        json!({
            "assistant_id": "", "model": "m", "instructions": "Sing.", "temperature": 0.5, "top_p": 0.9,
            "reasoning_effort": "low", "max_prompt_tokens": 1000, "max_completion_tokens": 500,
            "tools": tools, "metadata": {"tenant": "t"},
        })
    );
    for (definition, word) in [
        (AssistantDefinition::new("m").tool(json!({"type": "web_search"})), "web_search"),
        (AssistantDefinition::new("m").max_output_tokens(50), "max_output_tokens of 50"),
        (AssistantDefinition::new("m").max_prompt_tokens(50), "max_prompt_tokens of 50"),
    ] {
        let error = settings::check(&definition).unwrap_err();
        assert!(matches!(error, error::Error::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
}
