//! Asking: a question, perhaps with a picture, to the storyteller that was chosen, or in a chat to a model.

use ai_engine::{Busy, Content, Run, prelude::*};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use serde_json::json;

use crate::app::App;
use crate::conversation_pages::{self, Written};
use crate::conversations::Conversation;
use crate::opened::Opened;
use crate::pages::bare;
use crate::pictures;
use crate::problem::Problem;
use crate::storyteller_form::MOST_MODEL;
use crate::turn_pages::turn_view;
use crate::words::{NUL, has_nul, lines};
use crate::{names, storytellers};

/// Longest question, in characters.
pub(crate) const MOST_CHARS: usize = 20_000;
/// Longest name of a picture that is kept, in characters.
const MOST_PICTURE_NAME: usize = 100;
/// Longest key, in bytes; ours have fewer.
const MOST_KEY: usize = 100;

/// What the form sends.
#[derive(Debug, Default)]
struct Asked {
    text: String,
    /// In a thread.
    teller: i32,
    /// In a chat.
    model: String,
    /// The same form sent twice asks once.
    key: String,
    picture: Option<Picture>,
}

#[derive(Debug)]
struct Picture {
    name: String,
    kind: &'static str,
    bytes: Vec<u8>,
}

/// The address of a question that was refused shows its conversation when it is visited.
pub(crate) async fn back(open: Opened) -> Redirect {
    open.back()
}

pub(crate) async fn ask(
    app: State<App>,
    open: Opened,
    headers: HeaderMap,
    form: Multipart,
) -> Result<Response, Problem> {
    let is_live = headers.contains_key("x-live");
    let mut asked = Asked::default();
    let run = match submit(&app, &open, &mut asked, form).await {
        Ok(run) => run,
        // The script keeps what was written, and says what is wrong with it.
        Err(problem) if is_live || !problem.is_of_what_was_sent() => return Err(problem),
        Err(problem) => return refused(&app, &open, asked, &problem).await,
    };
    // The script shows it at once.
    if is_live {
        let turn = open.conversation.turn(&app.engine, run.seq).await?;
        let turn = turn_view(&app.engine, &open.conversation, &turn).await?;
        let frame = &open.visit.frame;
        return Ok(bare("turn.html", context! { turn, frame })?.into_response());
    }
    Ok(open.back().into_response())
}

/// Its conversation once more, with all but the picture in the form again: no browser gives a file back.
async fn refused(
    app: &App,
    open: &Opened,
    asked: Asked,
    problem: &Problem,
) -> Result<Response, Problem> {
    let written = Written {
        text: asked.text.replace('\0', ""),
        teller: Some(asked.teller).filter(|teller| *teller != 0),
        model: Some(asked.model).filter(|model| names::is_visible(model)),
        said: Some(problem.said().text),
    };
    let page = conversation_pages::shown(app, open, None, written, None).await?;
    Ok((problem.status(), page).into_response())
}

/// `asked` is what was read of the form, whatever is wrong with it.
async fn submit(
    app: &App,
    open: &Opened,
    asked: &mut Asked,
    form: Multipart,
) -> Result<Run, Problem> {
    read(asked, form).await?;
    let (user, engine) = (&open.visit.user, &app.engine);
    let mut content = Content::text(&asked.text);
    let mut metadata = json!({});
    if let Some(picture) = asked.picture.take() {
        if let Some(name) = names::cleaned(&picture.name, MOST_PICTURE_NAME) {
            metadata = json!({"picture": name});
        }
        content = content.image(picture.kind, picture.bytes);
    }
    let request = match &open.conversation {
        Conversation::Thread(thread) => {
            let teller = match storytellers::find(app, user, asked.teller).await {
                Err(Problem::NotFound) => return Err(nobody(asked.teller)),
                found => found?,
            };
            teller.ai_engine_run(engine, thread, content)
        }
        Conversation::Chat(chat) => {
            let model = names::checked(&asked.model, "model", MOST_MODEL);
            chat.run(engine, &*model.map_err(Problem::Unusable)?, content)
        }
    };
    // While an answer runs the question waits for its turn, and the page says so.
    let mut request = request.author(&user.name).message_metadata(metadata).when_busy(Busy::Queue);
    if !asked.key.is_empty() {
        request = request.idempotency_key(&*asked.key);
    }
    Ok(request.submit().await?)
}

fn nobody(chosen: i32) -> Problem {
    let said = match chosen {
        0 => "Choose a storyteller who is to answer.",
        _ => "The storyteller you chose is gone. Load the page again, and choose another one.",
    };
    Problem::Unusable(said.to_owned())
}

/// A form that is too large is not one that cannot be read.
fn unread(error: &MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ => Problem::unreadable(),
    }
}

async fn text(field: Field<'_>) -> Result<String, Problem> {
    field.text().await.map_err(|error| unread(&error))
}

async fn read(asked: &mut Asked, mut form: Multipart) -> Result<(), Problem> {
    while let Some(field) = form.next_field().await.map_err(|error| unread(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        match &*name {
            "text" => asked.text = lines(&text(field).await?),
            "teller" => asked.teller = text(field).await?.parse().unwrap_or(0),
            "model" => asked.model = text(field).await?,
            "key" => asked.key = text(field).await?,
            "picture" => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let bytes = field.bytes().await.map_err(|error| unread(&error))?;
                let picture = picture(name, bytes.to_vec())?;
                if picture.is_some() && asked.picture.is_some() {
                    return Err(Problem::Unusable("One picture at a time, please.".to_owned()));
                }
                asked.picture = asked.picture.take().or(picture);
            }
            _ => {}
        }
    }
    if has_nul(&asked.text) {
        return Err(Problem::Unusable(NUL.to_owned()));
    }
    let has_words = names::is_visible(&asked.text);
    if !has_words && asked.picture.is_none() {
        return Err(Problem::Unusable("Write something first.".to_owned()));
    }
    if !has_words {
        asked.text.clear();
    }
    if asked.key.len() > MOST_KEY || has_nul(&asked.key) {
        return Err(Problem::unreadable());
    }
    let long = asked.text.chars().count();
    if long > MOST_CHARS {
        let said = format!("A question has {MOST_CHARS} characters at most; this one has {long}.");
        return Err(Problem::Unusable(said));
    }
    Ok(())
}

/// Browsers send an empty file where none was chosen.
fn picture(name: String, bytes: Vec<u8>) -> Result<Option<Picture>, Problem> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > pictures::MOST_BYTES {
        return Err(Problem::TooLarge);
    }
    let Some(kind) = pictures::kind(&bytes) else {
        let said = "This file is none of the pictures that can be sent: PNG, JPEG, WebP or GIF.";
        return Err(Problem::Unusable(said.to_owned()));
    };
    Ok(Some(Picture { name, kind, bytes }))
}
