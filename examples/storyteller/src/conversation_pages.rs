//! The pages of threads and chats: the list by last activity, one with its turns, its name, its end.

use ai_engine::{Page, PageToken};
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::conversations::{Kind, Summary};
use crate::opened::Opened;
use crate::pages::{bare, page};
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::signer::random;
use crate::turn_pages::{Turns, turn_view};
use crate::words::{When, shortened};
use crate::{markdown, messages, names, pictures, storytellers};

/// Conversations on one page of the list.
const LISTED: u32 = 30;

/// What the address of a page says.
#[derive(Debug, Deserialize)]
pub(crate) struct Older {
    /// Where a page of older ones begins.
    older: Option<String>,
    /// Who is to answer first in a thread that is new: a text, as no error is to come of one that is no number.
    teller: Option<String>,
}

impl Older {
    fn token(&self) -> Result<Option<PageToken>, Problem> {
        Ok(self.older.as_deref().map(str::parse).transpose()?)
    }

    fn teller(&self) -> Option<i32> {
        self.teller.as_deref()?.parse().ok()
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

impl From<Summary> for Listed {
    fn from(one: Summary) -> Self {
        let words = |text: &str| shortened(&markdown::words(text), 140);
        Self {
            id: one.id,
            title: one.title,
            last_words: one.last_message.map(|message| words(&message.content)),
            at: When::from(one.last_activity_at),
            is_active: one.is_active,
        }
    }
}

/// What the templates say of the two kinds.
fn kind_view(kind: Kind) -> minijinja::Value {
    context! { path => kind.path(), one => kind.one(), has_tellers => kind == Kind::Threads }
}

pub(crate) async fn list(
    app: State<App>,
    visit: SignedIn,
    Extension(kind): Extension<Kind>,
    Query(older): Query<Older>,
) -> Result<Response, Problem> {
    let token = older.token()?;
    let wanted = token.map_or(Page::newest(LISTED), |token| Page::after(token, LISTED));
    let (found, older) = kind.recent(&app.engine, &visit.user, wanted).await?;
    let found: Vec<Listed> = found.into_iter().map(Listed::from).collect();
    let can_begin = kind == Kind::Chats || !storytellers::of(&app, &visit.user).await?.is_empty();
    let values = context! { kind => kind_view(kind), found, older, can_begin };
    Ok(page(&visit.frame, "conversations.html", values)?.into_response())
}

/// From the page of a storyteller: who is to answer in it.
#[derive(Debug, Deserialize)]
pub(crate) struct New {
    teller: Option<i32>,
}

pub(crate) async fn create(
    app: State<App>,
    visit: SignedIn,
    Extension(kind): Extension<Kind>,
    Form(form): Form<New>,
) -> Result<Redirect, Problem> {
    let id = kind.create(&app.engine, &visit.user).await?;
    let teller = form.teller.map(|teller| format!("?teller={teller}")).unwrap_or_default();
    Ok(Redirect::to(&format!("{}/{id}{teller}", kind.path())))
}

pub(crate) async fn show(
    app: State<App>,
    open: Opened,
    Query(older): Query<Older>,
) -> Result<Html<String>, Problem> {
    shown(&app, &open, older.token()?, Written::default(), older.teller()).await
}

/// What is in the form of a question: something where one was refused.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) teller: Option<i32>,
    pub(crate) model: Option<String>,
    /// What is wrong with it.
    pub(crate) said: Option<String>,
}

/// `first`: who is to answer where nobody has answered yet.
pub(crate) async fn shown(
    app: &App,
    open: &Opened,
    token: Option<PageToken>,
    written: Written,
    first: Option<i32>,
) -> Result<Html<String>, Problem> {
    let (visit, conversation) = (&open.visit, &open.conversation);
    let turns = Turns::read(&app.engine, conversation, token).await?;
    // Who answered last answers next, unless another one is chosen.
    let last_teller = turns.items.iter().rev().find_map(|turn| turn.teller_id);
    let last_model = turns.items.iter().rev().find_map(|turn| turn.model());
    let model = written.model.as_deref().or(last_model).unwrap_or(&app.settings.model);
    let values = context! {
        kind => kind_view(conversation.kind()),
        path => conversation.path(),
        title => conversation.title(),
        turns => turns.items,
        older => turns.older,
        after => turns.after,
        is_live => token.is_none(),
        storytellers => storytellers::of(app, &visit.user).await?,
        teller => written.teller.or(last_teller).or(first),
        model,
        models => storytellers::models(app),
        text => written.text,
        said => written.said,
        key => random()?,
        most_chars => messages::MOST_CHARS,
        most_megabytes => pictures::MOST_BYTES / 1_000_000,
        kinds => pictures::KINDS.join(","),
    };
    page(&visit.frame, "conversation.html", values)
}

/// One turn as it is now, for the script.
pub(crate) async fn turn(
    app: State<App>,
    open: Opened,
    Path((_, seq)): Path<(i64, i64)>,
) -> Result<Html<String>, Problem> {
    let turn = open.conversation.turn(&app.engine, seq).await?;
    let turn = turn_view(&app.engine, &open.conversation, &turn).await?;
    bare("turn.html", context! { turn, frame => open.visit.frame })
}

/// The title as it is now, which a model may have given: text for the script.
pub(crate) async fn title(open: Opened) -> String {
    open.conversation.title().unwrap_or_default()
}

#[derive(Debug, Deserialize)]
pub(crate) struct Title {
    #[serde(default)]
    title: String,
}

pub(crate) async fn rename(
    app: State<App>,
    open: Opened,
    Form(form): Form<Title>,
) -> Result<Redirect, Problem> {
    let title = names::title(&form.title).map_err(Problem::Unusable)?;
    open.conversation.rename(&app.engine, &title).await?;
    Ok(open.back())
}

pub(crate) async fn delete(
    app: State<App>,
    visit: SignedIn,
    Extension(kind): Extension<Kind>,
    Path(id): Path<i64>,
) -> Result<Redirect, Problem> {
    kind.destroy(&app.engine, &visit.user, id).await?;
    Ok(Redirect::to(kind.path()))
}
