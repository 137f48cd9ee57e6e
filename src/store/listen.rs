//! Hears on a connection of its own what other processes wrote.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection, RunQueryDsl};

use super::news::{CHANNEL, News};
use crate::error::{Error, Result};

/// So soon it hears what it told itself, or it will hear nothing: a pooler stands in between.
const ITSELF: Duration = Duration::from_secs(5);
/// So often it makes sure of that: a connection that broke on the way says nothing, and neither does one on which nothing is told.
const EACH: Duration = Duration::from_mins(1);
/// What it tells itself.
const HEARING: &str = "h";

/// One connection that hears.
pub(crate) struct Listener {
    url: Arc<str>,
    conn: Option<Hearing>,
    each: Duration,
}

struct Hearing {
    conn: PgConnection,
    /// Since when it waits to hear itself.
    untried: Option<Instant>,
    /// When it told itself something last.
    tried: Instant,
    begun: bool,
}

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) news: Vec<News>,
    /// It hears from now on, and what was told before it did not.
    pub(crate) begins: bool,
}

impl Listener {
    pub(crate) const fn new(url: Arc<str>) -> Self {
        Self { url, conn: None, each: EACH }
    }

    /// What was told since the last look. It does not wait for more, and connects where there is no connection. After an error the
    /// next look begins anew.
    pub(crate) fn hear(&mut self) -> Result<Heard> {
        let heard = self.try_to_hear();
        if heard.is_err() {
            self.conn = None;
        }
        heard
    }

    fn try_to_hear(&mut self) -> Result<Heard> {
        let hearing = match &mut self.conn {
            Some(hearing) => hearing,
            none => none.insert(connect(&self.url)?),
        };
        let mut heard = Heard::default();
        for told in hearing.conn.notifications_iter() {
            let told = told?;
            if told.channel != CHANNEL {
                continue;
            }
            if hearing.untried.is_some() && told.payload.starts_with(HEARING) {
                hearing.untried = None;
                heard.begins = !std::mem::replace(&mut hearing.begun, true);
            }
            heard.news.extend(News::parse_all(&told.payload));
        }
        if hearing.untried.is_some_and(|since| since.elapsed() > ITSELF) {
            let reason =
                "nothing is heard on this connection: a pooler may stand before the database";
            return Err(Error::Connection(reason.to_owned()));
        }
        if hearing.untried.is_none() && hearing.tried.elapsed() >= self.each {
            hearing.tried = Instant::now();
            // On another connection: to write on one that broke on the way takes minutes. Where there is none now, so be it.
            if tell_itself(&self.url).is_ok() {
                hearing.untried = Some(hearing.tried);
            }
        }
        Ok(heard)
    }
}

fn tell_itself(url: &str) -> Result<()> {
    let connected = PgConnection::establish(url);
    let mut conn = connected.map_err(|error| Error::Connection(error.to_string()))?;
    diesel::sql_query(format!("NOTIFY {CHANNEL}, '{HEARING}'")).execute(&mut conn)?;
    Ok(())
}

fn connect(url: &str) -> Result<Hearing> {
    let connected = PgConnection::establish(url);
    let mut conn = connected.map_err(|error| Error::Connection(error.to_string()))?;
    diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut conn)?;
    diesel::sql_query(format!("NOTIFY {CHANNEL}, '{HEARING}'")).execute(&mut conn)?;
    let now = Instant::now();
    Ok(Hearing { conn, untried: Some(now), tried: now, begun: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Messageable;
    use crate::store::news::tell;
    use crate::store::session::Session;

    /// What is heard until something is.
    fn hear(listener: &mut Listener, wanted: impl Fn(&Heard) -> bool) -> Vec<News> {
        let end = Instant::now() + Duration::from_mins(1);
        let mut all = Vec::new();
        loop {
            let heard = listener.hear().unwrap();
            all.extend(heard.news.iter().copied());
            if wanted(&heard) {
                return all;
            }
            assert!(Instant::now() < end, "nothing was heard but {all:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_committed_is_heard_and_nothing_else_also_after_the_connection_is_lost() {
        let Ok(url) = std::env::var("AI_ENGINE_TEST_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
            return;
        };
        let mut conn = PgConnection::establish(&url).unwrap();
        let mut listener = Listener::new(url.into());
        hear(&mut listener, |heard| heard.begins);
        // A run's id that no other test tells of.
        let mine =
            |n: i64| News::Run(Messageable::Chat(i64::MAX - n), i64::from(std::process::id()));
        let mut tell_and_end = |n: i64, commit: bool| {
            let ended = conn.transaction(|conn| {
                tell(conn as &mut dyn Session, &[mine(n)]).unwrap();
                if commit { Ok(()) } else { Err(diesel::result::Error::RollbackTransaction) }
            });
            assert_eq!(ended.is_ok(), commit);
        };
        tell_and_end(1, false);
        tell_and_end(2, true);
        let heard = hear(&mut listener, |heard| heard.news.contains(&mine(2)));
        assert!(!heard.contains(&mine(1)), "it was rolled back");

        let hearing = listener.conn.as_mut().unwrap();
        let gone = diesel::sql_query("SELECT pg_terminate_backend(pg_backend_pid())");
        assert!(gone.execute(&mut hearing.conn).is_err());
        assert!(listener.hear().is_err());
        hear(&mut listener, |heard| heard.begins);
        tell_and_end(3, true);
        hear(&mut listener, |heard| heard.news.contains(&mine(3)));
    }

    /// A connection that the network dropped without a word, as far as this end can see.
    #[test]
    fn a_connection_on_which_nothing_is_heard_any_more_is_made_anew() {
        let Ok(url) = std::env::var("AI_ENGINE_TEST_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
            return;
        };
        let mut listener = Listener { each: Duration::ZERO, ..Listener::new(url.into()) };
        hear(&mut listener, |heard| heard.begins);
        let hearing = listener.conn.as_mut().unwrap();
        diesel::sql_query(format!("UNLISTEN {CHANNEL}")).execute(&mut hearing.conn).unwrap();
        let end = Instant::now() + Duration::from_mins(1);
        while listener.hear().is_ok() {
            assert!(Instant::now() < end, "nobody notices");
            // The time in which it should have heard itself is over.
            let hearing = listener.conn.as_mut().unwrap();
            hearing.untried = hearing.untried.and_then(|since| since.checked_sub(ITSELF));
        }
        hear(&mut listener, |heard| heard.begins);
    }
}
