//! The map of the app: every address, who answers it, and what all of them have in common.

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::app::App;
use crate::conversations::Kind;
use crate::problem::Problem;
use crate::{
    account, assets, calls, conversation_pages, csrf, headers, hosts, live, messages, operations,
    pictures, problem_pages, runs, stories, storyteller_pages,
};

pub(crate) fn of(app: App) -> Router {
    let calls = Router::new()
        .route("/threads/{id}/calls/{call}/approve", post(calls::approve))
        .route("/threads/{id}/calls/{call}/reject", post(calls::reject));
    Router::new()
        .route("/", get(async || Redirect::to("/threads")))
        .route("/sign-in", get(account::sign_in_page).post(account::sign_in))
        .route("/sign-out", post(account::sign_out))
        .route("/account", get(account::page))
        .route("/account/delete", post(account::delete))
        .route("/storytellers", get(storyteller_pages::list).post(storyteller_pages::create))
        .route("/storytellers/new", get(storyteller_pages::new))
        .route("/storytellers/{id}", get(storyteller_pages::show).post(storyteller_pages::update))
        .route("/storytellers/{id}/edit", get(storyteller_pages::edit))
        .route("/storytellers/{id}/delete", post(storyteller_pages::delete))
        .merge(conversations(Kind::Threads))
        .merge(conversations(Kind::Chats))
        .merge(calls)
        .route("/stories", get(stories::list))
        .route("/stories/{id}", get(stories::show))
        .route("/stories/{id}/delete", post(stories::delete))
        .route("/operations", get(operations::show))
        .route("/assets/{name}", get(assets::show))
        .fallback(async || Problem::NotFound)
        .layer(from_fn_with_state(app.clone(), csrf::check))
        .layer(from_fn_with_state(app.clone(), hosts::check))
        .layer(DefaultBodyLimit::max(csrf::MOST_BYTES))
        .layer(from_fn_with_state(app.clone(), problem_pages::render))
        .layer(from_fn(headers::add))
        .with_state(app)
}

/// The same for threads and chats.
fn conversations(kind: Kind) -> Router<App> {
    let at = |rest: &str| format!("{}{rest}", kind.path());
    Router::new()
        .route(&at(""), get(conversation_pages::list).post(conversation_pages::create))
        .route(&at("/{id}"), get(conversation_pages::show))
        .route(&at("/{id}/rename"), post(conversation_pages::rename))
        .route(&at("/{id}/delete"), post(conversation_pages::delete))
        .route(&at("/{id}/title"), get(conversation_pages::title))
        .route(&at("/{id}/turns/{seq}"), get(conversation_pages::turn))
        .route(&at("/{id}/events"), get(live::events))
        .route(&at("/{id}/messages"), get(messages::back).post(messages::ask))
        .route(&at("/{id}/pictures/{part}"), get(pictures::show))
        .route(&at("/{id}/runs/{run}/stop"), post(runs::stop))
        .route(&at("/{id}/runs/{run}/retry"), post(runs::retry))
        .route(&at("/{id}/runs/{run}/regenerate"), post(runs::regenerate))
        .route(&at("/{id}/runs/{run}/choose"), post(runs::choose))
        .layer(Extension(kind))
}
