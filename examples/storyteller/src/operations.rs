//! What goes on in the engine, for whoever runs the app: its gauges, and queries of the app's own over the engine's tables.

use ai_engine::schema::{
    ai_engine_responses as responses, ai_engine_runs as runs, ai_engine_workers as workers,
};
use ai_engine::{Backlog, Money, Stats};
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Nullable, Text, Untyped};
use minijinja::context;
use serde::Serialize;

use crate::app::App;
use crate::database::read;
use crate::pages::page;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::words::When;

/// How far back costs are shown.
const DAYS: i64 = 30;

/// What the calls of one day to one model were.
#[derive(Debug, Queryable)]
struct Spent {
    day: NaiveDate,
    model: Option<String>,
    calls: i64,
    tokens: i64,
    cost: Money,
    /// Calls for which no price is known.
    unpriced: i64,
}

// Sums as both databases understand them.
const DAY: &str = "date(created_at)";
const DAY_AND_MODEL: &str = "date(created_at), model";
const TOKENS: &str = "CAST(SUM(input_tokens + output_tokens) AS BIGINT)";
const COST: &str = "CAST(COALESCE(SUM(input_cost + COALESCE(output_cost, 0) + COALESCE(tool_cost, 0)), 0) AS BIGINT)";
const UNPRICED: &str = "CAST(SUM(CASE WHEN input_cost IS NULL THEN 1 ELSE 0 END) AS BIGINT)";

impl Spent {
    fn view(&self) -> minijinja::Value {
        context! {
            day => self.day.to_string(),
            model => self.model.as_deref().unwrap_or("unknown"),
            calls => self.calls,
            tokens => self.tokens,
            cost => (self.unpriced < self.calls).then(|| self.cost.to_string()),
            unpriced => self.unpriced,
        }
    }
}

/// A process that drives runs.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = workers)]
struct Worker {
    id: String,
    started_at: i64,
    lease_ends_at: i64,
}

impl Worker {
    fn view(&self) -> minijinja::Value {
        let when = |ms| DateTime::from_timestamp_millis(ms).map(When::from);
        context! { id => self.id, since => when(self.started_at), until => when(self.lease_ends_at) }
    }
}

pub(crate) async fn show(app: State<App>, visit: SignedIn) -> Result<Html<String>, Problem> {
    if !visit.frame.is_admin {
        return Err(Problem::NotFound);
    }
    let stats = app.engine.stats().await?;
    let now = Utc::now();
    let since = (now - TimeDelta::days(DAYS)).naive_utc();
    let (by_status, alive, spent): (Vec<(String, i64)>, Vec<Worker>, Vec<Spent>) =
        read!(app.db, |conn| {
            let by_status = runs::table
                .group_by(runs::status)
                .select((runs::status, count_star()))
                .order(runs::status)
                .load(conn)?;
            // One that died leaves its row, and a lease that nobody extends.
            let alive = workers::table
                .filter(workers::lease_ends_at.gt(now.timestamp_millis()))
                .order(workers::started_at)
                .select(Worker::as_select())
                .load(conn)?;
            let spent = responses::table
                .filter(responses::created_at.gt(since))
                .group_by(sql::<Untyped>(DAY_AND_MODEL))
                .select((
                    sql::<Date>(DAY),
                    sql::<Nullable<Text>>("model"),
                    count_star(),
                    sql::<BigInt>(TOKENS),
                    sql::<BigInt>(COST),
                    sql::<BigInt>(UNPRICED),
                ))
                .order((sql::<Date>(DAY).desc(), sql::<Nullable<Text>>("model")))
                .load(conn)?;
            (by_status, alive, spent)
        })?;
    let spent: Vec<_> = spent.iter().map(Spent::view).collect();
    let alive: Vec<_> = alive.iter().map(Worker::view).collect();
    let values =
        context! { gauges => gauges(&stats), by_status, workers => alive, spent, days => DAYS };
    page(&visit.frame, "operations.html", values)
}

/// A gauge, and how old the oldest of it is.
#[derive(Debug, Serialize)]
struct Gauge {
    name: &'static str,
    count: u64,
    oldest: Option<String>,
}

fn gauges(stats: &Stats) -> Vec<Gauge> {
    let (process, database) = (stats.process, stats.database);
    let gauge = |(name, backlog): (&'static str, Backlog)| Gauge {
        name,
        count: backlog.count,
        oldest: backlog.oldest_ms.map(|ms| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)),
    };
    [
        ("Driven by this process", process.driving),
        ("Open pages", process.readers),
        ("In the queue", database.queued),
        ("In progress", database.in_progress),
        ("Waiting for a decision", database.requires_action),
        ("Hooks to deliver", database.unannounced),
        ("To be deleted at the provider", database.remote_deletions),
    ]
    .map(gauge)
    .into()
}
