//! An app with a database and a model of its own, and browsers that visit it.

use std::fmt::Write;
use std::time::Duration;

use ai_engine::prelude::*;
use ai_engine::testing::FakeOpenAi;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use diesel::prelude::*;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::app::App;
use crate::database::read;
use crate::router;
use crate::schema::users;
use crate::settings::Settings;
use crate::users::User;

/// Of one test; its database goes with it.
pub(super) struct World {
    pub(super) app: App,
    pub(super) fake: FakeOpenAi,
    pub(super) router: Router,
    /// Deleted with this.
    folder: Option<TempDir>,
    #[cfg(feature = "postgres")]
    dropped: Option<postgres::DropDatabase>,
}

pub(super) fn settings(database_url: String) -> Settings {
    Settings {
        port: 0,
        database_url,
        model: "gpt-6-luna".to_owned(),
        https: false,
        host: None,
        secret: None,
        admin: None,
        has_key: true,
        demo_pace: Duration::ZERO,
    }
}

impl World {
    pub(super) async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("storyteller.sqlite3");
        let mut world = Self::on(path.to_str().unwrap().to_owned()).await;
        world.folder = Some(folder);
        world
    }

    async fn on(url: String) -> Self {
        let fake = FakeOpenAi::start().await.unwrap();
        fake.demo_pace(Duration::ZERO);
        let app = App::asking(settings(url), fake.openai().unwrap(), None).await.unwrap();
        app.engine.start().await.unwrap();
        Self {
            router: router::of(app.clone()),
            app,
            fake,
            folder: None,
            #[cfg(feature = "postgres")]
            dropped: None,
        }
    }

    /// A browser in which nobody is signed in.
    pub(super) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: String::new(), csrf: String::new() }
    }

    /// A browser with this user.
    pub(super) async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        browser.get("/sign-in").await;
        let answer = browser.post("/sign-in", &[("name", name)]).await;
        assert_eq!((answer.status, &*answer.location), (303, "/threads"));
        // Every session has a token of its own; this page has one for sure.
        browser.get("/account").await;
        browser
    }

    /// A browser with this user, who has one storyteller and one thread; its address.
    pub(super) async fn with_thread(&self, name: &str) -> (Browser, String) {
        let mut browser = self.signed_in(name).await;
        let fields = [("name", "Scheherazade"), ("model", "gpt-6-luna"), ("instructions", "Tell.")];
        assert_eq!(browser.post("/storytellers", &fields).await.status, 303);
        let thread = browser.post("/threads", &[]).await.location;
        // One with a title: no model is asked for it, and all replies are for the questions.
        browser.post(&format!("{thread}/rename"), &[("title", "Stories")]).await;
        (browser, thread)
    }

    /// The row of this user.
    pub(super) async fn user(&self, name: &str) -> User {
        let name = name.to_owned();
        read!(self.app.db, |conn| users::table
            .filter(users::name.eq(&name))
            .select(User::as_select())
            .first(conn)?)
        .unwrap()
    }

    /// Waits until this run has ended, or waits for a decision.
    pub(super) async fn until_answered(&self, run: i64) {
        let _ = self.app.engine.answer(run).await;
    }
}

pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut form, byte| {
        let _ = write!(form, "%{byte:02X}");
        form
    })
}

#[derive(Clone)]
pub(super) struct Browser {
    router: Router,
    pub(super) cookie: String,
    /// Of the last page that had one.
    pub(super) csrf: String,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: String,
    pub(super) headers: header::HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// What the page says is wrong.
    pub(super) fn problem(&self) -> &str {
        let said = self.body.split("data-problem>").nth(1).unwrap_or_default();
        said.split('<').next().unwrap()
    }

    /// What follows each `data-NAME="` of the page.
    pub(super) fn data(&self, name: &str) -> Vec<String> {
        let begin = format!("data-{name}=\"");
        let pieces = self.body.split(&begin).skip(1);
        pieces.map(|piece| piece.split('"').next().unwrap().to_owned()).collect()
    }

    /// The run of the newest turn.
    pub(super) fn run(&self) -> i64 {
        self.data("run").last().unwrap().parse().unwrap()
    }
}

impl Browser {
    /// The app was started again.
    pub(super) fn moves_to(&mut self, world: &World) {
        self.router = world.router.clone();
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        self.post_with(path, &csrf, fields).await
    }

    pub(super) async fn post_with(
        &mut self,
        path: &str,
        csrf: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let fields = [("csrf", csrf)].into_iter().chain(fields.iter().copied());
        let form: Vec<String> =
            fields.map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let form = form.join("&");
        let kind = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header(header::CONTENT_TYPE, kind), form.into()).await
    }

    /// Asks as the form does; `picture`: the file's name and bytes.
    pub(super) async fn ask(
        &mut self,
        thread: &str,
        text: &str,
        picture: Option<(&str, &[u8])>,
    ) -> Answer {
        self.ask_once(thread, text, picture, "").await
    }

    /// The same, with the key of a form that is sent once.
    pub(super) async fn ask_once(
        &mut self,
        thread: &str,
        text: &str,
        picture: Option<(&str, &[u8])>,
        key: &str,
    ) -> Answer {
        let page = self.get(thread).await;
        // A thread has storytellers to choose from, a chat the name of a model.
        let first = |piece: &str| piece.split('"').next().unwrap().to_owned();
        let (who, value) = match page.body.split("name=\"model\" value=\"").nth(1) {
            Some(model) => ("model", first(model)),
            None => ("teller", first(page.body.split("<option value=\"").nth(1).unwrap())),
        };
        let picture = picture.map(|(file, bytes)| ("picture", file, bytes));
        let fields = [("text", text), (who, &*value), ("key", key)];
        self.ask_with(thread, &fields, picture.as_slice()).await
    }

    /// The form with these fields and files, whatever the page has; a file: the field's name, its own, and its bytes.
    pub(super) async fn ask_with(
        &mut self,
        thread: &str,
        fields: &[(&str, &str)],
        files: &[(&str, &str, &[u8])],
    ) -> Answer {
        let csrf = self.csrf.clone();
        let mut form = Vec::new();
        for (name, value) in [("csrf", &*csrf)].iter().chain(fields) {
            let part = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            form.extend(part.into_bytes());
        }
        for (field, file, bytes) in files {
            let part = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file}\"\r\n\
                 Content-Type: image/png\r\n\r\n"
            );
            form.extend(part.into_bytes());
            form.extend(*bytes);
            form.extend(b"\r\n");
        }
        form.extend(b"--edge--\r\n");
        let request = Request::post(format!("{thread}/messages"))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
        self.send(request, form.into()).await
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let response = self.response(request, body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(token) = body.split("name=\"csrf\" value=\"").nth(1) {
            token.split('"').next().unwrap().clone_into(&mut self.csrf);
        }
        let location = headers.get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        Answer { status, location: location.unwrap_or_default(), headers, body }
    }

    /// The answer while it comes.
    pub(super) async fn response(
        &mut self,
        request: axum::http::request::Builder,
        body: Body,
    ) -> axum::response::Response {
        let is_named = request.headers_ref().is_some_and(|named| named.contains_key(header::HOST));
        let request =
            if is_named { request } else { request.header(header::HOST, "localhost:3000") };
        let request = request.header(header::COOKIE, &self.cookie).body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        response
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::atomic::{AtomicU32, Ordering};

    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;

    use super::World;

    pub(super) struct DropDatabase {
        server: String,
        name: String,
    }

    impl Drop for DropDatabase {
        fn drop(&mut self) {
            if let Ok(mut conn) = PgConnection::establish(&self.server) {
                let _ = conn
                    .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
            }
        }
    }

    impl World {
        /// `None`, with a line that says so, when there is no server.
        pub(in crate::tests) async fn on_postgres() -> Option<Self> {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let Ok(server) = std::env::var("AI_ENGINE_TEST_POSTGRES") else {
                eprintln!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
                return None;
            };
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("storyteller_{}_{number}", std::process::id());
            let mut conn = PgConnection::establish(&server).unwrap();
            conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
            let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
            let mut world = Self::on(url).await;
            world.dropped = Some(DropDatabase { server, name });
            Some(world)
        }
    }
}
