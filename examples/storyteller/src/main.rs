//! Storyteller: the starter kit, a whole web app around `ai-engine`.
//!
//! `cargo run -p storyteller`, then open the address that it prints. `app.rs` puts the parts together, `router.rs` is the map of
//! its pages, README.md names the settings.
#![allow(clippy::print_stdout, reason = "a program")]

mod account;
mod app;
mod assets;
mod calls;
mod conversation_pages;
mod conversations;
mod csrf;
mod database;
mod headers;
mod hosts;
mod live;
mod log;
mod markdown;
mod markdown_pieces;
mod messages;
mod names;
mod next;
mod opened;
mod operations;
mod pages;
mod pictures;
mod problem;
mod problem_pages;
mod publish;
mod router;
mod runs;
mod schema;
mod session;
mod settings;
mod signed_out;
mod signer;
mod stories;
mod storyteller_form;
mod storyteller_pages;
mod storytellers;
#[cfg(test)]
mod tests;
mod told;
mod turn_pages;
mod turns;
mod users;
mod words;

use std::net::Ipv4Addr;
use std::time::Duration;

use ai_engine::BoxError;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::App;
use crate::settings::Settings;

/// How long the last requests may take when the engine has ended.
const REQUESTS_END: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    log::start()?;
    let settings = Settings::from_env()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
    let app = App::open(settings).await?;
    app.engine.start().await?;
    println!("http://{}", listener.local_addr()?);
    // Streams of events end with the engine, so the server can end, too.
    let (tell, told) = oneshot::channel();
    let shutdown = app.engine.shutdown_on_signal(Duration::from_secs(10));
    let ended = async {
        shutdown.await;
        // Nobody waits for it any more where the server has ended by itself.
        let _ = tell.send(());
    };
    let served = axum::serve(listener, router::of(app)).with_graceful_shutdown(ended);
    // An upload that does not go on, or a browser that reads nothing, keeps no process from ending.
    let late = async {
        match told.await {
            Ok(()) => tokio::time::sleep(REQUESTS_END).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = served => ended?,
        () = late => tracing::warn!("requests were not at their end, and are broken off"),
    }
    Ok(())
}
