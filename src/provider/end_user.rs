//! For whom a call is, as a provider may know it: hashes of the host's record and of the conversation, which are the same in every
//! process and say nothing of either.
//!
//! The end user is who owns the conversation. What OpenAI's newer models thought is kept from them when the end user seems to
//! change, so the identifier must not. The cache key is the conversation's: its turns begin with the same text, and come one after the
//! other, so they stay far below the 15 requests a minute up to which OpenAI sends one key with one beginning to one machine
//! (<https://platform.openai.com/docs/guides/prompt-caching>). An owner's key would send all their conversations there.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::Messageable;
use crate::openai::OptionalMembers;

/// So that no hash here is one that somebody else makes of the same.
const DOMAIN: &str = "ai-engine end user 1";

/// Who owns a conversation, and which one it is: both hashed, 64 characters each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndUser {
    owner: String,
    conversation: Option<String>,
}

impl EndUser {
    /// `owner`: the type and id of the host's record.
    pub(crate) fn of(salt: &[u8], (kind, id): &(String, String), of: Messageable) -> Self {
        let (table, number) = match of {
            Messageable::AssistantThread(thread) => ("thread", thread),
            Messageable::Chat(chat) => ("chat", chat),
        };
        let owner = [DOMAIN.as_bytes(), salt, b"owner", kind.as_bytes(), id.as_bytes()];
        let number = number.to_string();
        let conversation = [
            DOMAIN.as_bytes(),
            salt,
            table.as_bytes(),
            number.as_bytes(),
            kind.as_bytes(),
            id.as_bytes(),
        ];
        Self { owner: hash(&owner), conversation: Some(hash(&conversation)) }
    }

    /// The same beside the conversation: what is asked does not begin as it does.
    pub(crate) fn beside(self) -> Self {
        Self { conversation: None, ..self }
    }

    /// What is sent of it. A host that says one of them itself wins; so does one that says `user`, which both replace.
    pub(super) fn members(&self, parameters: &Map<String, Value>) -> OptionalMembers {
        let free = |name: &str| !parameters.contains_key(name) && !parameters.contains_key("user");
        let identifier = free(OptionalMembers::SAFETY_IDENTIFIER).then(|| self.owner.clone());
        let key = self.conversation.clone();
        let key = key.filter(|_| free(OptionalMembers::PROMPT_CACHE_KEY));
        OptionalMembers {
            safety_identifier: identifier,
            prompt_cache_key: key,
            ..OptionalMembers::default()
        }
    }
}

/// SHA-256 in hexadecimal of these, each after its length: what stands in one of them cannot pass for another.
fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut digits, byte| {
        for half in [byte >> 4, byte & 15] {
            digits.push(char::from_digit(u32::from(half), 16).unwrap_or_default());
        }
        digits
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const THREAD: Messageable = Messageable::AssistantThread(7);

    fn of(salt: &str, kind: &str, id: &str, of: Messageable) -> EndUser {
        EndUser::of(salt.as_bytes(), &(kind.to_owned(), id.to_owned()), of)
    }

    /// These values are at providers already: whatever changes them makes another end user of each.
    #[test]
    fn the_hashes_are_those_of_earlier_versions() {
        let user = of("salt", "User", "1", THREAD);
        assert_eq!(user.owner, OWNER);
        assert_eq!(user.conversation.as_deref(), Some(CONVERSATION));
    }
    const OWNER: &str = "8531dd7f6be301aae85b1e5659aef11d09c51df1b45a2a068bb603c8372e29e7";
    const CONVERSATION: &str = "cfd5af48c415869efa97f315615a3b9a5c91aeb8b0b0f9b1e4d1642e006cfd50";

    #[test]
    fn another_salt_type_id_or_conversation_is_another() {
        let user = of("salt", "User", "1", THREAD);
        assert_eq!(user, of("salt", "User", "1", THREAD));
        for other in [
            of("", "User", "1", THREAD),
            of("salt", "Users", "1", THREAD),
            of("salt", "User1", "", THREAD),
            of("saltU", "ser", "1", THREAD),
        ] {
            assert_ne!(other.owner, user.owner);
            assert_ne!(other.conversation, user.conversation);
        }
        for other in [Messageable::Chat(7), Messageable::AssistantThread(8)] {
            let other = of("salt", "User", "1", other);
            assert_eq!(other.owner, user.owner, "an end user is the same in each conversation");
            assert_ne!(other.conversation, user.conversation);
        }
    }

    #[test]
    fn what_the_host_says_itself_wins() {
        let user = of("salt", "User", "1", THREAD);
        let sent = |parameters: Value| {
            let members = user.members(parameters.as_object().unwrap());
            (members.safety_identifier.is_some(), members.prompt_cache_key.is_some())
        };
        assert_eq!(sent(json!({"seed": 1})), (true, true));
        assert_eq!(sent(json!({"safety_identifier": "mine"})), (false, true));
        assert_eq!(sent(json!({"prompt_cache_key": null})), (true, false));
        assert_eq!(sent(json!({"user": "mine"})), (false, false));
        assert_eq!(user.clone().beside().members(&Map::new()).prompt_cache_key, None);
    }
}
