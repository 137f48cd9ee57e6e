//! Awaiting the engine in the middle of a transaction would wait for what waits for it: it is refused at once.

use ai_engine::{Error, Page, Role, prelude::*};
use futures_util::StreamExt;
use tokio::runtime::Handle;

use crate::support::*;

on_each_database!(each_verb_within_a_transaction_is_refused);

async fn each_verb_within_a_transaction_is_refused<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap().run;
    let (engine, user, teller) = (host.engine.clone(), host.user.clone(), host.teller.clone());
    let (database, runtime) = (host.db.database(), Handle::current());
    let inner = database.clone();
    let work = move |conn: &mut D::Conn| {
        user.assistant_threads(&engine).create_in(conn)?;
        let refused = runtime.block_on(async {
            let threads = user.assistant_threads(&engine);
            let chats = user.chats(&engine);
            let messages = thread.messages(&engine);
            [
                ("create", threads.create().await.err()),
                ("list", threads.list(Page::default()).await.err()),
                ("destroy", threads.destroy(thread.id).await.err()),
                ("chat", chats.destroy(1).await.err()),
                ("message", messages.create(Role::User, "Hi").await.err()),
                ("submit", teller.ai_engine_run(&engine, &thread, "Hi").submit().await.err()),
                ("answer", engine.answer(run.id).await.err()),
                ("cancel", engine.cancel_run(run.id).await.err()),
                ("events", thread.events(&engine).next().await.and_then(Result::err)),
                ("run's events", run.events(&engine).next().await.and_then(Result::err)),
                ("start", engine.start().await.err()),
                ("recover", engine.recover().await.err()),
                ("work", engine.work().await.err()),
                ("save", teller.create_openai_assistant(&engine).await.err()),
                ("transaction", D::transact::<(), Error>(&inner, |_| Ok(())).await.err()),
                ("read", D::read::<(), Error>(&inner, |_| Ok(())).await.err()),
            ]
        });
        for (verb, error) in refused {
            assert!(matches!(error, Some(Error::WithinTransaction)), "{verb}: {error:?}");
        }
        Ok(())
    };
    D::transact::<(), Error>(&database, work).await.unwrap();
    // The mark is taken off the thread again, and the transaction was committed.
    let threads = host.user.assistant_threads(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(threads.len(), 2);
    let mut events = Box::pin(host.engine.find_run(1).await.unwrap().events(&host.engine));
    assert!(events.next().await.unwrap().is_ok());
}
