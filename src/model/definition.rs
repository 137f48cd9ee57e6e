use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Fallback, Money};

/// What an assistant is: model, instructions and how to sample.
///
/// It lives in the host's database and is sent with each call. What is not set is not sent, so the
/// provider's defaults hold. Limits are checked when the definition is saved or run, before anything
/// is stored or sent.
///
/// A definition is made with [`new`](Self::new) and the methods, each of which sets the field of its name; what is set is read as
/// a field. There are no getters, since nothing is to be guarded: a field may hold anything until [`validate`](Self::validate).
///
/// ```
/// use ai_engine::AssistantDefinition;
///
/// let teller = AssistantDefinition::new("gpt-6-luna").instructions("You tell short stories.").temperature(0.7);
/// assert_eq!(teller.instructions.as_deref(), Some("You tell short stories."));
/// assert_eq!(teller.temperature, Some(0.7));
/// assert_eq!(teller.max_output_tokens, None);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AssistantDefinition {
    /// Model that answers, by its provider's name.
    pub model: String,
    /// What it is called.
    pub name: Option<String>,
    /// What it is for; shown to people, not to the model.
    pub description: Option<String>,
    /// System text of each call.
    pub instructions: Option<String>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Most tokens an answer may have, reasoning included.
    pub max_output_tokens: Option<i64>,
    /// Budget of history sent with a call, in tokens.
    pub max_prompt_tokens: Option<i64>,
    /// Reasoning options as the provider takes them.
    pub reasoning: Option<Value>,
    /// Up to 16 pairs of text.
    pub metadata: Map<String, Value>,
    /// Tools as the provider takes them.
    pub tools: Vec<Value>,
    /// The form of the answer, where it is to have one: a name and a JSON Schema ([`output`](Self::output)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Further parameters of the provider's request.
    pub parameters: Map<String, Value>,
    /// What a run may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    /// Tokens that a run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<i64>,
    /// Name of the provider that is asked; unless set, the engine's default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Who is asked, one after the other, when those before failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Fallback>,
}

impl AssistantDefinition {
    /// An assistant that answers with `model`, by its provider's name.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    /// Model that answers, by its provider's name.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// What it is called.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it is for. Shown to people, not sent to the model.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// System text of each call.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Sampling temperature, 0 to 2. Some reasoning models refuse any.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Nucleus sampling, 0 to 1.
    #[must_use]
    pub fn top_p(mut self, top_p: f64) -> Self {
        self.top_p = Some(top_p);
        self
    }

    /// Most tokens of an answer, reasoning included; at least
    /// [`Assistant::MIN_COMPLETION_TOKENS`](crate::Assistant::MIN_COMPLETION_TOKENS). A longer answer ends as `incomplete`.
    #[must_use]
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens.into());
        self
    }

    /// Budget of history sent with a call, in tokens, at least [`Assistant::MIN_PROMPT_TOKENS`](crate::Assistant::MIN_PROMPT_TOKENS).
    ///
    /// Holds where the history is local ([`History::Local`](crate::History::Local)): the oldest turns
    /// are left out, never the newest. Tokens are estimated as a quarter of the bytes, since no
    /// tokenizer fits every model.
    #[must_use]
    pub fn max_prompt_tokens(mut self, tokens: u32) -> Self {
        self.max_prompt_tokens = Some(tokens.into());
        self
    }

    /// What a run may cost, more than nothing. Between its steps, so before what the model asks for is carried out and the model is asked
    /// again, a run that has cost as much ends as `incomplete`, reason [`Budget`](crate::Reason::Budget); the next turn can go on. The step
    /// that is being made is not cut off: [`max_output_tokens`](Self::max_output_tokens) bounds what one answer costs.
    ///
    /// A model whose price is not known to the engine that is to drive the run is refused with [`Error::Invalid`](crate::Error::Invalid)
    /// when it is submitted; where it turns out later that a cost is not known, the run ends before the next step.
    #[must_use]
    pub const fn max_cost(mut self, cost: Money) -> Self {
        self.max_cost = Some(cost);
        self
    }

    /// Tokens that all calls of a run may take, input and output together, at least 1. It is looked at between steps, as
    /// [`max_cost`](Self::max_cost). It is not the parameter of that name of Chat Completions.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens.into());
        self
    }

    /// Reasoning options as the provider takes them, such as `{"effort": "low"}`.
    #[must_use]
    pub fn reasoning(mut self, reasoning: impl Into<Value>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// Adds a pair of metadata: up to 16, keys up to 64 characters, values up to 512.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), Value::String(value.into()));
        self
    }

    /// Adds a tool as the provider takes it: an object with a `type`. A tool that the provider carries out itself needs no more. A call
    /// of a function that no [`Tool`](crate::Tool) of the engine carries out waits for the host
    /// ([`AiEngine::submit_output`](crate::AiEngine::submit_output)).
    #[must_use]
    pub fn tool(mut self, tool: impl Into<Value>) -> Self {
        self.tools.push(tool.into());
        self
    }

    /// Adds any further parameter of the provider's request. One that the engine or another method here sets is refused
    /// ([`validate`](Self::validate)), and so is JSON nested more than 64 levels deep.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }
}
