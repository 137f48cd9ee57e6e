//! The providers of an engine: found by their names, and by what they keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::options::History;
use crate::error::{Error, Result};
use crate::model::{AssistantDefinition, Service};
use crate::provider::Provider;
use crate::store::remote_assistants::Providers;

/// A provider and how its help with the history is used.
pub(crate) struct Remote {
    /// What it is called in this engine.
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn Provider>,
    /// Where its ids mean something.
    pub(crate) service: Service,
    pub(crate) history: History,
    /// Whether it is told for whom a call is.
    pub(crate) identifies: bool,
    /// Whether it holds a model to strict schemas.
    pub(crate) is_strict: bool,
    /// The conversations of this server were looked into, and hold what was said.
    verified: AtomicBool,
    /// The server takes conversations and does not keep them.
    ignores: AtomicBool,
}

impl Remote {
    pub(super) fn new(
        name: String,
        provider: Arc<dyn Provider>,
        history: History,
        identifies: bool,
        is_strict: bool,
    ) -> Self {
        Self {
            name,
            service: Service::new(provider.endpoint(), provider.name()),
            verified: AtomicBool::new(provider.surely_keeps_conversations()),
            ignores: AtomicBool::new(false),
            provider,
            history,
            identifies,
            is_strict,
        }
    }

    pub(crate) fn keeps_conversations(&self) -> bool {
        self.history == History::Conversation && !self.ignores.load(Ordering::SeqCst)
    }

    /// Whether it is known that conversations are kept here, and not only taken.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::SeqCst)
    }

    pub(crate) fn verify(&self) {
        self.verified.store(true, Ordering::SeqCst);
    }

    pub(crate) fn ignore_conversations(&self) {
        self.ignores.store(true, Ordering::SeqCst);
    }
}

/// All of them, the default one first.
#[derive(Default)]
pub(crate) struct Remotes(Vec<Remote>);

impl Remotes {
    pub(super) const fn new(remotes: Vec<Remote>) -> Self {
        Self(remotes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one with this name; `None`: the default one.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<&Remote> {
        match name {
            Some(name) => self.0.iter().find(|remote| remote.name == name),
            None => self.0.first(),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|remote| remote.name.clone()).collect()
    }

    /// The one with this name; fails where there is none.
    pub(crate) fn require(&self, name: Option<&str>) -> Result<&Remote> {
        self.find(name).ok_or_else(|| match name.filter(|_| !self.is_empty()) {
            Some(unknown) => {
                Error::UnknownProvider { name: unknown.to_owned(), known: self.names() }
            }
            None => {
                let missing = "the engine has no provider; add `.openai(…)` to its builder";
                Error::Configuration(missing.to_owned())
            }
        })
    }

    /// Fails for a definition that names one which is not here, or asks one for what its protocol cannot do.
    pub(crate) fn require_all(&self, definition: &AssistantDefinition) -> Result<()> {
        definition
            .in_turn()
            .try_for_each(|definition| self.require(definition.provider.as_deref()).map(|_| ()))?;
        self.check(definition)
    }

    /// Fails for a definition that asks one for what its protocol cannot do, of those that are here.
    pub(crate) fn check(&self, definition: &AssistantDefinition) -> Result<()> {
        definition.in_turn().try_for_each(|definition| {
            let remote = self.find(definition.provider.as_deref());
            remote.map_or(Ok(()), |remote| remote.provider.check(&definition))
        })
    }

    /// All, by whether they reach this service.
    pub(crate) fn at(&self, service: &Service) -> Providers {
        let named = self.0.iter().map(|remote| (Some(remote.name.as_str()), remote));
        let default = self.0.first().map(|remote| (None, remote));
        let mut all = Providers::default();
        for (name, remote) in default.into_iter().chain(named) {
            all.add(name, remote.service == *service);
        }
        all
    }

    /// One for each service: of several that reach the same one the first.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Remote> {
        let first = |at: usize, service: &Service| {
            self.0[..at].iter().all(|earlier| earlier.service != *service)
        };
        let all = self.0.iter().enumerate();
        all.filter(move |(at, remote)| first(*at, &remote.service)).map(|(_, remote)| remote)
    }
}

/// Who keeps the history, by what the host says and the protocol can.
pub(super) fn history(
    provider: &dyn Provider,
    is_openai: bool,
    said: Option<History>,
) -> Result<History> {
    let protocol = provider.name();
    let (keeps, alone) = (provider.has_conversations(), provider.has_conversations_alone());
    match said {
        Some(History::Conversation) if !keeps => Err(Error::Configuration(format!(
            "History::Conversation needs a provider that keeps conversations, and the protocol {protocol} has none; use History::Local"
        ))),
        Some(History::Local) if alone => Err(Error::Configuration(format!(
            "History::Local needs a provider that takes the history with each call, and one of the protocol {protocol} keeps it itself; use History::Conversation, or leave it out"
        ))),
        Some(said) => Ok(said),
        None if alone || keeps && is_openai => Ok(History::Conversation),
        None => Ok(History::Local),
    }
}
