//! What goes on in the engine, for whoever runs the app: its gauges, and queries of the app's own over the engine's tables.

use std::collections::BTreeMap;

use ai_engine::schema::{
    ai_engine_responses as responses, ai_engine_runs as runs, ai_engine_workers as workers,
};
use ai_engine::{Backlog, Money, Stats};
use axum::extract::State;
use axum::response::Html;
use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Utc};
use diesel::connection::DefaultLoadingMode;
use diesel::dsl::count_star;
use diesel::prelude::*;
use minijinja::context;
use serde::Serialize;

use crate::app::App;
use crate::database::read;
use crate::pages::page;
use crate::problem::Problem;
use crate::session::SignedIn;

/// How far back costs are shown.
const DAYS: i64 = 30;

/// What the calls of one day to one model were.
#[derive(Debug, Default)]
struct Spent {
    calls: i64,
    tokens: i64,
    cost: Money,
    /// Calls for which no price is known.
    unpriced: i64,
}

type Day = (NaiveDate, Option<String>);

/// One call of a model.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = responses)]
struct Call {
    created_at: NaiveDateTime,
    model: Option<String>,
    input_tokens: i64,
    output_tokens: i64,
    input_cost: Option<Money>,
    output_cost: Option<Money>,
    tool_cost: Option<Money>,
}

impl Spent {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.tokens += call.input_tokens + call.output_tokens;
        let parts = [call.input_cost, call.output_cost, call.tool_cost];
        match parts.into_iter().flatten().try_fold(self.cost, Money::checked_add) {
            Some(cost) if call.input_cost.is_some() => self.cost = cost,
            _ => self.unpriced += 1,
        }
    }

    fn view(&self, (day, model): &Day) -> minijinja::Value {
        context! {
            day => day.to_string(),
            model => model.as_deref().unwrap_or("unknown"),
            calls => self.calls,
            tokens => self.tokens,
            cost => (self.unpriced < self.calls).then(|| self.cost.to_string()),
            unpriced => self.unpriced,
        }
    }
}

pub(crate) async fn page_of(app: State<App>, visit: SignedIn) -> Result<Html<String>, Problem> {
    if !visit.frame.is_admin {
        return Err(Problem::NotFound);
    }
    let stats = app.engine.stats().await?;
    let since = (Utc::now() - TimeDelta::days(DAYS)).naive_utc();
    let (by_status, running, spent): (Vec<(String, i64)>, i64, BTreeMap<Day, Spent>) =
        read!(app.db, |conn| {
            let by_status = runs::table
                .group_by(runs::status)
                .select((runs::status, count_star()))
                .order(runs::status)
                .load(conn)?;
            let running = workers::table.count().get_result(conn)?;
            let calls = responses::table
                .filter(responses::created_at.gt(since))
                .select(Call::as_select())
                .load_iter::<_, DefaultLoadingMode>(conn)?;
            let mut spent = BTreeMap::<Day, Spent>::new();
            for call in calls {
                let call = call?;
                let day = (call.created_at.date(), call.model.clone());
                spent.entry(day).or_default().add(&call);
            }
            (by_status, running, spent)
        })?;
    let spent: Vec<_> = spent.iter().rev().map(|(day, spent)| spent.view(day)).collect();
    let values = context! { gauges => gauges(&stats), by_status, running, spent, days => DAYS };
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
