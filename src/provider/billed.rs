//! What of an answer is charged for beside its tokens, by the provider's word.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::Item;
use crate::openai::Response;

/// What is charged for beside the counts of a [`Usage`](crate::model::Usage).
///
/// * The tier is that of the response (schema `Response`, `service_tier`), which may be another one than was asked for.
/// * Tokens of the cache are told apart by how long they are kept (`input_tokens_details.cache_write_tokens_details`), and those of
///   sound from those of text (Chat Completions, schema `CompletionUsage`).
/// * Searches in the web are those that the response counts (`tool_usage.web_search.num_requests`); where it counts none, the calls
///   of the output whose action is a search: that a page is opened, or looked through, has no fee.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Billed {
    /// The word for how it was served.
    pub(crate) tier: Option<String>,
    pub(crate) long_cache_writes: i64,
    pub(crate) audio_input: i64,
    pub(crate) audio_output: i64,
    pub(crate) web_searches: i64,
    pub(crate) file_searches: i64,
    /// The containers that code ran in, by their ids.
    pub(crate) containers: HashSet<String>,
    /// What has a price that nothing here tells.
    pub(crate) beyond: bool,
}

/// The kind of an item that code ran for, in a container.
pub(crate) const CODE_INTERPRETER: &str = "code_interpreter_call";

/// The container of such an item, by its id.
pub(crate) fn container_of(item: &Value) -> Option<&str> {
    item["container_id"].as_str()
}

impl Billed {
    pub(super) fn of(response: &Response) -> Self {
        let usage = response.usage.unwrap_or_default();
        let text = |name: &str| response.raw.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut billed = Self {
            tier: text("service_tier").filter(|tier| !tier.is_empty()),
            long_cache_writes: usage.long_cache_write_tokens,
            audio_input: usage.audio_input_tokens,
            audio_output: usage.audio_output_tokens,
            ..Self::default()
        };
        for item in &response.output {
            billed.count(item);
        }
        let counted = response.raw.get("tool_usage").map(|usage| &usage["web_search"]);
        if let Some(searches) = counted.and_then(|counted| counted["num_requests"].as_i64()) {
            billed.web_searches = searches;
        }
        billed
    }

    /// Whether anything is charged for that is no token.
    pub(crate) fn has_fees(&self) -> bool {
        let counted = self.web_searches > 0 || self.file_searches > 0;
        counted || !self.containers.is_empty() || self.beyond
    }

    fn count(&mut self, item: &Item) {
        let value = item.as_value();
        match item.type_name() {
            "web_search_call" => {
                let action = value["action"]["type"].as_str();
                self.web_searches += i64::from(action.is_none_or(|action| action == "search"));
            }
            "file_search_call" => self.file_searches += 1,
            CODE_INTERPRETER => match container_of(value) {
                Some(id) => {
                    self.containers.insert(id.to_owned());
                }
                None => self.beyond = true,
            },
            // A picture has a price of its own, which no count tells.
            "image_generation_call" => self.beyond = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn billed(output: Value, raw: Value) -> Billed {
        let Value::Array(output) = output else { panic!("no array") };
        let Value::Object(raw) = raw else { panic!("no object") };
        let output = output.into_iter().map(Item::from).collect();
        Billed::of(&Response { output, raw, ..Response::default() })
    }

    #[test]
    fn the_providers_tools_are_counted_as_they_are_charged_for() {
        let output = json!([
            {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
            {"type": "web_search_call", "action": {"type": "open_page", "url": "x"}},
            {"type": "web_search_call"},
            {"type": "file_search_call"},
            {"type": "code_interpreter_call", "container_id": "c1"},
            {"type": "code_interpreter_call", "container_id": "c1"},
            {"type": "code_interpreter_call", "container_id": "c2"},
            {"type": "message", "content": []},
        ]);
        let counted = billed(output.clone(), json!({}));
        assert_eq!((counted.web_searches, counted.file_searches), (2, 1));
        assert_eq!((counted.containers.len(), counted.beyond), (2, false));
        let told = json!({"tool_usage": {"web_search": {"num_requests": 5}}});
        assert_eq!(billed(output, told).web_searches, 5, "the provider's count wins");
    }

    #[test]
    fn what_nothing_tells_the_price_of_is_noted() {
        for item in
            [json!({"type": "image_generation_call"}), json!({"type": "code_interpreter_call"})]
        {
            assert!(billed(json!([item]), json!({})).beyond);
        }
    }

    #[test]
    fn the_tier_is_that_of_the_response() {
        let tier = |raw| billed(json!([]), raw).tier;
        assert_eq!(tier(json!({"service_tier": "flex"})).as_deref(), Some("flex"));
        assert_eq!(tier(json!({"service_tier": null})), None);
        assert_eq!(tier(json!({})), None);
    }
}
