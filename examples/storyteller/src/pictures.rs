//! Pictures: what may be attached, and how they are shown. What a file is, its first bytes say, and not its name.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::threads;

/// Largest picture.
pub(crate) const MOST_BYTES: usize = 5_000_000;
pub(crate) const KINDS: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/// What kind of picture it is; `None`: none that browsers only draw.
pub(crate) fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(KINDS[0]),
        [0xff, 0xd8, 0xff, ..] => Some(KINDS[1]),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(KINDS[2]),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(KINDS[3]),
        _ => None,
    }
}

pub(crate) async fn show(
    app: State<App>,
    visit: SignedIn,
    Path((id, part)): Path<(i64, i64)>,
) -> Result<Response, Problem> {
    let thread = threads::find(&app.engine, &visit.user, id).await?;
    let bytes = thread.messages(&app.engine).part_bytes(part).await?;
    let kind = kind(&bytes).ok_or(Problem::NotFound)?;
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=86400")];
    Ok((headers, bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_none_whatever_it_is_called() {
        assert_eq!(kind(b"GIF89a..."), Some("image/gif"));
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        for other in [&b"<svg onload=alert(1)>"[..], b"<html>", b"", b"RIFFxxxxWAVE", b"GIF8"] {
            assert_eq!(kind(other), None);
        }
    }
}
