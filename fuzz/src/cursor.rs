//! Cursors: text that a browser gives back, which may be anybody's.

use ai_engine::fuzzing::told;

/// The first byte says how the run stands, the first line what the model said, the rest is the cursor.
pub fn holds(input: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    let text = String::from_utf8_lossy(rest);
    let (said, cursor) = text.split_once('\n').unwrap_or(("", &text));
    let texts: Vec<&str> = said.split('|').collect();
    let settled = choice % 2 == 1;
    // It never panics, ends, and says the same each time.
    let names = told(cursor, &texts, settled);
    assert_eq!(names, told(cursor, &texts, settled));
    // Whoever was told all of a run is told nothing more of it.
    if let Some(names) = names {
        let ends = names.iter().filter(|name| **name == "run_settled").count();
        assert!(ends <= usize::from(settled), "{names:?}");
    }
}
