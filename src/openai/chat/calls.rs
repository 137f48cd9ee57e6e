//! Calls of tools, put together from their pieces. The protocol numbers them; servers number all alike, or none, leave ids out or
//! repeat them, and send a call in one piece or in a hundred.

use std::collections::HashMap;

use serde_json::Value;

use super::chunk::Fragment;

/// A call as far as it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// The calls of an answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    begun: Vec<Call>,
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
    last: Option<usize>,
}

impl Calls {
    /// Takes a piece; the place of a call that it begins.
    pub(super) fn add(&mut self, fragment: Fragment) -> Option<usize> {
        let Fragment { index, id, name, arguments } = fragment;
        let known = match (index, &id) {
            (Some(index), _) => self.by_index.get(&index).copied(),
            (None, Some(id)) => self.by_id.get(id).copied(),
            (None, None) => self.last,
        };
        let known = known.filter(|at| {
            let call = &self.begun[*at];
            let is_another = match (&call.id, &id) {
                // Whatever it is numbered.
                (Some(known), Some(id)) => known != id,
                // Without ids a whole call is over when another name follows, or the name with more arguments.
                _ => {
                    let names = name
                        .as_ref()
                        .is_some_and(|name| *name != call.name || !arguments.is_empty());
                    names && is_whole(&call.arguments)
                }
            };
            !is_another || call.repeats(id.as_ref(), name.as_ref(), &arguments)
        });
        let begins = known.is_none();
        let at = known.unwrap_or_else(|| {
            self.begun.push(Call::default());
            self.begun.len() - 1
        });
        if let Some(index) = index {
            self.by_index.insert(index, at);
        }
        if let Some(id) = &id {
            self.by_id.insert(id.clone(), at);
        }
        self.last = Some(at);
        let call = &mut self.begun[at];
        if begins || !call.repeats(id.as_ref(), name.as_ref(), &arguments) {
            call.arguments.push_str(&arguments);
            match name {
                // It came with each piece, or in pieces itself.
                Some(name) if name != call.name => call.name.push_str(&name),
                _ => {}
            }
        }
        call.id = call.id.take().or(id);
        begins.then_some(at)
    }

    /// The call that began at this place.
    pub(super) fn take(&mut self, at: usize) -> Call {
        self.begun.get_mut(at).map(std::mem::take).unwrap_or_default()
    }
}

impl Call {
    /// Whether this says again what is known of a whole call.
    fn repeats(&self, id: Option<&String>, name: Option<&String>, arguments: &str) -> bool {
        name == Some(&self.name)
            && (id.is_none() || id == self.id.as_ref())
            && arguments == self.arguments
            && is_whole(arguments)
            && id.is_some()
    }
}

/// Whether these are all the arguments of a call: a JSON object.
fn is_whole(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}')
        && matches!(serde_json::from_str(arguments), Ok(Value::Object(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Fragment {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Fragment { index, id: filled(id), name: filled(name), arguments: arguments.to_owned() }
    }

    /// Each call as `id name arguments`.
    fn put_together(pieces: Vec<Fragment>) -> Vec<String> {
        let mut calls = Calls::default();
        let begun: Vec<usize> = pieces.into_iter().filter_map(|piece| calls.add(piece)).collect();
        let calls = begun.into_iter().map(|at| calls.take(at));
        calls
            .map(|call| format!("{} {} {}", call.id.unwrap_or_default(), call.name, call.arguments))
            .collect()
    }

    #[test]
    fn calls_are_put_together_however_they_are_cut_and_numbered() {
        let (zero, one) = (Some(0), Some(1));
        for (case, pieces, expected) in [
            (
                "as the protocol says",
                vec![
                    piece(zero, "a", "f", ""),
                    piece(zero, "", "", "{\"x\""),
                    piece(one, "b", "g", ""),
                    piece(zero, "", "", ":1}"),
                    piece(one, "", "", "{}"),
                ],
                vec!["a f {\"x\":1}", "b g {}"],
            ),
            (
                "ids and names with each piece",
                vec![piece(zero, "a", "f", "{\"x\""), piece(zero, "a", "f", ":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "whole calls, all with one number",
                vec![piece(zero, "a", "f", "{}"), piece(zero, "b", "f", "{}")],
                vec!["a f {}", "b f {}"],
            ),
            (
                "whole calls, all with one number and without ids",
                vec![piece(zero, "", "f", "{\"x\":1}"), piece(zero, "", "f", "{\"x\":1}")],
                vec![" f {\"x\":1}", " f {\"x\":1}"],
            ),
            (
                "without numbers",
                vec![
                    piece(None, "a", "f", ""),
                    piece(None, "", "", "{\"x\""),
                    piece(None, "", "", ":1}"),
                    piece(None, "b", "g", "{}"),
                ],
                vec!["a f {\"x\":1}", "b g {}"],
            ),
            (
                "without numbers and ids",
                vec![piece(None, "", "f", "{}"), piece(None, "", "g", "{}")],
                vec![" f {}", " g {}"],
            ),
            (
                "the whole call again at the end",
                vec![
                    piece(zero, "a", "f", "{\"x\""),
                    piece(zero, "", "", ":1}"),
                    piece(zero, "a", "f", "{\"x\":1}"),
                ],
                vec!["a f {\"x\":1}"],
            ),
            (
                "no id at first",
                vec![piece(zero, "", "f", ""), piece(zero, "a", "", "{}")],
                vec!["a f {}"],
            ),
            (
                "a name in pieces",
                vec![piece(zero, "a", "look_", ""), piece(zero, "", "up", "{}")],
                vec!["a look_up {}"],
            ),
            (
                "blanks after a whole call",
                vec![piece(zero, "a", "f", "{}"), piece(zero, "", "", "\n")],
                vec!["a f {}\n"],
            ),
            ("nothing to go on with", vec![piece(None, "", "", "{}")], vec!["  {}"]),
        ] {
            assert_eq!(put_together(pieces), expected, "{case}");
        }
    }
}
