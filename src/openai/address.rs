//! The base URL: what is accepted, and what of it may be shown.

use reqwest::Url;

use super::{Error, Result};

pub(super) const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

pub(super) fn parse_base_url(text: &str) -> Result<Url> {
    let refuse = |why: &str| {
        // A query may hold a key.
        let shown = without_user_info(text);
        let shown = shown.split('?').next().unwrap_or_default();
        let message = format!(
            "{shown:?} {why}; write it like {DEFAULT_BASE_URL} (or set OPENAI_BASE_URL so)"
        );
        Err(Error::configuration("base_url", message))
    };
    match Url::parse(text) {
        Err(error) => refuse(&format!("is no URL ({error})")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            refuse("does not begin with http:// or https://")
        }
        Ok(url) if url.fragment().is_some() => refuse("has a fragment"),
        Ok(url) => Ok(url),
    }
}

/// A proxy cannot reach a server on this machine, or reaches one on its own.
pub(super) fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The user name and password of a URL, as written.
pub(super) fn user_info(url: &str) -> Option<&str> {
    let start = url.find("//").map_or(0, |slashes| slashes + 2);
    let rest = url.get(start..)?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(user_info, _)| user_info)
}

/// A URL without the user name and password it may hold. Works for texts that are no URL, too.
pub(super) fn without_user_info(url: &str) -> String {
    let start = url.find("//").map_or(0, |slashes| slashes + 2);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}{}", &url[..start], &url[start + at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_cut_from_anything() {
        for (url, expected) in [
            ("https://u:p@host/a", "https://host/a"),
            ("https://u:p@h@host", "https://host"),
            ("u:p@host/a@b", "host/a@b"),
            ("https://host/a@b", "https://host/a@b"),
            ("/v1/x", "/v1/x"),
            ("//u@host", "//host"),
        ] {
            assert_eq!(without_user_info(url), expected);
        }
    }

    #[test]
    fn proxies_are_not_used_for_this_machine() {
        for (url, expected) in [
            ("http://localhost:1/v1", true),
            ("http://127.0.0.1/v1", true),
            ("http://[::1]:8/v1", true),
            ("http://127.example.com", false),
            ("https://api.openai.com", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
