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
    asked(&app, &visit, &Asked::of(None, &form))
}

pub(crate) async fn edit(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
) -> Result<Response, Problem> {
    let storyteller = storytellers::find(&app, &visit.user, id).await?;
    asked(&app, &visit, &Asked::of(Some(id), &StorytellerForm::from(&storyteller)))
}

/// The form; where it cannot be saved it is shown again, with all that was written into it.
struct Asked<'a> {
    id: Option<i32>,
    form: &'a StorytellerForm,
    problems: Problems,
    /// What is wrong with all of it.
    said: Option<&'static str>,
    status: StatusCode,
}

impl<'a> Asked<'a> {
    fn of(id: Option<i32>, form: &'a StorytellerForm) -> Self {
        Self { id, form, problems: Problems::new(), said: None, status: StatusCode::OK }
    }

    fn invalid(id: Option<i32>, form: &'a StorytellerForm, problems: Problems) -> Self {
        let said = Some("Please look at the marked fields: nothing was saved.");
        Self { problems, said, status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::of(id, form) }
    }

    /// Another save came first. The next one replaces it, by somebody who saw it.
    fn conflicting(id: i32, form: &'a StorytellerForm, problems: Problems) -> Self {
        let said = Some(
            "This storyteller was changed meanwhile, and nothing was saved. What you wrote is below; where it is another text \
             now, the field says so. Save again to keep yours.",
        );
        Self { problems, said, status: StatusCode::CONFLICT, ..Self::of(Some(id), form) }
    }

    /// There is none any more, or it is another user's.
    fn gone(form: &'a StorytellerForm) -> Self {
        let said = Some(
            "There is no such storyteller any more, and nothing was saved. What you wrote is below: save it as a new one.",
        );
        Self { said, status: StatusCode::NOT_FOUND, ..Self::of(None, form) }
    }
}

fn asked(app: &App, visit: &SignedIn, shown: &Asked<'_>) -> Result<Response, Problem> {
    let Asked { id, form, problems, said, status } = shown;
    let models = storytellers::models(app);
    let values = context! { id, form, problems, said, models, most => context! {
        name => storyteller_form::MOST_NAME,
        model => storyteller_form::MOST_MODEL,
        description => storyteller_form::MOST_DESCRIPTION,
        instructions => storyteller_form::MOST_INSTRUCTIONS,
    } };
    Ok((*status, page(&visit.frame, "storyteller_form.html", values)?).into_response())
}

pub(crate) async fn create(
    State(app): State<App>,
    visit: SignedIn,
    Form(form): Form<StorytellerForm>,
) -> Result<Response, Problem> {
    let teller = match form.checked(visit.user.id) {
        Ok(teller) => teller,
        Err(problems) => return asked(&app, &visit, &Asked::invalid(None, &form, problems)),
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
    let stored = match storytellers::find(&app, &visit.user, id).await {
        Err(Problem::NotFound) => return asked(&app, &visit, &Asked::gone(&form)),
        stored => stored?,
    };
    let teller = match form.checked(visit.user.id) {
        Ok(teller) => Storyteller { id, created_at: stored.created_at, ..teller },
        Err(problems) => return asked(&app, &visit, &Asked::invalid(Some(id), &form, problems)),
    };
    match save(&app, teller).await? {
        Saved::Yes => Ok(Redirect::to(&format!("/storytellers/{id}")).into_response()),
        Saved::Gone => asked(&app, &visit, &Asked::gone(&form)),
        Saved::Conflict(now) => {
            let problems = form.beside(&now);
            // The same form sent twice, or two hands of one mind.
            if problems.is_empty() {
                return Ok(Redirect::to(&format!("/storytellers/{id}")).into_response());
            }
            let form = StorytellerForm { version: now.version.to_string(), ..form };
            asked(&app, &visit, &Asked::conflicting(id, &form, problems))
        }
    }
}

enum Saved {
    Yes,
    /// As it was saved meanwhile.
    Conflict(Box<Storyteller>),
    Gone,
}

/// Saves it, with its assistant, if it is still as the form showed it.
async fn save(app: &App, teller: Storyteller) -> Result<Saved, Problem> {
    Ok(transaction!(app.db, |conn| {
        let stored = table::table.find(teller.id).filter(table::user_id.eq(teller.user_id));
        let unchanged = stored.filter(table::version.eq(teller.version));
        let saved = (fields(&teller), table::version.eq(table::version + 1));
        if diesel::update(unchanged).set(saved).execute(conn)? == 1 {
            teller.update_openai_assistant_in(conn)?;
            return Ok(Saved::Yes);
        }
        let now = stored.select(Storyteller::as_select()).first(conn).optional()?;
        now.map_or(Saved::Gone, |now| Saved::Conflict(Box::new(now)))
    })?)
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
