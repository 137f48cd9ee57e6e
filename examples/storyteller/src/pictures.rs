//! Pictures: what may be attached, and how they are shown. What a file is, its first bytes say, and not its name.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::opened::Opened;
use crate::problem::Problem;
use crate::signer::hex;

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

/// A browser may keep it, but asks each time whether it may show it still: after a sign-out it may not.
pub(crate) async fn show(
    app: State<App>,
    open: Opened,
    Path((_, part)): Path<(i64, i64)>,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    let bytes = open.conversation.messages(&app.engine).part_bytes(part).await?;
    let kind = kind(&bytes).ok_or(Problem::NotFound)?;
    let tag = format!("\"{}\"", hex(&Sha256::digest(&bytes)));
    let has_it = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|tags| tags.to_str().is_ok_and(|tags| tags.split(',').any(|one| one.trim() == tag)));
    let headers = [(header::CACHE_CONTROL, "private, no-cache"), (header::ETAG, &*tag)];
    if has_it {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(header::CONTENT_TYPE, kind)], bytes).into_response())
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
