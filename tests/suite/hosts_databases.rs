//! Databases as hosts have them: read beside writers, with the host's own errors, at other isolation levels, under the host's
//! locks, behind a pooler, in memory.

mod files;
mod isolation;
mod poolers;
mod within;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ai_engine::{Error, RunStatus, prelude::*};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind::UniqueViolation, Error::DatabaseError};

use crate::support::*;

/// Far longer than anything here takes.
const NEVER: Duration = Duration::from_secs(30);

on_each_database!(
    a_read_waits_for_no_writer,
    a_read_sees_one_moment,
    a_read_cannot_write,
    long_reads_leave_the_engine_a_connection,
    a_transaction_fails_with_the_hosts_error,
    a_row_of_the_hosts_that_is_not_there_is_no_refusal,
);

async fn a_read_waits_for_no_writer<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let (mut writer, mut written) = (host.db.connect(), 0);
    D::begin(&mut writer, |conn| {
        conn.batch_execute("UPDATE users SET name = 'Eve' WHERE id = 1")?;
        let database = host.db.database();
        // On another thread, as this one is inside of the host's transaction.
        let (send, receive) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let read = D::read::<_, Error>(&database, |conn| {
                Ok(conn.number("SELECT count(*) FROM users WHERE name = 'Ada'"))
            });
            send.send(runtime.block_on(read)).unwrap();
        });
        written = receive.recv().unwrap()?;
        Ok(())
    })
    .unwrap();
    assert_eq!(written, 1, "what was committed before");
}

async fn a_read_sees_one_moment<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let (db, database) = (host.db.clone(), host.db.database());
    let read = D::read::<_, Error>(&database, move |conn| {
        let before = conn.number("SELECT count(*) FROM users");
        db.execute("INSERT INTO users (id, name) VALUES (3, 'Cleo')");
        Ok((before, conn.number("SELECT count(*) FROM users")))
    });
    let (before, after) = read.await.unwrap();
    assert_eq!(before, after);
    assert_eq!(host.db.number("SELECT count(*) FROM users"), before + 1);
}

async fn a_read_cannot_write<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let database = host.db.database();
    for _ in 0..5 {
        let read =
            D::read::<_, Error>(&database, |conn| Ok(conn.try_execute("DELETE FROM users")?));
        let error = read.await.unwrap_err().to_string();
        assert!(error.contains("`transaction`"), "{error}");
        let panicked = D::read::<(), Error>(&database, |_| panic!("ouch")).await.unwrap_err();
        assert!(matches!(panicked, Error::Panicked(_)), "{panicked}");
    }
    // No connection is left that cannot write.
    for id in 10..15 {
        let write = D::transact::<_, Error>(&database, move |conn| {
            Ok(conn.try_execute(&format!("INSERT INTO users (id, name) VALUES ({id}, 'Dan')"))?)
        });
        write.await.unwrap();
    }
}

/// The host's reads, however many and long, must leave the engine something to work with.
async fn long_reads_leave_the_engine_a_connection<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let long_read = |hold: Hold| {
        let database = host.db.database();
        async move {
            let read = D::read::<_, Error>(&database, move |_| {
                hold();
                Ok(())
            });
            read.await
        }
    };
    leave_the_engine_a_connection(&host, long_read).await;
}

/// Keeps a connection until the test lets go of it.
type Hold = Box<dyn FnOnce() + Send>;

/// A run is answered beside as many of the host's `long` works as may be at once, and others that wait.
async fn leave_the_engine_a_connection<D, F>(host: &Host<D>, long: impl Fn(Hold) -> F)
where
    D: TestDatabase,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let ((release, wait), (begun, has_begun)) = (mpsc::channel::<()>(), mpsc::channel());
    let (wait, mut works) = (Arc::new(Mutex::new(wait)), Vec::new());
    for _ in 0..8 {
        let (wait, begun) = (Arc::clone(&wait), begun.clone());
        works.push(tokio::spawn(long(Box::new(move || {
            begun.send(()).unwrap();
            let _ = wait.lock().unwrap().recv();
        }))));
    }
    for _ in 0..2 {
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
    }
    let asked = async {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap()
    };
    let answer = tokio::time::timeout(NEVER, asked).await.expect("no connection is left");
    assert_eq!(answer.run.status, RunStatus::Completed);
    drop(release);
    for work in works {
        work.await.unwrap().unwrap();
    }
}

/// An error as a host has it.
#[derive(Debug)]
enum Trouble {
    SoldOut { left: i64 },
    Diesel(diesel::result::Error),
    Engine(Error),
}

impl From<diesel::result::Error> for Trouble {
    fn from(error: diesel::result::Error) -> Self {
        Self::Diesel(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

async fn a_transaction_fails_with_the_hosts_error<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let database = host.db.database();
    let teller = Storyteller { id: 8, ..host.teller.clone() };
    let sold_out = D::transact::<(), _>(&database, move |conn| {
        conn.insert_storyteller(&teller)?;
        teller.create_openai_assistant_in(conn)?;
        Err(Trouble::SoldOut { left: 0 })
    });
    assert!(matches!(sold_out.await, Err(Trouble::SoldOut { left: 0 })));
    assert_eq!(host.db.number("SELECT count(*) FROM storytellers WHERE id = 8"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_assistants"), 0);

    let diesels = D::transact::<(), Trouble>(&database, |conn| {
        Ok(conn.try_execute("INSERT INTO users (id, name) VALUES (1, 'Ada again')")?)
    });
    assert!(matches!(diesels.await, Err(Trouble::Diesel(DatabaseError(UniqueViolation, _)))));
    let ours = D::transact::<(), Trouble>(&database, |_| panic!("ouch"));
    assert!(matches!(ours.await, Err(Trouble::Engine(Error::Panicked(_)))));
    // Diesel's own error will do as well.
    let plain = D::read(&database, |conn| conn.batch_execute("SELECT 1")).await;
    plain.unwrap();
}

async fn a_row_of_the_hosts_that_is_not_there_is_no_refusal<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let database = host.db.database();
    let missing = D::transact::<(), Error>(&database, |_| Err(diesel::NotFound.into()));
    let error = missing.await.unwrap_err();
    assert!(matches!(error, Error::Database(diesel::NotFound)));
    assert!(!error.to_string().contains("refused"), "{error}");
    let optional = D::transact(&database, |_| Err::<(), _>(diesel::NotFound));
    assert_eq!(optional.await.optional().unwrap(), None);
}
