//! A stream of events ends with the session that opened it: whoever signed out, or has no account any more, reads on nowhere.
//!
//! This process knows it of its own streams. Where several serve the app, a stream of another one ends when its browser leaves it.

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::session::Session;

/// Who is gone.
#[derive(Clone, Debug)]
enum Gone {
    /// One browser's session, by its nonce.
    Session(String),
    /// All sessions of a user.
    User(i32),
}

impl Gone {
    fn is(&self, session: &Session) -> bool {
        match self {
            Self::Session(nonce) => *nonce == session.nonce,
            Self::User(id) => Some(*id) == session.user_id,
        }
    }
}

/// Tells the open streams who is gone.
#[derive(Clone, Debug)]
pub(crate) struct SignedOut(broadcast::Sender<Gone>);

/// Untold ones at once; a stream that missed one ends as well, and its browser asks anew whether it may read.
const UNTOLD: usize = 64;

impl Default for SignedOut {
    fn default() -> Self {
        Self(broadcast::channel(UNTOLD).0)
    }
}

impl SignedOut {
    // That no stream is open is no failure.
    pub(crate) fn session(&self, session: &Session) {
        let _ = self.0.send(Gone::Session(session.nonce.clone()));
    }

    pub(crate) fn user(&self, id: i32) {
        let _ = self.0.send(Gone::User(id));
    }

    /// The same answer, which ends when this session does.
    pub(crate) fn limit(&self, session: Session, answer: Response) -> Response {
        let mut told = self.0.subscribe();
        let gone = async move {
            loop {
                match told.recv().await {
                    Ok(gone) if !gone.is(&session) => {}
                    Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                }
            }
        };
        answer.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(gone))))
    }
}
