use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::chunk::error_of_choice;
use super::*;
use crate::openai::ApiError;
use crate::openai::lenient::{self, Streamed};

/// Whether it is taken; if so, both ways must say the same.
fn is_taken(data: &str) -> bool {
    let Some((read, _)) = read(data) else { return false };
    let (value, halves) = lenient::parse_in_halves(data.as_bytes(), Streamed::CONTENT).unwrap();
    let Value::Object(object) = value else { panic!("{data}") };
    assert_eq!(halves, (None, None), "{data}");
    // It is no error, and of no other protocol.
    assert!(error_of_choice(&object).is_none(), "{data}");
    assert!(object.get("error").is_none_or(Value::is_null), "{data}");
    assert!(object["choices"].is_array() && !ApiError::is_meant(&object), "{data}");
    assert_eq!(read, Chunk::from_object(object), "{data}");
    true
}

/// A chunk with this in its delta.
fn chunk(delta: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":null,"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}],"usage":null,"obfuscation":"x"}}"#
    )
}

#[test]
fn what_comes_by_the_thousand_is_taken() {
    for delta in [
        r#"{"content":"word "}"#,
        r#"{"role":"assistant","content":"","refusal":null}"#,
        r#"{"content":null}"#,
        "{}",
        r#"{"content":"é😀\n\t\"\\\/\u00e9\ud83d\ude00"}"#,
        r#"{"reasoning_content":"hm","content":null}"#,
        r#"{"reasoning":"h\u006d","reasoning_details":[{"type":"reasoning.text","text":"hm"}],"content":""}"#,
        r#"{"reasoning":"one","reasoning_content":"other"}"#,
        r#"{"reasoning":"one","reasoning_content":""}"#,
        r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"arguments":"{\"at\""}},{"function":null}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"","arguments":"1"}}],"content":null}"#,
        r#"{"content":"a","tool_calls":null,"function_call":null}"#,
        r#"{"content":"a","tool_calls":[]}"#,
    ] {
        assert!(is_taken(&chunk(delta)), "{delta}");
    }
    for data in [
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{ "choices" : [ { "index" : null , "delta" : { "content" : "a" } , "finish_reason" : "" } ] } "#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"error":null}"#,
        r#"{"\u0063hoices":[{"delta":{"c\u006fntent":"a"}}],"id":"","model":""}"#,
        // What is not asked for may be nearly JSON: the long way leaves it out as well.
        r#"{"choices":[{"delta":{"content":"a"}}],"y":"\ud83d","x":1e999}"#,
        r#"{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.1}]}}]}"#,
    ] {
        assert!(is_taken(data), "{data}");
    }
}

#[test]
fn what_is_not_certain_goes_the_long_way() {
    for delta in [
        "null",
        "[]",
        r#"["a"]"#,
        r#"{"content":[{"type":"text","text":"a"}]}"#,
        r#"{"content":7}"#,
        r#"{"content":"a","content":"b"}"#,
        r#"{"content":"a\ud83d"}"#,
        r#"{"content":"\ude00a"}"#,
        r#"{"content":"a\u0000"}"#,
        r#"{"reasoning":"\u0000"}"#,
        r#"{"reasoning":{"text":"a"}}"#,
        r#"{"refusal":"no"}"#,
        r#"{"content":"a","annotations":[]}"#,
        r#"{"function_call":{"name":"look","arguments":""}}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"look","arguments":{"at":1}}}]}"#,
        r#"{"tool_calls":[{"index":"0","function":{"name":"look"}}]}"#,
        r#"{"tool_calls":[null]}"#,
        r#"{"tool_calls":[[0,"call_1",{}]]}"#,
        r#"{"tool_calls":{"index":0}}"#,
        r#"{"content":"a",}"#,
        "{\"content\":\"a\nb\"}",
    ] {
        assert!(!is_taken(&chunk(delta)), "{delta}");
    }
    for data in [
        "",
        "[DONE]",
        "{}",
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":{"delta":{"content":"a"}}}"#,
        r#"{"choices":[[0,{"content":"a"},null]]}"#,
        r#"["id","m",[{"delta":{"content":"a"}}]]"#,
        // The tokens come by themselves.
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"x_groq":{"id":"r"}}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"index":-1,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"},"error":{"message":"no"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"error":{"message":"no"}}"#,
        r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"choices":[]}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"id":7}"#,
        r#"{"choices":[{"delta":{"content":"a"}}]} 7"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"x":NaN}"#,
        "\u{a0}{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
    ] {
        assert!(!is_taken(data), "{data}");
    }
}

/// What may stand in a member, likely and not.
const VALUES: &[&str] = &[
    r#""a""#,
    r#""""#,
    r#""\n\"\\é😀\u00e9\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\ude00x""#,
    r#""\u0000""#,
    r#""\x""#,
    "\"a\tb\"",
    "0",
    "1",
    "-0",
    "-1",
    "1.0",
    "1e999",
    "18446744073709551615",
    "99999999999999999999",
    "null",
    "true",
    "NaN",
    "[]",
    "{}",
    r#"[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\""}}]"#,
    r#"[{"function":{"arguments":"\ud83d"}},[1,]]"#,
    r#"[{"index":null,"function":{"name":"\u0000","arguments":{}}},{}]"#,
    r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#,
    r#"{"content":"b"}"#,
    r#"[{"type":"text","text":"b"}]"#,
    "",
];
const OF_CHUNK: &[&str] = &[
    "id",
    "model",
    "usage",
    "x_groq",
    "error",
    "choices",
    "object",
    "type",
    r"\u0069d",
    "i\\u0000d",
];
const OF_CHOICE: &[&str] = &["index", "finish_reason", "error", "message", "logprobs", "delta"];
const OF_DELTA: &[&str] = &[
    "content",
    "reasoning",
    "reasoning_content",
    "tool_calls",
    "refusal",
    "annotations",
    "function_call",
    "role",
    r"c\u006fntent",
    r"\ud83d",
];

/// Members of these names, and one that is in order.
fn members(
    names: &'static [&'static str],
    usual: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let member = (prop::sample::select(names), prop::sample::select(VALUES));
    let odd = prop::collection::vec(member, 0..3);
    (odd, prop::option::weighted(0.9, usual)).prop_flat_map(|(odd, usual)| {
        let odd = odd.into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
        let members: Vec<String> = odd.chain(usual).collect();
        Just(members).prop_shuffle().prop_map(|members| members.join(","))
    })
}

/// Mostly a chunk that is in order, and then something else in it.
fn data() -> impl Strategy<Value = String> {
    let usual = Just(r#""content":"word ""#.to_owned());
    let delta = members(OF_DELTA, usual).prop_map(|delta| format!("\"delta\":{{{delta}}}"));
    let choice = members(OF_CHOICE, delta).prop_map(|choice| format!("{{{choice}}}"));
    let choices = prop::collection::vec(choice, 1..3).prop_flat_map(|choices| {
        // One, as a rule.
        let all = format!("\"choices\":[{}]", choices.join(","));
        let one = format!("\"choices\":[{}]", choices[0]);
        prop_oneof![1 => Just(all), 4 => Just(one)]
    });
    let ends = prop::sample::select(&["{}", "{}", "{}", "[]", " {} ", "{},", "{", "\u{a0}{}"][..]);
    (members(OF_CHUNK, choices), ends).prop_map(|(chunk, ends)| {
        let (open, close) = ends.split_at(ends.find(['{', '[']).map_or(0, |at| at + 1));
        format!("{open}{chunk}{close}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]
    #[test]
    fn both_ways_say_the_same(data in data()) {
        is_taken(&data);
    }

    #[test]
    fn whatever_the_texts_are(text: String, thought: Option<String>, id: Option<String>, reason: Option<String>, arguments: String) {
        let data = json!({"id": id, "model": id, "choices": [{"index": 0, "finish_reason": reason, "delta": {
            "content": text, "reasoning_content": thought,
            "tool_calls": [{"index": 0, "id": id, "function": {"name": reason, "arguments": arguments}}],
        }}]}).to_string();
        let texts = [Some(text), thought, id, reason, Some(arguments)];
        let has_nul = texts.iter().flatten().any(|text| text.contains('\0'));
        prop_assert_eq!(is_taken(&data), !has_nul);
    }
}
