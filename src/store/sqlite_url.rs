//! What opens a SQLite database: a path, or one of the forms of URL that are in use for it.
//!
//! * `sqlite://PATH?mode=…` and `sqlite:PATH?…`, as Diesel, sqlx and most others read them: percent-escapes are decoded.
//! * `file:PATH?…`, SQLite's own (<https://sqlite.org/uri.html>), which SQLite reads itself.
//! * Anything else is a path, letter by letter. One that ends as a URL's query does is refused: it would be a new, empty file.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, Result};

/// SQLite's name for a database in memory.
pub(super) const MEMORY: &str = ":memory:";

/// Which database is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Memory,
    File {
        /// As SQLite takes it.
        name: String,
        /// The file itself, to look whether its folder is there.
        path: PathBuf,
        read_only: bool,
    },
}

/// What ends a path in a URI of SQLite's, or stands for something else there.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// Parameters of SQLite's own URIs that do not change who shares what.
const OF_SQLITE: [&str; 5] = ["vfs", "psow", "nolock", "immutable", "modeof"];

impl Target {
    pub(super) fn of(given: &Path) -> Result<Self> {
        let Some(text) = given.to_str() else {
            return Err(refused(&given.display(), "is not UTF-8, which SQLite's names are"));
        };
        if text.contains('\0') {
            return Err(refused(&text.escape_debug(), "has a NUL in it"));
        }
        if let Some(uri) = text.strip_prefix("file:") {
            return Self::of_uri(text, uri);
        }
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return Self::of_url(text, rest.strip_prefix("//").unwrap_or(rest));
        }
        if let Some((scheme, _)) = text.split_once(':')
            && ["sqlite", "sqlite3", "file"].contains(&scheme.to_ascii_lowercase().as_str())
        {
            let reason = "has a scheme that is not known here; write sqlite: or file:";
            return Err(refused(&text, reason));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let reason = "is no SQLite file; give a path, or sqlite://path";
            return Err(refused(&format!("{scheme}://"), reason));
        }
        if text.rsplit_once('?').is_some_and(|(_, query)| query.contains('=')) {
            let reason = "is a path with a query, which only a URL has; write sqlite:// before it";
            return Err(refused(&text, reason));
        }
        Self::file(text, text.to_owned(), PathBuf::from(text), false)
    }

    /// A URL, without its scheme.
    fn of_url(given: &str, rest: &str) -> Result<Self> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mode = mode(given, path, query, &[])?;
        if mode == Mode::Memory {
            return Ok(Self::Memory);
        }
        let path = decoded(given, path)?;
        let name = match mode {
            Mode::Create | Mode::Memory => path.clone(),
            Mode::ReadWrite => uri(&path, "rw"),
            Mode::ReadOnly => uri(&path, "ro"),
        };
        Self::file(given, name, PathBuf::from(path), mode == Mode::ReadOnly)
    }

    /// A URI of SQLite's, without its scheme.
    fn of_uri(given: &str, rest: &str) -> Result<Self> {
        let without_fragment = rest.split_once('#').map_or(rest, |(uri, _)| uri);
        let (path, query) = without_fragment.split_once('?').unwrap_or((without_fragment, ""));
        let mode = mode(given, path, query, &OF_SQLITE)?;
        if mode == Mode::Memory {
            return Ok(Self::Memory);
        }
        // An empty authority, or the only one that SQLite takes.
        let authority = ["//localhost", "//"].iter().find_map(|some| path.strip_prefix(some));
        let path = decoded(given, authority.unwrap_or(path))?;
        Self::file(given, given.to_owned(), PathBuf::from(path), mode == Mode::ReadOnly)
    }

    fn file(given: &str, name: String, path: PathBuf, read_only: bool) -> Result<Self> {
        if path.as_os_str() == MEMORY {
            return Ok(Self::Memory);
        }
        if path.as_os_str().is_empty() {
            return Err(refused(&given, "is empty: give the path of the SQLite file"));
        }
        Ok(Self::File { name, path, read_only })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    ReadWrite,
    ReadOnly,
    Memory,
}

/// What a query asks for. `others`: what else it may have.
fn mode(given: &str, path: &str, query: &str, others: &[&str]) -> Result<Mode> {
    let mut mode = if path == MEMORY { Mode::Memory } else { Mode::Create };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        mode = match (name, value) {
            ("mode", "rwc" | "rw" | "ro") if path == MEMORY => Mode::Memory,
            ("mode", "rwc") => Mode::Create,
            ("mode", "rw") => Mode::ReadWrite,
            ("mode", "ro") => Mode::ReadOnly,
            ("mode", "memory") => Mode::Memory,
            ("cache", "private" | "shared") => mode,
            (other, _) if others.contains(&other) => mode,
            _ => {
                return Err(refused(
                    &given,
                    &format!("has {parameter:?}, which is not known here: {KNOWN}"),
                ));
            }
        };
    }
    let shared = query.split('&').any(|parameter| parameter == "cache=shared");
    if shared && mode != Mode::Memory {
        return Err(refused(
            &given,
            "has \"cache=shared\": readers and the writer of a shared cache lock each other out; leave it away",
        ));
    }
    Ok(mode)
}

const KNOWN: &str =
    "mode=rwc, mode=rw, mode=ro and mode=memory are; for more, make a pool of your own";

/// The path as a URI of SQLite's.
fn uri(path: &str, mode: &str) -> String {
    format!("file:{}?mode={mode}", utf8_percent_encode(path, ESCAPED))
}

fn decoded(given: &str, path: &str) -> Result<String> {
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    match String::from_utf8(bytes) {
        Ok(path) if path.contains('\0') => Err(refused(&given, "has a NUL in it")),
        Ok(path) => Ok(path),
        Err(_) => Err(refused(&given, "has percent-escapes that are not UTF-8")),
    }
}

fn refused(given: &dyn std::fmt::Display, reason: &str) -> Error {
    Error::Connection(format!("the SQLite database {given} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, path: &str, read_only: bool) -> Target {
        Target::File { name: name.to_owned(), path: path.into(), read_only }
    }

    fn of(text: &str) -> Target {
        Target::of(Path::new(text)).unwrap()
    }

    #[test]
    fn urls_are_read_as_those_who_write_them_mean() {
        let plain = file("/d/a.db", "/d/a.db", false);
        for same in ["/d/a.db", "sqlite:///d/a.db", "sqlite:/d/a.db", "sqlite:///d/a.db?mode=rwc"] {
            assert_eq!(of(same), plain, "{same}");
        }
        assert_eq!(of("sqlite://a.db"), file("a.db", "a.db", false));
        assert_eq!(of("sqlite:a%20b%3F.db"), file("a b?.db", "a b?.db", false));
        assert_eq!(of("a%20b.db"), file("a%20b.db", "a%20b.db", false));
        assert_eq!(of("what?.db"), file("what?.db", "what?.db", false));
        assert_eq!(of("sqlite://a%23.db?mode=ro"), file("file:a%23.db?mode=ro", "a#.db", true));
        assert_eq!(
            of("sqlite:a.db?mode=rw&cache=private"),
            file("file:a.db?mode=rw", "a.db", false)
        );
        let uri = "file:///d/a%20b.db?mode=ro&immutable=1";
        assert_eq!(of(uri), file(uri, "/d/a b.db", true));
        assert_eq!(of("file:a.db"), file("file:a.db", "a.db", false));
    }

    #[test]
    fn memory_has_many_names() {
        for name in [
            ":memory:",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://?mode=memory",
            "file::memory:",
            "file::memory:?cache=shared",
            "file:stories?mode=memory&cache=shared",
            "sqlite:stories?cache=shared&mode=memory",
        ] {
            assert_eq!(of(name), Target::Memory, "{name}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, named) in [
            ("", "empty"),
            ("sqlite://", "empty"),
            ("sqlite://?mode=ro", "empty"),
            ("file:?mode=rw", "empty"),
            ("sqlite://a.db?mode=rwx", "mode=rwx"),
            ("sqlite://a.db?Mode=ro", "Mode=ro"),
            ("sqlite://a.db?immutable=true", "immutable=true"),
            ("sqlite://a.db?cache=shared", "cache=shared"),
            ("file:a.db?cache=shared&mode=rwc", "cache=shared"),
            ("file:a.db?busy=1", "busy=1"),
            ("sqlite://a%FF.db", "UTF-8"),
            ("sqlite://a%00.db", "NUL"),
            ("a\0.db", "NUL"),
            ("a.db?mode=rwc", "sqlite://"),
            ("SQLITE:a.db", "SQLITE:a.db"),
            ("sqlite3:///a.db", "sqlite3:"),
            ("File:a.db", "File:"),
            ("postgres://ada@localhost/stories", "postgres://"),
        ] {
            let error = Target::of(Path::new(text)).unwrap_err();
            assert!(error.to_string().contains(named), "{text:?}: {error}");
        }
    }
}
