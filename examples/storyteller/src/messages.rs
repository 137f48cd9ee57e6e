//! Asking: a question, perhaps with a picture, to the storyteller that was chosen.

use ai_engine::{Busy, Content, prelude::*};
use axum::extract::{Multipart, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use serde_json::json;

use crate::app::App;
use crate::pages::bare;
use crate::pictures;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::words::shortened;
use crate::{storytellers, threads};

/// Longest question, in characters.
const MOST_CHARS: usize = 20_000;

/// What the form sends.
#[derive(Debug, Default)]
struct Asked {
    text: String,
    teller: i32,
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

pub(crate) async fn ask(
    app: State<App>,
    visit: SignedIn,
    Path(id): Path<i64>,
    headers: HeaderMap,
    form: Multipart,
) -> Result<Response, Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let asked = read(form).await?;
    let teller = storytellers::find(&app, &visit.user, asked.teller).await;
    let teller = teller
        .map_err(|_| Problem::Unusable("Choose a storyteller who is to answer.".to_owned()))?;
    let mut content = Content::text(asked.text);
    let mut metadata = json!({});
    if let Some(picture) = asked.picture {
        metadata = json!({"picture": shortened(&picture.name, 100)});
        content = content.image(picture.kind, picture.bytes);
    }
    // While an answer runs the question waits for its turn, and the page says so.
    let mut request = teller
        .ai_engine_run(&app.engine, &thread, content)
        .author(&visit.user.name)
        .message_metadata(metadata)
        .when_busy(Busy::Queue);
    if !asked.key.is_empty() {
        request = request.idempotency_key(asked.key);
    }
    let run = request.submit().await?;
    // Events are told turn by turn: of one that waits behind another the script would hear when that has ended.
    if headers.contains_key("x-live") {
        let turn = threads::turn(&app.engine, &thread, run.seq).await?;
        return Ok(bare("turn.html", context! { turn, frame => visit.frame })?.into_response());
    }
    Ok(Redirect::to(&format!("/threads/{id}")).into_response())
}

async fn read(mut form: Multipart) -> Result<Asked, Problem> {
    let unreadable = |_| Problem::Unusable("The form could not be read.".to_owned());
    let mut asked = Asked::default();
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        match &*name {
            "text" => field.text().await.map_err(unreadable)?.trim().clone_into(&mut asked.text),
            "teller" => asked.teller = field.text().await.map_err(unreadable)?.parse().unwrap_or(0),
            "key" => asked.key = field.text().await.map_err(unreadable)?,
            "picture" => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let bytes = field.bytes().await.map_err(unreadable)?;
                asked.picture = picture(name, bytes.to_vec())?;
            }
            _ => {}
        }
    }
    if asked.text.is_empty() && asked.picture.is_none() {
        return Err(Problem::Unusable("Write something first.".to_owned()));
    }
    if asked.text.chars().count() > MOST_CHARS || asked.key.len() > 100 {
        return Err(Problem::Unusable(format!("A question has {MOST_CHARS} characters at most.")));
    }
    Ok(asked)
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
