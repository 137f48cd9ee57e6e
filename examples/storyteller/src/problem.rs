//! What goes wrong, and the page that says so. No page quotes the database, the provider or a file of ours.

use std::error::Error as _;

use ai_engine::Error;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use crate::pages;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// There is no such page, or it is another user's: nobody can tell which.
    #[error("there is no such page")]
    NotFound,
    #[error("nobody is signed in")]
    NotSignedIn,
    #[error("a request without the token of its session")]
    Forged,
    #[error("the body of a request is too large")]
    TooLarge,
    /// What was sent cannot be used, in words for the user.
    #[error("{0}")]
    Unusable(String),
    #[error("what is decided on is not what was shown")]
    Changed,
    #[error(transparent)]
    Engine(#[from] Error),
    #[error("a page cannot be rendered")]
    Page(#[from] minijinja::Error),
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotSignedIn => StatusCode::UNAUTHORIZED,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::Changed => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Engine(error) => StatusCode::from_u16(error.http_status()).unwrap_or_default(),
            Self::Page(_) | Self::Random(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A heading, and what to do about it.
    fn words(&self, status: StatusCode) -> (&'static str, String) {
        let text = match self {
            Self::Forged => {
                "This form is from another session. Go back, load the page again, and send it once more."
            }
            Self::TooLarge => "What you sent is too large. A picture may have 5 MB at most.",
            Self::Changed => {
                "What would be published is not what you were shown any more. Nothing was published: look at it again."
            }
            Self::Unusable(text) => return ("That did not work", text.clone()),
            Self::Engine(Error::Busy { .. }) => {
                return (
                    "One moment",
                    "An answer is being written. Stop it first, or wait for its end.".to_owned(),
                );
            }
            Self::Engine(Error::Decided { .. }) => {
                return (
                    "Already decided",
                    "Somebody was quicker: this has been decided.".to_owned(),
                );
            }
            Self::Engine(error) if status.is_client_error() && status != StatusCode::NOT_FOUND => {
                return ("That did not work", error.public_message());
            }
            Self::NotFound | Self::Engine(_) if status == StatusCode::NOT_FOUND => {
                return (
                    "Nothing here",
                    "This page does not exist, or it is not yours.".to_owned(),
                );
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                "The app cannot answer at the moment. Try again soon."
            }
            _ => "Something went wrong on our side. It has been written down.",
        };
        (if status.is_server_error() { "Sorry" } else { "That did not work" }, text.to_owned())
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if matches!(self, Self::NotSignedIn) {
            return Redirect::to("/sign-in").into_response();
        }
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, cause = self.source().map(ToString::to_string), "a request failed");
        }
        let (heading, text) = self.words(status);
        let values = context! { heading, text, status => status.as_u16() };
        match pages::bare("problem.html", values) {
            Ok(page) => (status, page).into_response(),
            Err(error) => {
                tracing::error!(%error, "the page of a problem cannot be rendered");
                (status, heading).into_response()
            }
        }
    }
}
