use serde_json::{Value, json};

use super::*;

fn chat(items: Value) -> Value {
    of(None, &items_of(items), false).unwrap().into()
}

fn items_of(items: Value) -> Vec<Item> {
    let Value::Array(items) = items else { panic!("no list") };
    items.into_iter().map(Item::from).collect()
}

fn said(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": text})
}

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{}"})
}

fn output(id: &str, text: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": text})
}

fn thought() -> Value {
    json!({"type": "reasoning", "summary": [], "encrypted_content": "e"})
}

fn calls(content: impl Into<Value>, ids: &[&str]) -> Value {
    let content = content.into();
    let function = json!({"name": "look", "arguments": "{}"});
    let calls = ids.iter().map(|id| json!({"id": id, "type": "function", "function": function}));
    json!({"role": "assistant", "content": content, "tool_calls": calls.collect::<Vec<_>>()})
}

fn tool(id: &str, text: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": text})
}

fn plain(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[test]
fn a_call_stands_right_before_its_output_whatever_the_order_was() {
    let user = || said("user", "q");
    for (case, items, expected) in [
        (
            "in order",
            json!([user(), call("a"), output("a", "1"), said("assistant", "done")]),
            json!([
                plain("user", "q"),
                calls(Value::Null, &["a"]),
                tool("a", "1"),
                plain("assistant", "done")
            ]),
        ),
        (
            "with something between them",
            json!([user(), call("a"), said("user", "more"), output("a", "1")]),
            json!([
                plain("user", "q"),
                calls(Value::Null, &["a"]),
                tool("a", "1"),
                plain("assistant", "[This answer breaks off here.]"),
                plain("user", "more")
            ]),
        ),
        (
            "the output first",
            json!([user(), output("a", "1"), call("a")]),
            json!([plain("user", "q"), calls(Value::Null, &["a"]), tool("a", "1")]),
        ),
        (
            "two at once",
            json!([user(), call("a"), thought(), call("b"), output("b", "2"), output("a", "1")]),
            json!([
                plain("user", "q"),
                calls(Value::Null, &["a", "b"]),
                tool("a", "1"),
                tool("b", "2")
            ]),
        ),
        (
            "one after the other",
            json!([user(), call("a"), output("a", "1"), call("b"), output("b", "2")]),
            json!([
                plain("user", "q"),
                calls(Value::Null, &["a"]),
                tool("a", "1"),
                calls(Value::Null, &["b"]),
                tool("b", "2"),
            ]),
        ),
        (
            "after words",
            json!([user(), said("assistant", "I look."), call("a"), output("a", "1")]),
            json!([plain("user", "q"), calls(json!("I look."), &["a"]), tool("a", "1")]),
        ),
        (
            "a call without an output, an output without a call",
            json!([user(), call("a"), output("b", "2")]),
            json!([plain("user", "q")]),
        ),
        (
            "a question behind outputs: the turn of the assistant ends in words",
            json!([user(), call("a"), output("a", "1"), user()]),
            json!([
                plain("user", "q"),
                calls(Value::Null, &["a"]),
                tool("a", "1"),
                plain("assistant", "[This answer breaks off here.]"),
                plain("user", "q"),
            ]),
        ),
        (
            "one id in two turns",
            json!([
                user(),
                call("a"),
                output("a", "1"),
                said("assistant", "x"),
                user(),
                call("a"),
                output("a", "2"),
            ]),
            json!([
                plain("user", "q"),
                calls(Value::Null, &["a"]),
                tool("a", "1"),
                plain("assistant", "x"),
                plain("user", "q"),
                calls(Value::Null, &["a"]),
                tool("a", "2"),
            ]),
        ),
    ] {
        assert_eq!(chat(items), expected, "{case}");
    }
}

#[test]
fn neighbours_of_one_role_are_one_message_and_what_has_no_form_is_left_out() {
    let picture = json!({"type": "input_image", "image_url": "https://x/a.png"});
    let with_picture = json!({"type": "message", "role": "user", "content": [picture]});
    let items = json!([
        said("user", "a"),
        thought(),
        said("user", "b"),
        with_picture,
        json!({"type": "web_search_call", "id": "ws_1"}),
        said("assistant", "c"),
        json!({"type": "compaction", "encrypted_content": "e"}),
        said("assistant", "d"),
        json!({"type": "custom_tool_call", "call_id": "x", "name": "f", "input": ""}),
        json!({"type": "custom_tool_call_output", "call_id": "x", "output": "1"}),
        said("user", "e"),
    ]);
    let parts = json!([
        {"type": "text", "text": "a\n\nb"}, {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
    ]);
    let expected = json!([
        {"role": "user", "content": parts}, plain("assistant", "c\n\nd"), plain("user", "e"),
    ]);
    assert_eq!(chat(items), expected);
}

#[test]
fn system_texts_are_one_message_in_front_or_in_their_places() {
    let items = items_of(json!([
        said("system", "Be brief."),
        said("user", "a"),
        said("developer", "Be kind."),
        said("user", "b"),
    ]));
    let of = |in_place| Value::from(of(Some("You sing."), &items, in_place).unwrap());
    let front =
        json!([plain("system", "You sing.\n\nBe brief.\n\nBe kind."), plain("user", "a\n\nb")]);
    assert_eq!(of(false), front);
    let in_place = json!([
        plain("developer", "You sing."),
        plain("system", "Be brief."),
        plain("user", "a"),
        plain("developer", "Be kind."),
        plain("user", "b"),
    ]);
    assert_eq!(of(true), in_place);
}

#[test]
fn parts_have_this_protocols_form() {
    for (part, expected) in [
        (json!({"type": "input_text", "text": "a"}), json!({"type": "text", "text": "a"})),
        (
            json!({"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}),
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}),
        ),
        (
            json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}),
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}),
        ),
        (
            json!({"type": "input_file", "file_id": "file-1"}),
            json!({"type": "file", "file": {"file_id": "file-1"}}),
        ),
        (
            json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}),
            json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}),
        ),
    ] {
        // One part of text alone is a text.
        let picture = json!({"type": "input_image", "image_url": "u"});
        let items = json!([{"role": "user", "content": [part, picture]}]);
        assert_eq!(chat(items)[0]["content"][0], expected);
    }
    let text = json!([{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]);
    assert_eq!(chat(text), json!([plain("user", "a")]));
    let declined =
        json!([{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]);
    assert_eq!(chat(declined), json!([plain("assistant", "no")]));
}

#[test]
fn a_part_without_a_form_is_an_error_in_the_newest_question_and_a_word_in_an_older_one() {
    for part in [
        json!({"type": "input_image", "file_id": "file-1"}),
        json!({"type": "input_file", "filename": "a.pdf", "file_url": "https://x/a.pdf"}),
        json!({"type": "hologram"}),
    ] {
        let question = json!({"role": "user", "content": [part]});
        let error = of(None, &items_of(json!([question])), false).unwrap_err().to_string();
        assert!(
            error.contains(part["type"].as_str().unwrap()) && error.contains("chat_completions"),
            "{error}"
        );
        let sent = chat(json!([question, said("assistant", "x"), said("user", "y")]));
        assert!(
            sent[0]["content"][0]["text"].as_str().unwrap().contains("cannot be shown"),
            "{sent}"
        );
    }
}

#[test]
fn outputs_in_parts_and_blank_arguments_are_texts() {
    let mut blank = call("a");
    blank["arguments"] = json!(" ");
    let parts =
        json!([{"type": "input_text", "text": "1"}, {"type": "input_image", "image_url": "u"}]);
    let output = json!({"type": "function_call_output", "call_id": "a", "output": parts});
    let sent = chat(json!([said("user", "q"), blank, output]));
    assert_eq!(sent[1]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(sent[2]["content"], "1\n[A picture that cannot be shown here.]");
}
