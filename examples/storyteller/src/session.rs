//! Who is there: a signed cookie says it, and no table is needed. Every session has a nonce, which the CSRF token is bound to.

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, header, request::Parts};
use chrono::Utc;
use diesel::prelude::*;

use crate::app::App;
use crate::database::read;
use crate::next;
use crate::pages::Frame;
use crate::problem::Problem;
use crate::schema::users;
use crate::signer::random;
use crate::users::User;

const COOKIE: &str = "storyteller";
/// A month, in seconds.
const KEPT: i64 = 30 * 24 * 60 * 60;

fn now() -> i64 {
    Utc::now().timestamp()
}

/// A browser's session, with or without a user.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user_id: Option<i32>,
    pub(crate) nonce: String,
    /// When it ends, in seconds since 1970.
    ends: i64,
    /// The browser does not have it yet.
    pub(crate) is_new: bool,
}

impl Session {
    /// A session that nobody had before: each sign-in begins one.
    pub(crate) fn begin(user_id: Option<i32>) -> Result<Self, Problem> {
        Ok(Self { user_id, nonce: random()?, ends: now() + KEPT, is_new: true })
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.user_id.unwrap_or_default(), self.nonce, self.ends)
    }

    /// What every form and every request that changes something carries.
    pub(crate) fn csrf(&self, app: &App) -> String {
        app.signer.sign(&format!("csrf {}", self.text()))
    }

    pub(crate) fn has_token(&self, app: &App, token: &str) -> bool {
        app.signer.has_signed(&format!("csrf {}", self.text()), token)
    }

    /// The header that gives it to the browser.
    pub(crate) fn cookie(&self, app: &App) -> Result<HeaderValue, Problem> {
        let (text, secure) = (self.text(), if app.settings.https { "; Secure" } else { "" });
        let signature = app.signer.sign(&format!("session {text}"));
        let cookie = format!(
            "{COOKIE}={text}.{signature}; Path=/; HttpOnly; SameSite=Lax; Max-Age={KEPT}{secure}"
        );
        Ok(HeaderValue::from_str(&cookie)?)
    }

    fn read(app: &App, parts: &Parts) -> Option<Self> {
        let cookies = parts.headers.get_all(header::COOKIE).iter();
        let mut pairs =
            cookies.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let value = pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
        let (text, signature) = value.rsplit_once('.')?;
        if !app.signer.has_signed(&format!("session {text}"), signature) {
            return None;
        }
        let mut parts = text.split('.');
        let (user, nonce, ends) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
        // The browser forgets it then; a copy elsewhere ends as well.
        if ends <= now() {
            return None;
        }
        let user_id = user.parse().ok().filter(|id| *id != 0);
        Some(Self { user_id, nonce: nonce.to_owned(), ends, is_new: false })
    }
}

impl FromRequestParts<App> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Self::read(app, parts).map_or_else(|| Self::begin(None), Ok)
    }
}

/// A user who is signed in, and what every page shows of that. Anybody else is sent to the sign-in page.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    pub(crate) user: User,
    pub(crate) frame: Frame,
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let session = Session::from_request_parts(parts, app).await?;
        let refused = || Problem::NotSignedIn(next::asked(parts));
        let id = session.user_id.ok_or_else(refused)?;
        let (user, first): (Option<User>, Option<i32>) = read!(app.db, |conn| {
            let user = users::table.find(id).select(User::as_select()).first(conn).optional()?;
            (user, users::table.select(diesel::dsl::min(users::id)).first(conn)?)
        })?;
        let user = user.ok_or_else(refused)?;
        let is_admin = match &app.settings.admin {
            Some(name) => *name == user.name,
            None => first == Some(user.id),
        };
        let frame = Frame {
            user: Some(user.name.clone()),
            csrf: session.csrf(app),
            is_demo: !app.settings.has_key,
            is_admin,
        };
        Ok(Self { session, user, frame })
    }
}
