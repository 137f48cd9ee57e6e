//! What the processes told before they went on: lines through a pipe, which a kill cannot take back.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A thread (`t12`) or chat (`c5`).
pub type Conversation = String;

#[derive(Debug, Default)]
pub struct Told {
    pub conversations: BTreeMap<Conversation, Known>,
    /// By what was asked, which is never the same twice.
    pub asked: HashMap<String, Asked>,
    /// The last hooks of runs: which process heard of which status.
    pub heard: HashMap<i64, Vec<(usize, String)>>,
    /// The last hooks of messages: their text.
    pub messages: HashMap<i64, Vec<String>>,
    /// What readers and hooks were shown of messages since the last check: whether for good, and the text.
    pub shown: HashSet<(i64, bool, String)>,
    /// The questions of turns that were to be taken again, which may be gone since.
    pub again: HashSet<String>,
    /// The runs that came of it, and their conversations.
    pub taken: Vec<(i64, Conversation)>,
    /// Conversations that were not found: another process had destroyed them, or they are lost.
    pub missing: Vec<Conversation>,
    pub errors: Vec<String>,
    /// Everything but what was shown, for a look after a failure.
    pub all: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Known {
    pub owner: i64,
    /// It was to be destroyed: perhaps it is.
    pub doomed: bool,
    /// How many runs were submitted.
    pub runs: usize,
    /// The newest run that was acknowledged before all were quiet, and by which process since.
    before: Option<i64>,
    newest: BTreeMap<usize, i64>,
}

#[derive(Debug, Default)]
pub struct Asked {
    pub conversation: Conversation,
    pub key: Option<String>,
    /// With a row of the host in the same transaction.
    pub noted: bool,
    /// The transaction was to be rolled back, or the request was refused.
    pub never: bool,
    /// The run, once the submit had returned.
    pub run: Option<i64>,
    tries: usize,
    /// A run of the conversation that was acknowledged before this was asked.
    pub after: Option<i64>,
}

impl Told {
    /// One line of the process of this number.
    pub fn hear(&mut self, process: usize, line: &str) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[0] != "shown" {
            self.all.push(format!("{process} {line}"));
        }
        match fields.as_slice() {
            ["conversation", id, owner] => {
                let owner = owner.parse().unwrap();
                self.conversations.insert((*id).to_owned(), Known { owner, ..Known::default() });
            }
            ["missing", id] => self.missing.push((*id).to_owned()),
            ["destroy", id] => self.known(id).doomed = true,
            ["ask", id, question, key, noted] => {
                let known = self.known(id);
                let after = known.newest.get(&process).copied().max(known.before);
                // Asked again, with its key.
                let asked = self.asked.entry((*question).to_owned()).or_insert_with(|| Asked {
                    conversation: (*id).to_owned(),
                    key: (!key.is_empty()).then(|| (*key).to_owned()),
                    noted: *noted == "noted",
                    after,
                    ..Asked::default()
                });
                asked.never = *noted == "never";
                asked.tries += 1;
            }
            // Nothing was stored now; but perhaps when it was asked before.
            ["refused", question] => {
                let asked = self.question(question);
                asked.never = asked.tries == 1;
            }
            ["ack", question, run] => {
                let run: i64 = run.parse().unwrap();
                let asked = self.question(question);
                if let Some(before) = asked.run.replace(run).filter(|before| *before != run) {
                    self.errors.push(format!("{question} is run {before} and then run {run}"));
                    return;
                }
                let id = asked.conversation.clone();
                let known = self.known(&id);
                known.runs += 1;
                let newest = known.newest.entry(process).or_default();
                *newest = run.max(*newest);
            }
            ["again", question] => drop(self.again.insert((*question).to_owned())),
            ["taken", id, run] => self.taken.push((run.parse().unwrap(), (*id).to_owned())),
            ["heard", run, status] => {
                let heard = self.heard.entry(run.parse().unwrap()).or_default();
                heard.push((process, (*status).to_owned()));
            }
            ["message", id, text] => {
                let text = serde_json::from_str(text).unwrap();
                self.messages.entry(id.parse().unwrap()).or_default().push(text);
            }
            ["shown", id, part, text] => {
                let text = serde_json::from_str(text).unwrap();
                self.shown.insert((id.parse().unwrap(), *part == "whole", text));
            }
            _ => self.errors.push(format!("process {process}: {line}")),
        }
    }

    /// No process does anything: what all were told came before whatever is asked next.
    pub fn all_quiet(&mut self) {
        for known in self.conversations.values_mut() {
            let newest = std::mem::take(&mut known.newest).into_values().max();
            known.before = known.before.max(newest);
        }
        self.shown.clear();
    }

    /// Conversations to go on with, and full ones.
    pub fn open(&self) -> (Vec<(&Conversation, &Known)>, Vec<&Conversation>) {
        const FULL: usize = 20;
        let alive = || self.conversations.iter().filter(|(_, known)| !known.doomed);
        let open = alive().filter(|(_, known)| known.runs < FULL).collect();
        // Some stay for good.
        let full = alive().filter(|(id, known)| known.runs >= FULL && !id.ends_with('7'));
        (open, full.map(|(id, _)| id).collect())
    }

    /// Questions with a key whose fate is not known: a host would ask again.
    pub fn unanswered(&self) -> Vec<(&String, &Asked)> {
        let open = |asked: &Asked| asked.key.is_some() && asked.run.is_none() && !asked.never;
        let alive =
            |asked: &Asked| self.conversations.get(&asked.conversation).is_some_and(|c| !c.doomed);
        self.asked.iter().filter(|(_, asked)| open(asked) && alive(asked)).collect()
    }

    pub fn is_doomed(&self, id: &str) -> bool {
        self.conversations.get(id).is_none_or(|known| known.doomed)
    }

    fn known(&mut self, id: &str) -> &mut Known {
        self.conversations.entry(id.to_owned()).or_default()
    }

    fn question(&mut self, question: &str) -> &mut Asked {
        self.asked.entry(question.to_owned()).or_default()
    }
}
