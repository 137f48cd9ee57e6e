//! What a user decides about a call of a tool. Only the owner of its thread can: for anybody else there is no such call.

use ai_engine::{Decision, ToolCallStatus, prelude::*};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::names;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::told::Told;

/// The title as the user wants it, and the message whose words the card showed.
#[derive(Debug, Deserialize)]
pub(crate) struct Agreed {
    #[serde(default)]
    title: String,
    story: i64,
}

pub(crate) async fn approve(
    app: State<App>,
    visit: SignedIn,
    Path((thread, call)): Path<(i64, i64)>,
    Form(form): Form<Agreed>,
) -> Result<Redirect, Problem> {
    let title = names::title(&form.title).map_err(Problem::Unusable)?;
    if !is_still_shown(&app, &visit, thread, call, form.story).await? {
        return Err(Problem::Changed);
    }
    let agreed = json!({"title": title, "message": form.story});
    decide(&app, &visit, thread, call, Decision::approve_with(agreed)).await
}

/// Whether the call would publish this message. The tool looks again when it is carried out; here the user can still look, too.
/// Of a call that waits for nobody the engine says what became of it.
async fn is_still_shown(
    app: &App,
    visit: &SignedIn,
    thread: i64,
    call: i64,
    story: i64,
) -> Result<bool, Problem> {
    let thread = visit.user.assistant_threads(&app.engine).find(thread).await?;
    let waiting = thread.pending(&app.engine).await?;
    let found = waiting.into_iter().find(|one| one.id == call);
    let Some(found) = found.filter(|one| one.status == ToolCallStatus::AwaitingApproval) else {
        return Ok(true);
    };
    let run = visit.user.find_run(&app.engine, found.run_id).await?;
    let told = Told::before(&app.engine, &thread, run.seq).await?;
    Ok(told.is_some_and(|told| told.message == story))
}

pub(crate) async fn reject(
    app: State<App>,
    visit: SignedIn,
    Path((thread, call)): Path<(i64, i64)>,
) -> Result<Redirect, Problem> {
    let decision = Decision::reject("The user does not want it published.");
    decide(&app, &visit, thread, call, decision).await
}

async fn decide(
    app: &App,
    visit: &SignedIn,
    thread: i64,
    call: i64,
    decision: Decision,
) -> Result<Redirect, Problem> {
    let decision = decision.by(&visit.user.name);
    visit.user.tool_calls(&app.engine).decide([(call, decision)]).await?;
    Ok(Redirect::to(&format!("/threads/{thread}")))
}
