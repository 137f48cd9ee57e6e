//! Hears what other processes write, where the database tells it: readers and workers go on at once. Whatever is not heard, their
//! next look finds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::engine::core::Core;
use crate::error::with_causes;
use crate::store::listen::Listener;
use crate::store::news::News;
use crate::task::Running;

/// How often to look at the connection while somebody follows a conversation here: a look is no statement, and asks the server
/// nothing.
const FOLLOWED: Duration = Duration::from_millis(5);
/// And while nobody does.
const UNFOLLOWED: Duration = Duration::from_millis(50);
/// The wait before another try to hear, the longest one.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Whether a process listens.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    running: AtomicBool,
}

impl Listening {
    /// Ends the task, unless somebody began to follow in between and found it running.
    fn retire(&self, core: &Core) -> bool {
        self.running.store(false, Ordering::SeqCst);
        let needed = core.is_kept() || core.hubs().are_read();
        !needed || self.running.swap(true, Ordering::SeqCst)
    }
}

impl Core {
    /// Sees that this process listens, if it can.
    pub(crate) fn listen(&self) {
        let Some(url) = self.store().listens_at() else { return };
        let Some(runtime) = self.runtime() else { return };
        if !self.is_closing() && !self.listening().running.swap(true, Ordering::SeqCst) {
            let running = Running::new(self, |core| &core.listening().running);
            runtime.spawn(listen(self.clone(), Listener::new(url), running));
        }
    }

    fn heard(&self, news: News) {
        match news {
            News::Turn(of) => self.hubs().heard_of_turn(of),
            // What this process drives, its readers see before it is stored.
            News::Run(_, run) if self.registry().get(run).is_some() => {}
            News::Run(of, _) => self.hubs().heard(of),
            News::Waiting => self.upkeep().waiting.notify_one(),
            News::Cancel(run) => {
                if self.registry().get(run).is_some() {
                    self.lease().cancels.notify_one();
                }
            }
        }
    }
}

async fn listen(core: Core, mut listener: Listener, running: Running<Core>) {
    let mut closed = core.closed().subscribe();
    let mut wait = Duration::from_secs(1);
    loop {
        let pace = if core.hubs().are_read() { FOLLOWED } else { UNFOLLOWED };
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => break,
            () = tokio::time::sleep(pace) => {}
        }
        if !core.is_kept() && !core.hubs().are_read() && core.listening().retire(&core) {
            return running.retire();
        }
        let looking = tokio::task::spawn_blocking(move || {
            let heard = listener.hear();
            (listener, heard)
        });
        let Ok((back, heard)) = looking.await else { break };
        listener = back;
        match heard {
            Ok(heard) => {
                if heard.begins {
                    wait = Duration::from_secs(1);
                    // What was told before is found by looking.
                    core.look_now();
                }
                heard.news.into_iter().for_each(|news| core.heard(news));
            }
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "cannot hear what other processes write; readers and workers look for it"
                );
                tokio::select! {
                    _ = closed.wait_for(|closed| *closed) => break,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (2 * wait).min(LONGEST_WAIT);
            }
        }
    }
    drop(running);
}
