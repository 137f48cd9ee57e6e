//! A question says itself who is to be asked, and whether a picture comes with it: so the provider and the checker know it as well
//! as the process that asks.

use ai_engine::openai::Protocol;
use ai_engine::{AssistantDefinition, Content, RunRequest};

use crate::random::Random;
use crate::tools::Effect;

/// A provider of the host's, by the protocol that it is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    Responses,
    Chat,
    Assistants,
}

impl Api {
    pub const ALL: [Self; 3] = [Self::Responses, Self::Chat, Self::Assistants];

    const fn letter(self) -> char {
        match self {
            Self::Responses => 'r',
            Self::Chat => 'c',
            Self::Assistants => 'a',
        }
    }

    /// What the engine calls it.
    pub const fn provider(self) -> &'static str {
        match self {
            Self::Responses => "openai",
            Self::Chat => "chat",
            Self::Assistants => "assistants",
        }
    }

    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Responses => Protocol::Responses,
            Self::Chat => Protocol::ChatCompletions,
            Self::Assistants => Protocol::Assistants,
        }
    }

    /// As the database names the protocol.
    pub const fn stored(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Chat => "chat_completions",
            Self::Assistants => "assistants",
        }
    }

    /// Whom most questions of a conversation ask.
    pub fn of_conversation(name: &str) -> Self {
        let mut random = Random::of(name);
        random.pick(&Self::ALL).copied().unwrap_or(Self::Responses)
    }
}

/// `qprocess-3.17/ra+!k;`: whom it asks, whom it asks when that one fails, that a picture comes with it, and which tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub first: Api,
    pub then: Option<Api>,
    pub picture: bool,
    /// The tool that the model calls before it answers.
    pub tool: Option<Effect>,
}

const BEGIN: &str = "qprocess-";

/// A question unlike any other, in this conversation.
pub fn ask(process: &str, number: u64, conversation: &str, random: &mut Random) -> String {
    let mut first = Api::of_conversation(conversation);
    if random.percent(15) {
        first = random.pick(&Api::ALL).copied().unwrap_or(first);
    }
    let others = Api::ALL.iter().filter(|api| **api != first).copied().collect::<Vec<_>>();
    let then = random.percent(15).then(|| random.pick(&others).copied()).flatten();
    let letters: String = [Some(first), then].into_iter().flatten().map(Api::letter).collect();
    let picture = if random.percent(15) { "+" } else { "" };
    let tool = random.percent(25).then(|| random.pick(&Effect::ALL).copied()).flatten();
    let tool = tool.map(|tool| format!("!{}", tool.letter())).unwrap_or_default();
    format!("q{process}.{number}/{letters}{picture}{tool};")
}

/// The last question in a text, where several travel in one message, or a word stands for a picture that came with one.
pub fn newest(text: &str) -> &str {
    let Some(at) = text.rfind(BEGIN) else { return text };
    let end = text[at..].find(';').map_or(text.len(), |end| at + end + 1);
    &text[at..end]
}

impl Question {
    pub fn of(text: &str) -> Self {
        let letters = text.rsplit_once('/').map_or("", |(_, letters)| letters);
        let of_letter = |letter| Api::ALL.into_iter().find(|api| api.letter() == letter);
        let mut asked = letters.chars().map_while(of_letter);
        let of_tool = |letter| Effect::ALL.into_iter().find(|tool| tool.letter() == letter);
        let tool = letters.split_once('!').and_then(|(_, tool)| tool.chars().next());
        Self {
            first: asked.next().unwrap_or(Api::Responses),
            then: asked.next(),
            picture: letters.contains('+'),
            tool: tool.and_then(of_tool),
        }
    }

    /// A picture goes to Assistants by its address: bytes have no form there.
    pub fn by_address(self) -> bool {
        [Some(self.first), self.then].contains(&Some(Api::Assistants))
    }

    /// The definition for this question, whoever the usual one names.
    pub fn address(self, mut usual: AssistantDefinition) -> AssistantDefinition {
        usual.fallback.clear();
        let usual = usual.provider(self.first.provider());
        let usual = if self.tool.is_some() { Effect::uses(usual) } else { usual };
        match self.then {
            Some(then) => usual.fallback(then.provider(), "model"),
            None => usual,
        }
    }
}

/// Has a request ask whom its question says; `usual`: whom it asks otherwise.
pub fn addressed(request: RunRequest, question: &str, usual: Option<Api>) -> RunRequest {
    let question = Question::of(question);
    match question.then {
        None if question.tool.is_some() => request.definition(move |usual| question.address(usual)),
        None if usual == Some(question.first) => request,
        None if usual.is_some() => request.provider(question.first.provider()),
        _ => request.definition(move |usual| question.address(usual)),
    }
}

/// What is said with it.
pub fn content(question: &str) -> Content {
    let content = Content::text(question);
    match Question::of(question) {
        Question { picture: false, .. } => content,
        asked if asked.by_address() => content.image_url(address(question)),
        _ => content.image("image/png", bytes(question)),
    }
}

/// Of its picture, where it goes by that.
pub fn address(question: &str) -> String {
    let named = question.trim_end_matches(';').replace('/', "-");
    format!("https://pictures.example/{named}.png")
}

/// Of its picture: no two are the same.
pub fn bytes(question: &str) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n", question.as_bytes()].concat()
}
