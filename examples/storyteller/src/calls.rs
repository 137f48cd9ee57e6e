//! What a user decides about a call of a tool. Only the owner of its thread can: for anybody else there is no such call.

use ai_engine::{Decision, prelude::*};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::problem::Problem;
use crate::publish::Publish;
use crate::session::SignedIn;

/// The title as the user wants it.
#[derive(Debug, Deserialize)]
pub(crate) struct Title {
    #[serde(default)]
    title: String,
}

pub(crate) async fn approve(
    app: State<App>,
    visit: SignedIn,
    Path((thread, call)): Path<(i64, i64)>,
    Form(form): Form<Title>,
) -> Result<Redirect, Problem> {
    let title = form.title.trim();
    if title.is_empty() || title.chars().count() > Publish::MOST_CHARS {
        let most = Publish::MOST_CHARS;
        return Err(Problem::Unusable(format!("A title has 1 to {most} characters.")));
    }
    decide(&app, &visit, thread, call, Decision::approve_with(json!({"title": title}))).await
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
