//! An enum that grows is matched as if it did not.
//~ error[E0004]: non-exhaustive patterns: `_` not covered
//~ is marked as non-exhaustive, so a wildcard `_` is necessary to match exhaustively

use ai_engine::Busy;

pub fn word(busy: Busy) -> &'static str {
    match busy {
        Busy::Reject => "reject",
        Busy::Queue => "queue",
        Busy::Interrupt => "interrupt",
    }
}
