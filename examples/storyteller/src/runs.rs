//! What a user does with a run: stop it, have it tried again, ask for another answer, go back to an earlier one.

use ai_engine::{AssistantThread, Messageable, Run, prelude::*};
use axum::extract::{Path, State};
use axum::response::Redirect;

use crate::app::App;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::threads;

type Place = Path<(i64, i64)>;

/// The thread and the run, if they belong to each other and to the user.
async fn found(
    app: &App,
    visit: &SignedIn,
    Path((id, run)): Place,
) -> Result<(AssistantThread, Run), Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let run = visit.user.find_run(&app.engine, run).await?;
    if run.messageable != Messageable::AssistantThread(id) {
        return Err(Problem::NotFound);
    }
    Ok((thread, run))
}

fn back(thread: &AssistantThread) -> Redirect {
    Redirect::to(&format!("/threads/{}", thread.id))
}

pub(crate) async fn stop(
    app: State<App>,
    visit: SignedIn,
    place: Place,
) -> Result<Redirect, Problem> {
    let (thread, run) = found(&app, &visit, place).await?;
    run.cancel(&app.engine).await?;
    Ok(back(&thread))
}

pub(crate) async fn retry(
    app: State<App>,
    visit: SignedIn,
    place: Place,
) -> Result<Redirect, Problem> {
    let (thread, run) = found(&app, &visit, place).await?;
    run.retry(&app.engine).submit().await?;
    Ok(back(&thread))
}

pub(crate) async fn regenerate(
    app: State<App>,
    visit: SignedIn,
    place: Place,
) -> Result<Redirect, Problem> {
    let (thread, run) = found(&app, &visit, place).await?;
    run.regenerate(&app.engine).submit().await?;
    Ok(back(&thread))
}

pub(crate) async fn choose(
    app: State<App>,
    visit: SignedIn,
    place: Place,
) -> Result<Redirect, Problem> {
    let (thread, run) = found(&app, &visit, place).await?;
    thread.choose(&app.engine, &run).await?;
    Ok(back(&thread))
}
