use proptest::prelude::*;

use super::*;
use crate::openai::event::decode_leniently;
use crate::openai::lenient::Halves;
use crate::openai::secrets::Secrets;

/// What the long way makes of it; `None`: an error.
fn leniently(data: &str) -> Option<(StreamEvent, Halves)> {
    decode_leniently("message", data, &Secrets::default()).ok()
}

/// Whether it is taken; if so, both ways must say the same.
fn is_taken(data: &str) -> bool {
    let read = read(data);
    if let Some(event) = &read {
        assert_eq!(leniently(data), Some((event.clone(), (None, None))), "{data}");
    }
    read.is_some()
}

#[test]
fn what_comes_by_the_thousand_is_taken() {
    for data in [
        r#"{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"Hi","logprobs":[],"obfuscation":"xyz"}"#,
        r#"{"delta":"é😀\n\t\"\\\/\u00e9\ud83d\ude00","type":"response.output_text.delta"}"#,
        r#"{ "type" : "response.refusal.delta" , "delta" : "" , "item_id" : null } "#,
        r#"{"type":"response.function_call_arguments.delta","delta":"{\"a\"","item_id":"fc_1","output_index":2}"#,
        r#"{"type":"response.reasoning_text.delta","delta":"hm","content_index":0}"#,
        r#"{"type":"response.reasoning_summary_text.delta","delta":"hm","summary_index":0}"#,
        r#"{"\u0074ype":"response.output_text\u002edelta","delta":"a","error":{"message":"m"}}"#,
        r#"{"type":"response.output_text.delta","delta":"a","logprobs":[{"token":"a","bytes":[97],"logprob":-0.5e-3}]}"#,
        // What is not asked for may be nearly JSON: the long way leaves it out as well.
        r#"{"type":"response.output_text.delta","delta":"a","obfuscation":"\ud83d","x":1e999}"#,
    ] {
        assert!(is_taken(data), "{data}");
    }
}

#[test]
fn what_is_not_certain_goes_the_long_way() {
    let deep = format!(
        r#"{{"type":"response.output_text.delta","delta":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for data in [
        "",
        "[DONE]",
        "{}",
        deep.as_str(),
        r#"["response.output_text.delta",1,"msg_1",0,0,"a"]"#,
        r#"{"type":{"response.output_text.delta":null},"delta":"a"}"#,
        r#"{"type":"response.output_text.delta"}"#,
        r#"{"type":"response.output_text.delta","delta":null}"#,
        r#"{"type":"response.output_text.delta","delta":"a","delta":"b"}"#,
        r#"{"type":"response.output_text.delta","type":"response.completed","delta":"a"}"#,
        r#"{"type":"response.output_text.delta","delta":"a\u0000"}"#,
        r#"{"type":"response.output_text.delta","delta":"a","item_id":"\u0000"}"#,
        r#"{"type":"response.output_text.delta","delta":"a\ud83d"}"#,
        r#"{"type":"response.output_text.delta","delta":"a","item_id":7}"#,
        r#"{"type":"response.output_text.delta","delta":"a","sequence_number":"7"}"#,
        r#"{"type":"response.output_text.delta","delta":"a","sequence_number":1.0}"#,
        r#"{"type":"response.output_text.delta","delta":"a","sequence_number":9223372036854775808}"#,
        r#"{"type":"response.output_text.delta","delta":"a","output_index":-1}"#,
        r#"{"type":"response.output_text.delta","delta":"a",}"#,
        r#"{"type":"response.output_text.delta","delta":"a","x":NaN}"#,
        r#"{"type":"response.output_text.delta","delta":"a"} 7"#,
        "{\"type\":\"response.output_text.delta\",\"delta\":\"a\nb\"}",
        "\u{a0}{\"type\":\"response.output_text.delta\",\"delta\":\"a\"}",
        r#"{"type":"response.output_text.done","text":"a","delta":"a"}"#,
    ] {
        assert!(!is_taken(data), "{data}");
    }
}

/// The members of an event, and what may stand in them, likely and not.
const NAMES: &[&str] = &[
    "type",
    "delta",
    "item_id",
    "sequence_number",
    "output_index",
    "content_index",
    "error",
    "logprobs",
    r"\u0064elta",
    r"delta\u0000",
    r"\ud83d",
];
const VALUES: &[&str] = &[
    r#""response.output_text.delta""#,
    r#""response.refusal.delta""#,
    r#""response.function_call_arguments.delta""#,
    r#""response.reasoning_text.delta""#,
    r#""error""#,
    r#""a""#,
    r#""\n\"\\é😀\u00e9\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\ude00x""#,
    r#""\u0000""#,
    r#""\x""#,
    "\"a\tb\"",
    "0",
    "7",
    "-0",
    "-1",
    "1.0",
    "1e999",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999",
    "null",
    "true",
    "NaN",
    "[]",
    r#"[{"delta":"\ud83d"},[1,]]"#,
    r#"{"delta":"b"}"#,
    "",
];

/// Mostly an event that is in order, and then something else in it.
fn event() -> impl Strategy<Value = String> {
    let member = (prop::sample::select(NAMES), prop::sample::select(VALUES));
    let odd = prop::collection::vec(member, 0..4);
    let kind = prop::sample::select(&VALUES[..5]);
    let ends = prop::sample::select(&["{}", "[]", " {} ", "{},", "{", "\u{a0}{}"][..]);
    (kind, odd, any::<bool>(), ends).prop_flat_map(|(kind, odd, whole, ends)| {
        let mut members: Vec<String> =
            odd.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        if whole {
            members.push(format!("\"type\":{kind}"));
            members.push(r#""delta":"word ""#.to_owned());
        }
        Just(members).prop_shuffle().prop_map(move |members| {
            let (open, close) = ends.split_at(ends.find(['{', '[']).map_or(0, |at| at + 1));
            format!("{open}{}{close}", members.join(","))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn both_ways_say_the_same(data in event()) {
        is_taken(&data);
    }

    #[test]
    fn whatever_the_text_is(text in any::<String>(), id in any::<Option<String>>(), number in any::<i64>()) {
        let data = serde_json::json!({"type": "response.output_text.delta", "sequence_number": number,
            "item_id": id, "delta": text}).to_string();
        let has_nul = text.contains('\0') || id.is_some_and(|id| id.contains('\0'));
        prop_assert_eq!(is_taken(&data), !has_nul);
    }
}
