//! What the kills left, counted.

use std::time::Duration;

use crate::database::Conn;
use crate::kills::World;

impl World {
    /// `survived`: by processes that had started before.
    pub fn count_left(&mut self, survived: bool) {
        let with = "EXISTS (SELECT 1 FROM ai_engine_messages AS m WHERE m.run_id = r.id AND m.status = 'streaming')";
        let deltas = "EXISTS (SELECT 1 FROM ai_engine_messages AS m JOIN ai_engine_message_deltas AS d ON d.message_id = m.id WHERE m.run_id = r.id)";
        let columns = [
            "coalesce(sum(CASE WHEN status = 'queued' THEN 1 ELSE 0 END), 0)".to_owned(),
            format!(
                "coalesce(sum(CASE WHEN status = 'in_progress' AND NOT {with} THEN 1 ELSE 0 END), 0)"
            ),
            format!(
                "coalesce(sum(CASE WHEN status = 'in_progress' AND {with} THEN 1 ELSE 0 END), 0)"
            ),
            format!("coalesce(sum(CASE WHEN {deltas} THEN 1 ELSE 0 END), 0)"),
            "coalesce(sum(CASE WHEN status NOT IN ('queued', 'in_progress') THEN 1 ELSE 0 END), 0)"
                .to_owned(),
        ];
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let left =
            self.conn.numbers(&columns, "FROM ai_engine_runs AS r WHERE announced_at IS NULL");
        if survived {
            self.by_survivors += left[0] + left[1] + left[2] + left[4];
        }
        for (sum, left) in self.left.iter_mut().zip(left) {
            *sum += left;
        }
        let unknown = self.told.asked.values().filter(|asked| asked.run.is_none() && !asked.never);
        self.left[5] = u64::try_from(unknown.count()).unwrap();
    }

    pub fn report(&mut self, time: Duration, held: u64) {
        let [queued, called, streaming, deltas, unannounced, unknown] = self.left;
        let count = |conn: &mut Conn, from: &str| conn.numbers(&["count(*)"], from).remove(0);
        let refused = count(&mut self.conn, "FROM ai_engine_runs WHERE reason = 'database'");
        println!(
            "{} processes in {} rounds and {:.1} s; {} ended in good order, {} leases ended beside them; {held} host locks",
            self.fleet.next() - 1,
            self.rounds,
            time.as_secs_f64(),
            self.dismissed,
            self.asleep,
        );
        let [responses, chat, assistants] = self.provider.requests();
        println!(
            "{} questions, {responses} calls in Responses, {chat} in Chat Completions and {assistants} in Assistants ({} stalled), {} runs in the database ({refused} refused by it), {} conversations ({} destroyed)",
            self.told.asked.len(),
            self.provider.stalls(),
            count(&mut self.conn, "FROM ai_engine_runs"),
            self.told.conversations.len(),
            self.told.conversations.values().filter(|known| known.doomed).count(),
        );
        println!(
            "left by the kills: {queued} runs queued, {called} called without a word, {streaming} with one ({deltas} with deltas), {unannounced} ended but not announced, {unknown} submits of unknown fate; {} runs left to older processes alone",
            self.by_survivors,
        );
        let kept: Vec<String> =
            self.kept.iter().map(|(kind, count)| format!("{count} of kind {kind:?}")).collect();
        println!(
            "left at the provider by processes that were killed before they could note it: {}",
            if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") },
        );
    }
}
