//! What a request changes of the definition, for its own run alone.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::model::AssistantDefinition;

type Change = Arc<dyn Fn(AssistantDefinition) -> AssistantDefinition + Send + Sync>;

/// Changes in the order in which the host asked for them. They are kept instead of their result, since the definition of a stored
/// assistant is read in the transaction that stores the run; and they may be made more than once, as that transaction may.
#[derive(Clone, Default)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    pub(crate) fn add(
        &mut self,
        change: impl Fn(AssistantDefinition) -> AssistantDefinition + Send + Sync + 'static,
    ) {
        self.0.push(Arc::new(change));
    }

    /// Further instructions, behind those that the definition has by then.
    pub(crate) fn add_instructions(&mut self, further: String) {
        if further.trim().is_empty() {
            return;
        }
        self.add(move |definition| {
            let instructions = match definition.instructions.as_deref() {
                Some(first) if !first.is_empty() => format!("{first}\n\n{further}"),
                _ => further.clone(),
            };
            definition.instructions(instructions)
        });
    }

    /// What the run is submitted with, within the limits of any definition.
    pub(crate) fn make(&self, definition: AssistantDefinition) -> Result<AssistantDefinition> {
        if self.0.is_empty() {
            return Ok(definition);
        }
        let made = self.0.iter().fold(definition, |definition, change| change(definition));
        made.validate()?;
        Ok(made)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_in_the_order_in_which_they_were_asked_for() {
        let mut changes = Changes::default();
        changes.add_instructions("Be brief.".to_owned());
        let made = changes.make(AssistantDefinition::new("m")).unwrap();
        assert_eq!(made.instructions.as_deref(), Some("Be brief."), "nothing stands before it");
        changes.add(|definition| definition.model("other").instructions("Anew."));
        changes.add_instructions("In French.".to_owned());
        changes.add_instructions(" ".to_owned());
        let made = changes.make(AssistantDefinition::new("m").instructions("You tell stories."));
        let made = made.unwrap();
        assert_eq!(made.model, "other");
        assert_eq!(made.instructions.as_deref(), Some("Anew.\n\nIn French."));
    }
}
