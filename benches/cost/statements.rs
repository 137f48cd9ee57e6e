//! Counts statements and write transactions by what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};

/// How often each statement ran and each kind of transaction committed.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    statements: BTreeMap<String, u64>,
    transactions: BTreeMap<&'static str, u64>,
}

static ALL: Mutex<Statements> =
    Mutex::new(Statements { statements: BTreeMap::new(), transactions: BTreeMap::new() });

/// Watches every connection made from now on.
pub fn watch() {
    set_default_instrumentation(|| Some(Box::new(Watch { open: None }))).unwrap();
}

impl Statements {
    pub fn so_far() -> Self {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn since(earlier: &Self) -> Self {
        let now = Self::so_far();
        Self {
            statements: less(now.statements, &earlier.statements),
            transactions: less(now.transactions, &earlier.transactions),
        }
    }

    /// All statements but those that begin and end transactions.
    pub fn count(&self) -> u64 {
        self.statements.values().sum()
    }

    pub const fn transactions(&self) -> &BTreeMap<&'static str, u64> {
        &self.transactions
    }
}

fn less<K: Ord>(now: BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let less = now.into_iter().map(|(name, count)| {
        let before = earlier.get(&name).copied().unwrap_or(0);
        (name, count - before)
    });
    less.filter(|(_, count)| *count > 0).collect()
}

impl fmt::Display for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
            let counts: Vec<_> = counts.map(|(name, count)| format!("{count} {name}")).collect();
            counts.join(", ")
        };
        let mut transactions = self.transactions.iter().map(|(name, count)| (*name, *count));
        let mut statements = self.statements.iter().map(|(name, count)| (&**name, *count));
        write!(f, "commits: {}\n    statements: {}", list(&mut transactions), list(&mut statements))
    }
}

/// Watches one connection.
struct Watch {
    /// What the open transaction did so far.
    open: Option<BTreeSet<String>>,
}

impl Instrumentation for Watch {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        let InstrumentationEvent::StartQuery { query, .. } = event else {
            return;
        };
        let mut head = Head(String::new());
        // It fails when it has seen enough.
        let _ = write!(head, "{query}");
        let verb = head.0.split_whitespace().next().unwrap_or_default();
        match verb {
            "BEGIN" => self.open = Some(BTreeSet::new()),
            "ROLLBACK" => self.open = None,
            "COMMIT" => {
                let kind = kind(&self.open.take().unwrap_or_default());
                count(|all| *all.transactions.entry(kind).or_default() += 1);
            }
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" => {
                let name = format!("{} {}", verb.to_lowercase(), table(&head.0));
                count(|all| *all.statements.entry(name.clone()).or_default() += 1);
                if let Some(open) = &mut self.open {
                    open.insert(name);
                }
            }
            _ => {}
        }
    }
}

fn count(change: impl FnOnce(&mut Statements)) {
    change(&mut ALL.lock().unwrap_or_else(PoisonError::into_inner));
}

/// The first table of ours that a statement names.
fn table(statement: &str) -> &str {
    let Some((_, rest)) = statement.split_once("ai_engine_") else {
        return "clock";
    };
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &rest[..end.unwrap_or(rest.len())]
}

/// What a transaction was for, by what it did.
fn kind(did: &BTreeSet<String>) -> &'static str {
    let did = |what: &str| did.contains(what);
    match () {
        () if did("insert runs") => "submit",
        () if did("insert responses") => "call",
        () if did("delete message_deltas") => "settle",
        () if did("insert message_deltas") => "flush",
        () if did("insert messages") => "first row",
        () if did("insert workers") && did("update runs") => "claim",
        () if did("insert workers") => "heartbeat",
        () if did("update runs") => "announce",
        () => "other",
    }
}

/// The beginning of a statement: its binds may be long.
struct Head(String);

impl Write for Head {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        const ENOUGH: usize = 200;
        self.0.push_str(part);
        if self.0.len() > ENOUGH {
            return Err(fmt::Error);
        }
        Ok(())
    }
}
