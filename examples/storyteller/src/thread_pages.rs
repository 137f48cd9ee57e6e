//! The pages of threads: the list, one thread, and the pieces of it that the script asks for.

use ai_engine::{Page, PageToken, prelude::*};
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::markdown;
use crate::pages::{bare, page};
use crate::pictures;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::signer::random;
use crate::storytellers;
use crate::threads::{self, Turns};
use crate::words::{When, shortened};

/// Threads on one page of the list.
const THREADS: u32 = 30;
/// Longest title, in characters.
const MOST_CHARS: usize = 120;

/// Where a page of older ones begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Older {
    older: Option<String>,
}

impl Older {
    fn token(&self) -> Result<Option<PageToken>, Problem> {
        Ok(self.older.as_deref().map(str::parse).transpose()?)
    }
}

#[derive(Debug, Serialize)]
struct Listed {
    id: i64,
    title: Option<String>,
    last_words: Option<String>,
    at: When,
    is_active: bool,
}

pub(crate) async fn list(
    app: State<App>,
    visit: SignedIn,
    Query(older): Query<Older>,
) -> Result<Response, Problem> {
    let token = older.token()?;
    let wanted = token.map_or(Page::newest(THREADS), |token| Page::after(token, THREADS));
    let recent = visit.user.assistant_threads(&app.engine).recent(wanted).await?;
    let threads: Vec<Listed> = recent
        .items
        .into_iter()
        .map(|one| Listed {
            id: one.thread.id,
            title: one.thread.title,
            last_words: one
                .last_message
                .map(|message| shortened(&markdown::words(&message.content), 140)),
            at: When::from(one.thread.last_activity_at),
            is_active: one.active_run.is_some(),
        })
        .collect();
    let has_tellers = !storytellers::of(&app, &visit.user).await?.is_empty();
    let values = context! { threads, older => recent.next, has_tellers };
    Ok(page(&visit.frame, "threads.html", values)?.into_response())
}

pub(crate) async fn create(app: State<App>, visit: SignedIn) -> Result<Redirect, Problem> {
    let thread = visit.user.assistant_threads(&app.engine).create().await?;
    Ok(Redirect::to(&format!("/threads/{}", thread.id)))
}

pub(crate) async fn show(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i64>,
    Query(older): Query<Older>,
) -> Result<Response, Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let token = older.token()?;
    let turns = Turns::read(&app.engine, &thread, token).await?;
    let storytellers = storytellers::of(&app, &visit.user).await?;
    // Who answered last answers next, unless another one is chosen.
    let last = turns.items.iter().rev().find_map(|turn| turn.teller_id);
    let values = context! {
        thread => context! { id, title => thread.title },
        turns => turns.items,
        older => turns.older,
        after => turns.after,
        is_live => token.is_none(),
        storytellers,
        last,
        key => random()?,
        most_megabytes => pictures::MOST_BYTES / 1_000_000,
        kinds => pictures::KINDS.join(","),
    };
    Ok(page(&visit.frame, "thread.html", values)?.into_response())
}

/// One turn as it is now, for the script.
pub(crate) async fn turn(
    app: State<App>,
    visit: SignedIn,
    Path((id, seq)): Path<(i64, i64)>,
) -> Result<Html<String>, Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let turn = threads::turn(&app.engine, &thread, seq).await?;
    bare("turn.html", context! { turn, frame => visit.frame })
}

/// The title as it is now, which a model may have given: text for the script.
pub(crate) async fn title(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i64>,
) -> Result<String, Problem> {
    Ok(threads::find(&app.engine, &visit.user, id).await?.title.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
pub(crate) struct Title {
    #[serde(default)]
    title: String,
}

pub(crate) async fn rename(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i64>,
    Form(form): Form<Title>,
) -> Result<Redirect, Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let title = form.title.trim();
    if title.is_empty() || title.chars().count() > MOST_CHARS {
        return Err(Problem::Unusable(format!("A title has 1 to {MOST_CHARS} characters.")));
    }
    thread.rename(&app.engine, title).await?;
    Ok(Redirect::to(&format!("/threads/{id}")))
}

pub(crate) async fn delete(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i64>,
) -> Result<Redirect, Problem> {
    visit.user.assistant_threads(&app.engine).destroy(id).await?;
    Ok(Redirect::to("/threads"))
}
