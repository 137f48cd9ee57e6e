//! The form of a storyteller: what was written into it, and what is wrong with that, field by field.

use std::collections::BTreeMap;

use ai_engine::{Assistant, Error, prelude::*};
use chrono::Utc;
use serde::{Deserialize, Serialize};

use crate::names;
use crate::storytellers::Storyteller;
use crate::words::{NUL, has_nul, lines, shortened};

/// Longest texts, in characters.
pub(crate) const MOST_NAME: usize = 60;
pub(crate) const MOST_MODEL: usize = 100;
pub(crate) const MOST_DESCRIPTION: usize = 300;
pub(crate) const MOST_INSTRUCTIONS: usize = 10_000;

/// As it came from the browser, so that it can be shown again.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct StorytellerForm {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) instructions: String,
    #[serde(default)]
    pub(crate) max_prompt_tokens: String,
    #[serde(default)]
    pub(crate) max_output_tokens: String,
    /// Of the storyteller that the form showed first; nothing in the form of a new one.
    #[serde(default)]
    pub(crate) version: String,
}

/// What is wrong, by the name of the field.
pub(crate) type Problems = BTreeMap<&'static str, String>;

impl From<&Storyteller> for StorytellerForm {
    fn from(teller: &Storyteller) -> Self {
        let number = |number: Option<i32>| number.map(|n| n.to_string()).unwrap_or_default();
        Self {
            name: teller.name.clone(),
            model: teller.model.clone(),
            description: teller.description.clone(),
            instructions: teller.instructions.clone(),
            max_prompt_tokens: number(teller.max_prompt_tokens),
            max_output_tokens: number(teller.max_output_tokens),
            version: teller.version.to_string(),
        }
    }
}

/// How much of a text is shown beside another one, in characters.
const COMPARED: usize = 200;

impl StorytellerForm {
    /// The storyteller that it describes, still without an id of its own.
    pub(crate) fn checked(&self, user_id: i32) -> Result<Storyteller, Problems> {
        let mut problems = Problems::new();
        for (field, text, most) in
            [("name", &self.name, MOST_NAME), ("model", &self.model, MOST_MODEL)]
        {
            if let Err(problem) = names::checked(text, field, most) {
                problems.insert(field, problem);
            }
        }
        let (description, instructions) = (lines(&self.description), lines(&self.instructions));
        for (field, text, most) in [
            ("description", &description, MOST_DESCRIPTION),
            ("instructions", &instructions, MOST_INSTRUCTIONS),
        ] {
            let long = text.chars().count();
            if long > most {
                problems.insert(field, format!("Too long: {long} characters; at most {most}."));
            }
            if has_nul(text) {
                problems.insert(field, NUL.to_owned());
            }
        }
        let least = [Assistant::MIN_PROMPT_TOKENS, Assistant::MIN_COMPLETION_TOKENS];
        let mut tokens = |field, text: &str, least: i64| match text.trim() {
            "" => None,
            text => match text.parse::<i32>() {
                Ok(number) if i64::from(number) >= least => Some(number),
                _ => {
                    let most = i32::MAX;
                    let said =
                        format!("A whole number from {least} on, at most {most}, or nothing.");
                    problems.insert(field, said);
                    None
                }
            },
        };
        let teller = Storyteller {
            id: 0,
            user_id,
            max_prompt_tokens: tokens("max_prompt_tokens", &self.max_prompt_tokens, least[0]),
            max_output_tokens: tokens("max_output_tokens", &self.max_output_tokens, least[1]),
            name: self.name.trim().to_owned(),
            model: self.model.trim().to_owned(),
            description,
            instructions,
            created_at: Utc::now().naive_utc(),
            // Where none can be read, none fits.
            version: self.version.parse().unwrap_or(0),
        };
        // What the engine knows beyond that.
        if problems.is_empty()
            && let Err(Error::Invalid { field, reason, .. }) =
                teller.ai_engine_assistant().validate()
        {
            problems.insert(field, format!("This {reason}."));
        }
        if problems.is_empty() { Ok(teller) } else { Err(problems) }
    }

    /// What was saved meanwhile, by the name of the field, where it is not what this form says.
    pub(crate) fn beside(&self, stored: &Storyteller) -> Problems {
        let stored = Self::from(stored);
        let fields = [
            ("name", &self.name, &stored.name),
            ("model", &self.model, &stored.model),
            ("description", &self.description, &stored.description),
            ("instructions", &self.instructions, &stored.instructions),
            ("max_prompt_tokens", &self.max_prompt_tokens, &stored.max_prompt_tokens),
            ("max_output_tokens", &self.max_output_tokens, &stored.max_output_tokens),
        ];
        let others = fields.into_iter().filter(|(_, own, now)| lines(own) != **now);
        let said = |now: &str| match now {
            "" => "It is empty now.".to_owned(),
            now => format!("It is now: {}", shortened(now, COMPARED)),
        };
        others.map(|(field, _, now)| (field, said(now))).collect()
    }
}
