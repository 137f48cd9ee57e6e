//! The scripts, the style and the picture of the pages, which are compiled into the program.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

pub(crate) async fn show(Path(name): Path<String>) -> Result<Response, Problem> {
    let (kind, text) = match &*name {
        "app.js" => ("text/javascript; charset=utf-8", include_str!("../assets/app.js")),
        "composer.js" => ("text/javascript; charset=utf-8", include_str!("../assets/composer.js")),
        "place.js" => ("text/javascript; charset=utf-8", include_str!("../assets/place.js")),
        "turns.js" => ("text/javascript; charset=utf-8", include_str!("../assets/turns.js")),
        "live.js" => ("text/javascript; charset=utf-8", include_str!("../assets/live.js")),
        "app.css" => ("text/css; charset=utf-8", include_str!("../assets/app.css")),
        "icon.svg" => ("image/svg+xml", include_str!("../assets/icon.svg")),
        _ => return Err(Problem::NotFound),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, text).into_response())
}
