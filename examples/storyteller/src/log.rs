//! What the app and the engine write down: warnings and errors, on the standard error stream. `RUST_LOG` asks for more, or for less.

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::{self, MakeWriter};

/// For the whole program.
pub(crate) fn start() -> Result<(), ai_engine::BoxError> {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let log = writing(filter(&asked)?, std::io::stderr);
    Ok(tracing::subscriber::set_global_default(log)?)
}

/// Nothing asked for: warnings and errors.
fn filter(asked: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse(asked)
}

fn writing<W>(filter: EnvFilter, to: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::fmt().with_env_filter(filter).with_writer(to).finish()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use axum::response::IntoResponse;

    use super::*;
    use crate::problem::Problem;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_page_says_is_written_down_is_written_down() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = writing(filter("").unwrap(), move || writer.clone());
        let _log = tracing::subscriber::set_default(log);
        let failed = ai_engine::Error::host("the disk is full");
        let said = Problem::Engine(failed);
        assert!(said.said().text.contains("written down"), "{:?}", said.said());
        let _ = said.into_response();
        let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(filter("ai_engine=loudly").is_err(), "what cannot be read is not left out");
        assert!(written.contains("ERROR") && written.contains("the disk is full"), "{written}");
    }
}
