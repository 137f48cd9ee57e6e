//! Signing in by name, signing out, and deleting an account with all that belongs to it.
//!
//! There are no passwords: this is where your own login goes.

use axum::Form;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header::SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use diesel::prelude::*;
use minijinja::context;
use serde::Deserialize;

use crate::app::App;
use crate::database::transaction;
use crate::names;
use crate::next;
use crate::pages::{Frame, page as render};
use crate::problem::Problem;
use crate::schema::{stories, storytellers, users};
use crate::session::{Session, SignedIn};
use crate::storytellers::Storyteller;
use crate::users::User;

/// Longest name, in characters.
const MOST_CHARS: usize = 40;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Name {
    #[serde(default)]
    name: String,
    /// The page to go on with.
    #[serde(default)]
    next: String,
}

/// Whatever else the address says, the form is shown.
pub(crate) async fn sign_in_page(
    app: State<App>,
    session: Session,
    asked: Result<Query<Name>, QueryRejection>,
) -> Result<Response, Problem> {
    let next = asked.map(|Query(asked)| asked.next).unwrap_or_default();
    asked_for_a_name(&app, &session, &Name { name: String::new(), next }, None)
}

/// The form, with what was written into it and what is wrong about that.
fn asked_for_a_name(
    app: &App,
    session: &Session,
    form: &Name,
    problem: Option<&str>,
) -> Result<Response, Problem> {
    let frame =
        Frame { csrf: session.csrf(app), is_demo: !app.settings.has_key, ..Frame::default() };
    let page = render(
        &frame,
        "sign_in.html",
        context! { name => form.name, next => next::own(&form.next), problem, most => MOST_CHARS },
    )?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    if session.is_new {
        return Ok((status, [(SET_COOKIE, session.cookie(app)?)], page).into_response());
    }
    Ok((status, page).into_response())
}

pub(crate) async fn sign_in(
    State(app): State<App>,
    session: Session,
    Form(form): Form<Name>,
) -> Result<Response, Problem> {
    let name = match names::checked(&form.name, "name", MOST_CHARS) {
        Ok(name) => name,
        Err(problem) => return asked_for_a_name(&app, &session, &form, Some(&problem)),
    };
    let id: i32 = transaction!(app.db, |conn| {
        diesel::insert_into(users::table)
            .values((users::name.eq(&name), users::created_at.eq(Utc::now().naive_utc())))
            .on_conflict(users::name)
            .do_nothing()
            .execute(conn)?;
        users::table.filter(users::name.eq(&name)).select(users::id).first(conn)?
    })?;
    // Another user may have been signed in here.
    app.signed_out.session(&session);
    let session = Session::begin(Some(id))?;
    let next = next::own(&form.next).unwrap_or(next::HOME);
    Ok(([(SET_COOKIE, session.cookie(&app)?)], Redirect::to(next)).into_response())
}

pub(crate) async fn sign_out(
    State(app): State<App>,
    session: Session,
) -> Result<Response, Problem> {
    app.signed_out.session(&session);
    let session = Session::begin(None)?;
    Ok(([(SET_COOKIE, session.cookie(&app)?)], Redirect::to("/sign-in")).into_response())
}

pub(crate) async fn page(visit: SignedIn) -> Result<Response, Problem> {
    let since = visit.user.created_at.format("%-d %B %Y").to_string();
    Ok(render(&visit.frame, "account.html", context! { since })?.into_response())
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sure {
    sure: Option<String>,
}

/// Deletes the user, in one transaction with all that the app and the engine have of them. What a provider keeps of it is
/// deleted after that, by the engine.
pub(crate) async fn delete(
    State(app): State<App>,
    visit: SignedIn,
    Form(form): Form<Sure>,
) -> Result<Response, Problem> {
    if form.sure.is_none() {
        return Err(Problem::Unusable("Tick the box if you are sure.".to_owned()));
    }
    let (user, engine) = (visit.user, app.engine.clone());
    let id = user.id;
    forget(&app, user, engine).await?;
    app.signed_out.user(id);
    sign_out(State(app), visit.session).await
}

async fn forget(app: &App, user: User, engine: ai_engine::AiEngine) -> Result<(), Problem> {
    transaction!(app.db, |conn| {
        let tellers: Vec<Storyteller> = storytellers::table
            .filter(storytellers::user_id.eq(user.id))
            .select(Storyteller::as_select())
            .load(conn)?;
        for teller in &tellers {
            engine.forget_in(conn, teller)?;
        }
        engine.forget_in(conn, &user)?;
        diesel::delete(storytellers::table.filter(storytellers::user_id.eq(user.id)))
            .execute(conn)?;
        diesel::delete(stories::table.filter(stories::user_id.eq(user.id))).execute(conn)?;
        diesel::delete(users::table.find(user.id)).execute(conn)?;
    })?;
    Ok(())
}
