//! Tells the other processes at once what was written: PostgreSQL's `NOTIFY`, in the transaction that writes, so that it is heard
//! with the commit and never without it. On SQLite nobody hears, and readers look.

#[cfg(feature = "postgres")]
use diesel::RunQueryDsl;

use super::session::{Conn, Session};
use crate::error::Result;
use crate::model::{Messageable, RunRow};

/// The channel; one for the whole database.
#[cfg(feature = "postgres")]
pub(crate) const CHANNEL: &str = "ai_engine";

#[cfg(feature = "postgres")]
diesel::define_sql_function! {
    /// Its result, `void`, is not read.
    fn pg_notify(channel: diesel::sql_types::Text, payload: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// What happened. It says where to look, and nothing of what there is to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum News {
    /// A turn began on a thread or chat, or another path was taken.
    Turn(Messageable),
    /// A run went on.
    Run(Messageable, i64),
    /// A run waits for whoever drives it.
    Waiting,
    /// Whoever drives this run is to stop.
    Cancel(i64),
}

/// `T12`: a turn of thread 12; `t12.345`: run 345 there; `C…` and `c…` for chats; `q`: something waits; `x345`: run 345 is to stop.
#[cfg(feature = "postgres")]
impl News {
    fn text(self) -> String {
        match self {
            Self::Turn(Messageable::AssistantThread(id)) => format!("T{id}"),
            Self::Turn(Messageable::Chat(id)) => format!("C{id}"),
            Self::Run(Messageable::AssistantThread(id), run) => format!("t{id}.{run}"),
            Self::Run(Messageable::Chat(id), run) => format!("c{id}.{run}"),
            Self::Waiting => "q".to_owned(),
            Self::Cancel(run) => format!("x{run}"),
        }
    }

    /// All that was told together; what is of another release is left out.
    pub(crate) fn parse_all(text: &str) -> impl Iterator<Item = Self> {
        text.split(',').filter_map(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        let id = || rest.parse().ok();
        let run = || {
            let (id, run) = rest.split_once('.')?;
            Some((id.parse().ok()?, run.parse().ok()?))
        };
        Some(match kind {
            "T" => Self::Turn(Messageable::AssistantThread(id()?)),
            "C" => Self::Turn(Messageable::Chat(id()?)),
            "t" => run().map(|(id, run)| Self::Run(Messageable::AssistantThread(id), run))?,
            "c" => run().map(|(id, run)| Self::Run(Messageable::Chat(id), run))?,
            "q" if rest.is_empty() => Self::Waiting,
            "x" => Self::Cancel(id()?),
            _ => return None,
        })
    }
}

/// So much goes into one notification, which may have 8,000 bytes.
#[cfg(feature = "postgres")]
const TOGETHER: usize = 100;

/// Tells it with the commit of the transaction that is open.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, clippy::unnecessary_wraps, reason = "nobody hears on SQLite")
)]
pub(crate) fn tell(session: &mut dyn Session, news: &[News]) -> Result<()> {
    match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            for some in news.chunks(TOGETHER) {
                let texts: Vec<String> = some.iter().map(|news| news.text()).collect();
                diesel::select(pg_notify(CHANNEL, texts.join(","))).execute(conn)?;
            }
            Ok(())
        }
    }
}

/// Whoever follows the run is told that it went on.
pub(crate) fn tell_of_run(session: &mut dyn Session, row: &RunRow) -> Result<()> {
    let of = Messageable::of(row.assistant_thread_id, row.chat_id);
    tell(session, &[News::Run(of, row.id)])
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_nothing_else() {
        let (thread, chat) = (Messageable::AssistantThread(12), Messageable::Chat(3));
        for news in [
            News::Turn(thread),
            News::Turn(chat),
            News::Run(thread, 345),
            News::Run(chat, 345),
            News::Waiting,
            News::Cancel(345),
        ] {
            assert_eq!(News::parse(&news.text()), Some(news));
        }
        let all: Vec<News> = News::parse_all("q,?,x1").collect();
        assert_eq!(all, [News::Waiting, News::Cancel(1)]);
        for strange in ["", "T", "T12.3", "t12", "qq", "x", "z1", "é"] {
            assert_eq!(News::parse(strange), None, "{strange}");
        }
    }
}
