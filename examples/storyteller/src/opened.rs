//! A conversation that is open: the one the address names, if it is the visitor's. For anybody else there is none.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::response::Redirect;

use crate::app::App;
use crate::conversations::{Conversation, Kind};
use crate::problem::Problem;
use crate::session::SignedIn;

#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) visit: SignedIn,
    pub(crate) conversation: Conversation,
}

impl Opened {
    /// To its page.
    pub(crate) fn back(&self) -> Redirect {
        Redirect::to(&self.conversation.path())
    }
}

impl FromRequestParts<App> for Opened {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let visit = SignedIn::from_request_parts(parts, app).await?;
        let kind = *parts.extensions.get::<Kind>().ok_or(Problem::NotFound)?;
        let named = RawPathParams::from_request_parts(parts, app).await;
        let named = named.map_err(|_| Problem::NotFound)?;
        let id = named.iter().find_map(|(name, value)| (name == "id").then_some(value));
        let id = id.and_then(|id| id.parse().ok()).ok_or(Problem::NotFound)?;
        let conversation = kind.find(&app.engine, &visit.user, id).await?;
        Ok(Self { visit, conversation })
    }
}
