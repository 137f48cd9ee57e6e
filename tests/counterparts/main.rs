//! The engine against Responses servers that others wrote: `scripts/counterparts` installs them and runs this.
//!
//! `agentic-api` keeps conversations and asks a model behind it, which here is the fake provider; `fastresponses` serves an
//! agent, which here is `parrot.py`. Both run as processes of their own. Each is led through turns, a cancellation and a
//! restart in mid-answer, and a deletion. The fake itself is tried by `llm-comply`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod agentic;
mod comply;
mod fast_responses;
mod host;
mod life;
mod server;

use std::time::Duration;

use ai_engine::{History, prelude::*};

use agentic::Agentic;
use fast_responses::FastResponses;
use host::{Host, Teller};
use life::live;
use server::rows;

/// Longer than any of these takes, and shorter than one waits for a test that hangs.
const LIMIT: Duration = Duration::from_mins(2);

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(LIMIT, test).await.expect("the test hangs");
}

/// G7: what is deleted here is deleted there, as far as the server can. This one has no deletion of responses (405), and what
/// a response names it keeps as well; but nothing is left in a conversation. That is no reason to ask for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agentic_api_keeps_conversations() {
    let Some(agentic) = Agentic::start().await else { return };
    in_time(async {
        live(&agentic, History::Conversation).await;
        let [conversations, in_conversations, responses] = agentic.kept();
        assert_eq!((conversations, in_conversations), (0, 0));
        // As many as were stored: one for each of the five turns that ended.
        assert_eq!(responses, 5);
        assert_eq!(agentic.status_of_deleting_a_response().await, 405);
    })
    .await;
}

/// Nothing is to be kept there, and nothing is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agentic_api_answers_local_histories() {
    let Some(agentic) = Agentic::start().await else { return };
    in_time(async {
        live(&agentic, History::Local).await;
        assert_eq!(agentic.kept(), [0, 0, 0]);
        assert_eq!(rows(&agentic.server.file("kept.db"), &["items"]), [0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fastresponses_answers_local_histories() {
    let Some(fast) = FastResponses::start().await else { return };
    in_time(async {
        live(&fast, History::Local).await;
        assert_eq!(rows(&fast.server.file("kept.db"), &["responses"]), [0]);
    })
    .await;
}

/// G16: a server without conversations is named, with the way out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fastresponses_keeps_no_conversations() {
    let Some(fast) = FastResponses::start().await else { return };
    in_time(async {
        let host = Host::new(&fast.server, History::Conversation).await;
        let thread = host.thread().await;
        let asked = Teller { id: 1 }.ai_engine_run(&host.engine, &thread, "My name is Ada.").await;
        let refused = asked.unwrap_err().to_string();
        assert!(refused.contains("History::Local"), "{refused}");
        assert!(refused.contains(&fast.server.base_url()), "{refused}");
    })
    .await;
}

/// The fake passes as an Open Responses server for those who know the specification.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_complies_with_open_responses() {
    let Some(programs) = server::programs_for("llm-comply") else { return };
    in_time(comply::assert_complies(&programs)).await;
}
