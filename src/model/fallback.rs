use std::iter::once;

use serde::{Deserialize, Serialize};

use super::{AssistantDefinition, without_nul};
use crate::error::{Error, Result};

/// Who is asked when those before it failed ([`AssistantDefinition::fallback`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Fallback {
    /// Name of the provider in the engine.
    pub provider: String,
    /// Model, by that provider's name.
    pub model: String,
}

/// Longest name of a provider, in characters.
const NAME_CHARS: usize = 64;
/// Each may take as long as the one before it, and whoever asked waits for all of them.
const MOST_FALLBACKS: usize = 8;

/// What a provider may be called in an engine.
pub(crate) fn provider_name(field: &'static str, name: &str) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS {
        let reason = format!("must have 1 to {NAME_CHARS} characters, and not only blanks");
        return Err(Error::invalid(field, name, reason));
    }
    without_nul(field, name)
}

impl AssistantDefinition {
    /// Name of the provider that is asked, as the engine's builder was given it; unless set, the engine's default one.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// Adds a provider, by its name in the engine, and a model of it, which are asked when those before them failed; at most eight, in
    /// this order. All else of the definition stays.
    ///
    /// A next one is asked while there was no word of an answer, and when the failure is one that another server may not have: no
    /// connection, a connection that broke off, a timeout, an error of the server, a refused key or permission, a used up limit or
    /// quota, a model or address that it does not know, a history too long for the model also when it was shortened. It is not when
    /// the run was cancelled, the request itself is refused, a filter stopped the answer or the model declined, an answer came that
    /// cannot be read, or the database failed: then the run ends with that. The client has made its own further tries before
    /// ([`max_retries`](crate::openai::OpenAiBuilder::max_retries)).
    ///
    /// The run has the note `fallback` then, and its `provider` and `model` say who answered. When all fail, it ends with the last one's
    /// error. Each attempt counts as a call of the run, and costs what it costs.
    #[must_use]
    pub fn fallback(mut self, provider: impl Into<String>, model: impl Into<String>) -> Self {
        self.fallback.push(Fallback { provider: provider.into(), model: model.into() });
        self
    }

    pub(super) fn validate_providers(&self) -> Result<()> {
        self.provider.iter().try_for_each(|name| provider_name("provider", name))?;
        if self.fallback.len() > MOST_FALLBACKS {
            let reason = format!("may name {MOST_FALLBACKS} providers at most");
            return Err(Error::invalid("fallback", self.fallback.len(), reason));
        }
        for Fallback { provider, model } in &self.fallback {
            provider_name("fallback", provider)?;
            Self::new(model).validate()?;
        }
        Ok(())
    }

    /// The definition for each of those that it names, in the order in which they are asked.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = Self> + '_ {
        let further = self.fallback.iter().map(|next| Self {
            provider: Some(next.provider.clone()),
            model: next.model.clone(),
            ..self.clone()
        });
        once(self.clone()).chain(further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_models_of_providers_have_limits() {
        let base = || AssistantDefinition::new("m");
        let eight = (0..8).fold(base(), |all, at| all.fallback(format!("p{at}"), "m"));
        eight.clone().provider("é".repeat(64)).validate().unwrap();
        for refused in [
            base().provider(""),
            base().provider("\t"),
            base().provider("a\0b"),
            base().provider("é".repeat(65)),
            base().fallback("", "m"),
            base().fallback("p", " "),
            eight.fallback("p8", "m"),
        ] {
            let error = refused.validate().unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{refused:?}: {error}");
        }
    }

    #[test]
    fn each_next_one_has_its_own_model_and_all_else_of_the_definition() {
        let usual = AssistantDefinition::new("a").provider("x").instructions("Be brief.");
        let asked: Vec<_> = usual.fallback("y", "b").fallback("z", "c").in_turn().collect();
        let of = |one: &AssistantDefinition| (one.provider.clone().unwrap(), one.model.clone());
        let pair = |name: &str, model: &str| (name.to_owned(), model.to_owned());
        let pairs: Vec<_> = asked.iter().map(of).collect();
        assert_eq!(pairs, [pair("x", "a"), pair("y", "b"), pair("z", "c")]);
        assert!(asked.iter().all(|one| one.instructions.as_deref() == Some("Be brief.")));
    }

    /// An assistant that was stored before must not seem changed.
    #[test]
    fn what_names_no_provider_is_stored_as_before() {
        let stored = serde_json::to_value(AssistantDefinition::new("m")).unwrap();
        assert!(stored.get("provider").is_none() && stored.get("fallback").is_none(), "{stored}");
    }
}
