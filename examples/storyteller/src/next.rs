//! Where a sign-in leads to: the page that was asked for, and never a stranger's.

use std::fmt::Write;

use axum::http::header::{HOST, REFERER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};

/// Where it leads to by itself.
pub(crate) const HOME: &str = "/threads";

/// Longest address that is kept, in bytes.
const MOST_BYTES: usize = 1_000;

/// The page that a browser asked for. What changes something is not done again by a sign-in.
pub(crate) fn asked(parts: &Parts) -> Option<String> {
    let path = parts.uri.path_and_query()?.as_str();
    (parts.method == Method::GET).then(|| own(path).map(str::to_owned))?
}

/// The page whose form was sent, by what the browser says of it. It is only shown: what was sent is not done again.
pub(crate) fn of_form(headers: &HeaderMap) -> Option<String> {
    let page: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let is_ours = page.authority()?.as_str() == headers.get(HOST)?;
    is_ours.then(|| own(page.path_and_query()?.as_str()).map(str::to_owned))?
}

/// The sign-in page, which leads on to this one.
pub(crate) fn sign_in(next: Option<&str>) -> String {
    let mut path = "/sign-in".to_owned();
    let Some(next) = next.filter(|next| *next != HOME) else {
        return path;
    };
    path.push_str("?next=");
    for byte in next.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// The address, if it is one of this app. Two slashes begin the name of another host; browsers take a backslash for a slash, and
/// leave out line breaks and tabs.
pub(crate) fn own(path: &str) -> Option<&str> {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = path.starts_with('/') && !path.starts_with("//");
    (is_plain && is_own && path.len() <= MOST_BYTES).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_pages_are_led_to() {
        for path in ["/", "/threads/1?older=a%20b", "/stories", "/a//b", "/x?next=https://e.org"] {
            assert_eq!(own(path), Some(path));
        }
        for path in [
            "",
            "threads",
            "https://evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/\u{e9}t\u{e9}",
            "/a\0",
            "/a\r\nset-cookie: x=y",
            "javascript:alert(1)",
            &format!("/{}", "x".repeat(MOST_BYTES)),
        ] {
            assert_eq!(own(path), None, "{path:?}");
        }
    }

    #[test]
    fn the_sign_in_page_carries_the_whole_address() {
        assert_eq!(sign_in(Some("/a?b=c&d=%20")), "/sign-in?next=/a%3Fb%3Dc%26d%3D%2520");
        assert_eq!(sign_in(Some(HOME)), "/sign-in");
        assert_eq!(sign_in(None), "/sign-in");
    }
}
