//! Published stories.

use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use minijinja::context;
use serde::Deserialize;

use crate::app::App;
use crate::database::{read, transaction};
use crate::markdown;
use crate::pages::page;
use crate::problem::Problem;
use crate::schema::stories;
use crate::session::SignedIn;
use crate::words::{When, shortened};

/// Stories on one page of the list.
pub(crate) const LISTED: u8 = 30;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = stories)]
pub(crate) struct Story {
    id: i32,
    title: String,
    text: String,
    teller: String,
    created_at: NaiveDateTime,
}

impl Story {
    fn view(&self) -> minijinja::Value {
        context! {
            id => self.id,
            title => self.title,
            teller => self.teller,
            beginning => shortened(&markdown::words(&self.text), 180),
            at => When::from(self.created_at.and_utc()),
        }
    }
}

/// Where a page of older ones begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Older {
    older: Option<i32>,
}

pub(crate) async fn list(
    app: State<App>,
    visit: SignedIn,
    Query(Older { older }): Query<Older>,
) -> Result<Html<String>, Problem> {
    let (owner, before) = (visit.user.id, older.unwrap_or(i32::MAX));
    let mut found: Vec<Story> = read!(app.db, |conn| stories::table
        .filter(stories::user_id.eq(owner).and(stories::id.lt(before)))
        .order(stories::id.desc())
        .select(Story::as_select())
        // One more says that there are older ones.
        .limit(i64::from(LISTED) + 1)
        .load(conn)?)?;
    let has_older = found.len() > LISTED.into();
    found.truncate(LISTED.into());
    let older = found.last().filter(|_| has_older).map(|story| story.id);
    let stories: Vec<_> = found.iter().map(Story::view).collect();
    page(&visit.frame, "stories.html", context! { stories, older })
}

pub(crate) async fn show(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
) -> Result<Html<String>, Problem> {
    let owner = visit.user.id;
    let found: Option<Story> = read!(app.db, |conn| stories::table
        .find(id)
        .filter(stories::user_id.eq(owner))
        .select(Story::as_select())
        .first(conn)
        .optional()?)?;
    let story = found.ok_or(Problem::NotFound)?;
    let html = markdown::html(&story.text);
    page(&visit.frame, "story.html", context! { story => story.view(), html })
}

pub(crate) async fn delete(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i32>,
) -> Result<Redirect, Problem> {
    let owner = visit.user.id;
    let gone: usize = transaction!(app.db, |conn| {
        let mine = stories::table.find(id).filter(stories::user_id.eq(owner));
        diesel::delete(mine).execute(conn)?
    })?;
    if gone == 0 { Err(Problem::NotFound) } else { Ok(Redirect::to("/stories")) }
}
