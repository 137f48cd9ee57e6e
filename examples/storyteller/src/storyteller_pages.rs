//! The pages of storytellers. Each is written in one transaction with its assistant, so there is never one without the other.

use ai_engine::prelude::*;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use diesel::prelude::*;
use minijinja::context;

use crate::app::App;
use crate::database::transaction;
use crate::pages::page;
use crate::problem::Problem;
use crate::schema::storytellers as table;
use crate::session::SignedIn;
use crate::storyteller_form::{self, Problems, StorytellerForm};
use crate::storytellers::{self, Storyteller};

pub(crate) async fn list(app: State<App>, visit: SignedIn) -> Result<Response, Problem> {
    let storytellers = storytellers::of(&app, &visit.user).await?;
    Ok(page(&visit.frame, "storytellers.html", context! { storytellers })?.into_response())
}

pub(crate) async fn show(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
) -> Result<Response, Problem> {
    let storyteller = storytellers::find(&app, &visit.user, id).await?;
    Ok(page(&visit.frame, "storyteller.html", context! { storyteller })?.into_response())
}

pub(crate) async fn new(app: State<App>, visit: SignedIn) -> Result<Response, Problem> {
    let form = StorytellerForm {
        model: app.settings.model.clone(),
        instructions: "You tell short stories for children.".to_owned(),
        ..StorytellerForm::default()
    };
    asked(&app, &visit, None, &form, &Problems::new())
}

pub(crate) async fn edit(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
) -> Result<Response, Problem> {
    let storyteller = storytellers::find(&app, &visit.user, id).await?;
    asked(&app, &visit, Some(id), &StorytellerForm::from(&storyteller), &Problems::new())
}

/// The form; with problems it is shown again, with all that was written into it.
fn asked(
    app: &App,
    visit: &SignedIn,
    id: Option<i32>,
    form: &StorytellerForm,
    problems: &Problems,
) -> Result<Response, Problem> {
    let status =
        if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let models = storytellers::models(app);
    let values = context! { id, form, problems, models, most => context! {
        name => storyteller_form::MOST_NAME,
        model => storyteller_form::MOST_MODEL,
        description => storyteller_form::MOST_DESCRIPTION,
        instructions => storyteller_form::MOST_INSTRUCTIONS,
    } };
    Ok((status, page(&visit.frame, "storyteller_form.html", values)?).into_response())
}

pub(crate) async fn create(
    State(app): State<App>,
    visit: SignedIn,
    Form(form): Form<StorytellerForm>,
) -> Result<Response, Problem> {
    let teller = match form.checked(visit.user.id) {
        Ok(teller) => teller,
        Err(problems) => return asked(&app, &visit, None, &form, &problems),
    };
    let id: i32 = transaction!(app.db, |conn| {
        let teller: Storyteller = diesel::insert_into(table::table)
            .values((
                table::user_id.eq(teller.user_id),
                table::created_at.eq(teller.created_at),
                fields(&teller),
            ))
            .returning(Storyteller::as_returning())
            .get_result(conn)?;
        teller.create_openai_assistant_in(conn)?;
        teller.id
    })?;
    Ok(Redirect::to(&format!("/storytellers/{id}")).into_response())
}

pub(crate) async fn update(
    State(app): State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
    Form(form): Form<StorytellerForm>,
) -> Result<Response, Problem> {
    let stored = storytellers::find(&app, &visit.user, id).await?;
    let teller = match form.checked(visit.user.id) {
        Ok(teller) => Storyteller { id, created_at: stored.created_at, ..teller },
        Err(problems) => return asked(&app, &visit, Some(id), &form, &problems),
    };
    transaction!(app.db, |conn| {
        // Another tab may have deleted it meanwhile: then there is nothing to save an assistant for.
        let stored = table::table.find(id).filter(table::user_id.eq(teller.user_id));
        if diesel::update(stored).set(fields(&teller)).execute(conn)? == 0 {
            return Err(diesel::NotFound.into());
        }
        teller.update_openai_assistant_in(conn)?;
    })?;
    Ok(Redirect::to(&format!("/storytellers/{id}")).into_response())
}

pub(crate) async fn delete(
    State(app): State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
) -> Result<Redirect, Problem> {
    let teller = storytellers::find(&app, &visit.user, id).await?;
    transaction!(app.db, |conn| {
        teller.delete_openai_assistant_in(conn)?;
        diesel::delete(table::table.find(id)).execute(conn)?;
    })?;
    Ok(Redirect::to("/storytellers"))
}

/// What its form says.
type Fields<'a> = (
    diesel::dsl::Eq<table::name, &'a str>,
    diesel::dsl::Eq<table::model, &'a str>,
    diesel::dsl::Eq<table::description, &'a str>,
    diesel::dsl::Eq<table::instructions, &'a str>,
    diesel::dsl::Eq<table::max_prompt_tokens, Option<i32>>,
    diesel::dsl::Eq<table::max_output_tokens, Option<i32>>,
);

fn fields(teller: &Storyteller) -> Fields<'_> {
    (
        table::name.eq(&*teller.name),
        table::model.eq(&*teller.model),
        table::description.eq(&*teller.description),
        table::instructions.eq(&*teller.instructions),
        table::max_prompt_tokens.eq(teller.max_prompt_tokens),
        table::max_output_tokens.eq(teller.max_output_tokens),
    )
}
