//! What a user does with a run: stop it, have it tried again, ask for another answer, go back to an earlier one.

use ai_engine::{Page, Run, prelude::*};
use axum::extract::{Path, State};
use axum::response::Redirect;

use crate::app::App;
use crate::opened::Opened;
use crate::problem::Problem;

type Place = Path<(i64, i64)>;

/// The run, if it belongs to this conversation.
async fn found(app: &App, open: &Opened, Path((_, run)): Place) -> Result<Run, Problem> {
    let run = open.visit.user.find_run(&app.engine, run).await?;
    if open.conversation.has(&run) { Ok(run) } else { Err(Problem::NotFound) }
}

/// The same, if nothing was asked after it: whatever follows a turn leaves the path with it, and nobody asked for that. A page
/// shows no button for it; this one may be old.
async fn found_last(app: &App, open: &Opened, place: Place) -> Result<Run, Problem> {
    let run = found(app, open, place).await?;
    let last = open.conversation.turns(&app.engine, Page::newest(1)).await?.items.pop();
    if last.is_some_and(|last| last.seq > run.seq) {
        return Err(Problem::NotLast);
    }
    Ok(run)
}

pub(crate) async fn stop(app: State<App>, open: Opened, place: Place) -> Result<Redirect, Problem> {
    found(&app, &open, place).await?.cancel(&app.engine).await?;
    Ok(open.back())
}

pub(crate) async fn retry(
    app: State<App>,
    open: Opened,
    place: Place,
) -> Result<Redirect, Problem> {
    found_last(&app, &open, place).await?.retry(&app.engine).submit().await?;
    Ok(open.back())
}

pub(crate) async fn regenerate(
    app: State<App>,
    open: Opened,
    place: Place,
) -> Result<Redirect, Problem> {
    found_last(&app, &open, place).await?.regenerate(&app.engine).submit().await?;
    Ok(open.back())
}

/// What followed on the other answer comes back with it.
pub(crate) async fn choose(
    app: State<App>,
    open: Opened,
    place: Place,
) -> Result<Redirect, Problem> {
    let run = found(&app, &open, place).await?;
    open.conversation.choose(&app.engine, &run).await?;
    Ok(open.back())
}
