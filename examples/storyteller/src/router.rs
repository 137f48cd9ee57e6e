//! The map of the app: every address, who answers it, and what all of them have in common.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::app::App;
use crate::problem::Problem;
use crate::{
    account, assets, calls, csrf, headers, live, messages, operations, pictures, runs, stories,
    storyteller_pages as storytellers, thread_pages as threads,
};

pub(crate) fn of(app: App) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/threads")))
        .route("/sign-in", get(account::sign_in_page).post(account::sign_in))
        .route("/sign-out", post(account::sign_out))
        .route("/account", get(account::page))
        .route("/account/delete", post(account::delete))
        .route("/storytellers", get(storytellers::list).post(storytellers::create))
        .route("/storytellers/new", get(storytellers::new))
        .route("/storytellers/{id}", get(storytellers::show).post(storytellers::update))
        .route("/storytellers/{id}/edit", get(storytellers::edit))
        .route("/storytellers/{id}/delete", post(storytellers::delete))
        .route("/threads", get(threads::list).post(threads::create))
        .route("/threads/{id}", get(threads::show))
        .route("/threads/{id}/rename", post(threads::rename))
        .route("/threads/{id}/delete", post(threads::delete))
        .route("/threads/{id}/title", get(threads::title))
        .route("/threads/{id}/turns/{seq}", get(threads::turn))
        .route("/threads/{id}/events", get(live::events))
        .route("/threads/{id}/messages", post(messages::ask))
        .route("/threads/{id}/pictures/{part}", get(pictures::show))
        .route("/threads/{id}/runs/{run}/stop", post(runs::stop))
        .route("/threads/{id}/runs/{run}/retry", post(runs::retry))
        .route("/threads/{id}/runs/{run}/regenerate", post(runs::regenerate))
        .route("/threads/{id}/runs/{run}/choose", post(runs::choose))
        .route("/threads/{id}/calls/{call}/approve", post(calls::approve))
        .route("/threads/{id}/calls/{call}/reject", post(calls::reject))
        .route("/stories", get(stories::list))
        .route("/stories/{id}", get(stories::show))
        .route("/stories/{id}/delete", post(stories::delete))
        .route("/operations", get(operations::page_of))
        .route("/assets/{name}", get(assets::show))
        .fallback(async || Problem::NotFound)
        .layer(from_fn_with_state(app.clone(), csrf::check))
        .layer(DefaultBodyLimit::max(csrf::MOST_BYTES))
        .layer(from_fn(headers::add))
        .with_state(app)
}
