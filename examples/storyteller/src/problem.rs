//! What goes wrong, and the page that says so. No page quotes the database, the provider or a file of ours.

use std::error::Error as _;

use ai_engine::Error;
use axum::http::StatusCode;
use axum::http::header::InvalidHeaderValue;
use axum::response::{IntoResponse, Redirect, Response};

use crate::next;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// There is no such page, or it is another user's: nobody can tell which.
    #[error("there is no such page")]
    NotFound,
    /// With the page that was asked for, which is shown after the sign-in.
    #[error("nobody is signed in")]
    NotSignedIn(Option<String>),
    #[error("a request without the token of its session")]
    Forged,
    #[error("the body of a request is too large")]
    TooLarge,
    /// What was sent cannot be used, in words for the user.
    #[error("{0}")]
    Unusable(String),
    #[error("what is decided on is not what was shown")]
    Changed,
    #[error("another question follows this answer")]
    NotLast,
    #[error("a request by a name that is not the app's")]
    UnknownHost,
    #[error(transparent)]
    Engine(#[from] Error),
    #[error("a page cannot be rendered")]
    Page(#[from] minijinja::Error),
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
    #[error("a header cannot be written")]
    Header(#[from] InvalidHeaderValue),
}

impl Problem {
    /// A form that is none of ours, or an old one.
    pub(crate) fn unreadable() -> Self {
        Self::Unusable(
            "The form could not be read. Load the page again, and send it once more.".to_owned(),
        )
    }

    /// Whether another try may be written where this one was.
    pub(crate) fn is_of_what_was_sent(&self) -> bool {
        let status = self.status();
        status.is_client_error() && status != StatusCode::NOT_FOUND
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotSignedIn(_) => StatusCode::UNAUTHORIZED,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::Changed | Self::NotLast => StatusCode::CONFLICT,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Engine(error) => StatusCode::from_u16(error.http_status()).unwrap_or_default(),
            Self::Page(_) | Self::Random(_) | Self::Header(_) => StatusCode::INTERNAL_SERVER_ERROR,
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
            Self::NotLast => {
                "Something was asked after this answer, and would be lost with it. Ask anew instead."
            }
            Self::UnknownHost => "This app does not answer to the name in the address.",
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

/// What the page says; the layer in `problem_pages.rs` makes the page.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) heading: &'static str,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn said(&self) -> Said {
        let (heading, text) = self.words(self.status());
        Said { heading, text }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::NotSignedIn(next) = &self {
            return Redirect::to(&next::sign_in(next.as_deref())).into_response();
        }
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, cause = self.source().map(ToString::to_string), "a request failed");
        }
        let said = self.said();
        let mut response = (status, said.text.clone()).into_response();
        response.extensions_mut().insert(said);
        response
    }
}
