//! Pictures: each is stored with its question, once, and with its bytes if it came so.

use std::collections::HashMap;

use crate::database::Conn;
use crate::question::{Question, address, bytes};
use crate::stored::Run;

pub fn pictures(conn: &mut Conn, runs: &[Run], broken: &mut Vec<String>) {
    let columns = ["m.run_id", "p.kind", "p.url", "p.size", "length(b.bytes)", "b.digest"];
    let rest = "FROM ai_engine_messages AS m JOIN ai_engine_message_parts AS p ON p.message_id = m.id \
         LEFT JOIN ai_engine_blobs AS b ON b.id = p.blob_id WHERE m.role = 'user'";
    let mut stored: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    for mut row in conn.rows(&columns, rest) {
        let run = row.remove(0);
        stored.entry(run).or_default().push(row);
    }
    for run in runs {
        let Some(question) = run.asked.first() else { continue };
        let found = stored.remove(&run.id.to_string()).unwrap_or_default();
        let is_right = match (Question::of(question), found.as_slice()) {
            (asked, found) if !asked.picture => found.is_empty(),
            (asked, [picture]) if asked.by_address() => {
                picture[..2] == ["image".to_owned(), address(question)] && picture[4].is_empty()
            }
            (_, [picture]) => {
                let size = bytes(question).len().to_string();
                picture[0] == "image" && picture[2] == size && picture[3] == size
            }
            _ => false,
        };
        if !is_right {
            broken.push(format!("the pictures of {question}, run {}, are {found:?}", run.id));
        }
    }
}
