//! What was used of models, by model and assistant: one statement.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::session::{Session, on};
use crate::error::Result;
use crate::model::{Costs, Messageable, Money, Usage, UsageReport, UsageRow, without_nul};

/// Of all threads and chats of an owner, since then.
pub(crate) fn of_owner(
    session: &mut dyn Session,
    owner_type: &str,
    owner_id: &str,
    since: NaiveDateTime,
) -> Result<UsageReport> {
    without_nul("owner id", owner_id)?;
    // The calls of each conversation are found by its owner's index, that of its runs, and that of their calls.
    let of_conversations = |table: &str, column: &str, kind: &str| {
        format!(
            "SELECT r.id, r.assistant_id, r.assistant_name FROM ai_engine_{table} o \
             JOIN ai_engine_runs r ON r.{column} = o.id WHERE o.{kind}_type = $1 AND o.{kind}_id = $2"
        )
    };
    let statement = report(&format!(
        "{} UNION ALL {}",
        of_conversations("assistant_threads", "assistant_thread_id", "threadable"),
        of_conversations("chats", "chat_id", "chattable"),
    ));
    let statement = statement.replace("{since}", " WHERE c.created_at >= $3");
    let rows: Vec<Row> = on!(session, |conn| sql_query(&statement)
        .bind::<Text, _>(owner_type)
        .bind::<Text, _>(owner_id)
        .bind::<Timestamp, _>(since)
        .load(conn))?;
    Ok(UsageReport::of(rows.into_iter().map(UsageRow::from).collect()))
}

/// Of one thread or chat.
pub(crate) fn of_conversation(session: &mut dyn Session, of: Messageable) -> Result<UsageReport> {
    let (column, id) = match of {
        Messageable::AssistantThread(id) => ("assistant_thread_id", id),
        Messageable::Chat(id) => ("chat_id", id),
    };
    let statement = report(&format!(
        "SELECT r.id, r.assistant_id, r.assistant_name FROM ai_engine_runs r WHERE r.{column} = $1"
    ));
    let statement = statement.replace("{since}", "");
    let rows: Vec<Row> =
        on!(session, |conn| sql_query(&statement).bind::<BigInt, _>(id).load(conn))?;
    Ok(UsageReport::of(rows.into_iter().map(UsageRow::from).collect()))
}

/// More than any call has; servers that count wrongly must not keep others from being counted.
const MOST: &str = "1000000000000000";

/// `runs`: whose calls are counted. `{since}` is left in it.
fn report(runs: &str) -> String {
    let sum =
        |column: &str, what: &str| format!("CAST(coalesce(sum({what}), 0) AS BIGINT) AS {column}");
    let tokens = [
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "input_cost",
        "output_cost",
        "tool_cost",
    ];
    let counted = |column: &&str| {
        sum(column, &format!("CASE WHEN c.{column} > {MOST} THEN {MOST} ELSE c.{column} END"))
    };
    let counted: Vec<String> = tokens.iter().map(counted).collect();
    let (counted, estimated, unpriced) = (
        counted.join(", "),
        sum("estimated_calls", "CASE WHEN c.usage_estimated THEN 1 ELSE 0 END"),
        sum("unpriced_calls", "CASE WHEN c.input_cost IS NULL THEN 1 ELSE 0 END"),
    );
    format!(
        "SELECT c.model, o.assistant_id, o.assistant_name, CAST(count(*) AS BIGINT) AS calls, {counted}, {estimated}, \
         {unpriced} FROM ({runs}) o JOIN ai_engine_responses c ON c.run_id = o.id{{since}} \
         GROUP BY c.model, o.assistant_id, o.assistant_name ORDER BY c.model, o.assistant_name, o.assistant_id"
    )
}

#[derive(Debug, QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    model: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    assistant_id: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    assistant_name: Option<String>,
    #[diesel(sql_type = BigInt)]
    calls: i64,
    #[diesel(sql_type = BigInt)]
    input_tokens: i64,
    #[diesel(sql_type = BigInt)]
    cached_input_tokens: i64,
    #[diesel(sql_type = BigInt)]
    cache_write_tokens: i64,
    #[diesel(sql_type = BigInt)]
    output_tokens: i64,
    #[diesel(sql_type = BigInt)]
    reasoning_tokens: i64,
    #[diesel(sql_type = BigInt)]
    input_cost: Money,
    #[diesel(sql_type = BigInt)]
    output_cost: Money,
    #[diesel(sql_type = BigInt)]
    tool_cost: Money,
    #[diesel(sql_type = BigInt)]
    estimated_calls: i64,
    #[diesel(sql_type = BigInt)]
    unpriced_calls: i64,
}

impl From<Row> for UsageRow {
    fn from(row: Row) -> Self {
        let all = row.unpriced_calls == 0;
        let known = |cost: Money| Some(cost).filter(|_| all);
        let parts = [row.input_cost, row.output_cost, row.tool_cost];
        Self {
            model: row.model,
            assistant_id: row.assistant_id,
            assistant_name: row.assistant_name,
            calls: row.calls,
            usage: Usage {
                input_tokens: row.input_tokens,
                cached_input_tokens: row.cached_input_tokens,
                cache_write_tokens: row.cache_write_tokens,
                output_tokens: row.output_tokens,
                reasoning_tokens: row.reasoning_tokens,
                estimated: row.estimated_calls > 0,
            },
            costs: Costs {
                input_cost: known(row.input_cost),
                output_cost: known(row.output_cost),
                tool_cost: known(row.tool_cost),
            },
            known_cost: Money::checked_sum(parts).unwrap_or(Money::from_nanos(i64::MAX)),
            unpriced_calls: row.unpriced_calls,
        }
    }
}
