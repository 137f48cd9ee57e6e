//! What holds for every server that an engine can speak to, as cases that run against one of them.
//!
//! **Unstable**: cases may be added and change in any release, since they are for tests alone.
//!
//! A [`Subject`] describes the server under test: a client of it, a database, and as much of what goes on at the server as can be
//! told. [`run_all`] runs all cases on it. A server that only answers, such as one with a real model, is a subject, too: what needs
//! a script, or a look into the server, is then left out, and the [`Report`] names it.
//!
//! ```no_run
//! use ai_engine::testing::conformance::{self, Subject};
//! use ai_engine::{AssistantDefinition, OpenAi, openai::OpenAiBuilder};
//! # #[cfg(feature = "sqlite")] mod subject {
//! # use super::*;
//! # use ai_engine::SqliteDatabase;
//!
//! struct Mine;
//!
//! impl Subject for Mine {
//!     type Database = SqliteDatabase;
//!
//!     fn database(&self) -> SqliteDatabase {
//!         SqliteDatabase::in_memory().unwrap()
//!     }
//!
//!     fn client(&self) -> OpenAiBuilder {
//!         OpenAi::builder().api_key("local").base_url("http://localhost:8080/v1")
//!     }
//!
//!     fn definition(&self) -> AssistantDefinition {
//!         // Short answers, so that it ends soon.
//!         AssistantDefinition::new("my-model").max_output_tokens(48)
//!     }
//! }
//!
//! # pub async fn test() {
//! // In a test of yours:
//! let report = conformance::run_all(&Mine).await;
//! println!("{report}");
//! report.verify();
//! # }
//! # }
//! # fn main() {}
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how a test fails"
)]

mod again;
mod answers;
mod deletion;
mod faults;
mod report;
mod scene;
mod stop;
mod subject;
mod switch;
mod tools;
mod unsupported;

pub use report::{Outcome, Report};
pub use subject::{Act, Counts, FunctionCall, Subject};

use std::pin::Pin;

/// A case as [`run_all`] calls it.
type Run<S> = for<'s> fn(&'s S) -> Pin<Box<dyn Future<Output = Outcome> + Send + 's>>;

macro_rules! cases {
    ($($(#[$doc:meta])+ $module:ident::$case:ident;)+) => {
        /// The names of all cases, in the order in which [`run_all`] runs them.
        pub const CASES: &[&str] = &[$(stringify!($case)),+];

        $(
            $(#[$doc])+
            ///
            /// # Panics
            ///
            /// Where that does not hold, with what was found instead.
            ///
            /// # Cancellation
            ///
            /// Dropping the future leaves in the database, and at the server, what the case has made so far.
            pub async fn $case<S: Subject>(subject: &S) -> Outcome {
                $module::$case(subject).await
            }
        )+

        fn all<S: Subject>() -> Vec<(&'static str, Run<S>)> {
            vec![$((stringify!($case), |subject| Box::pin($case(subject)))),+]
        }
    };
}

cases! {
    /// A new thread is its owner's alone. The model is not called for it, and it has a conversation at the server if, and only if,
    /// the server keeps the history.
    answers::create;
    /// The pieces that a reader and the hooks are given are together the text that is stored and returned, and tokens are counted.
    answers::stream;
    /// The second turn's model is shown the first turn and the new question, each once and in order.
    answers::second_turn_sees_the_first;
    /// What the host stores without a run (a text of the system's in mid-conversation, two of the user's in a row) reaches the model
    /// in a form that the server takes.
    answers::texts_of_the_host_are_shown;
    /// An answer that was cut at its limit is `incomplete`, says so, and is kept.
    answers::limit_cuts_the_answer;
    /// A tool that the model asks for is carried out, once, and the model is told what came of it, then and in later turns.
    tools::tools_are_carried_out;
    /// Two calls of one answer run at the same time, and their outputs keep the order of the calls.
    tools::tools_run_side_by_side;
    /// A tool that fails, panics or hangs, arguments that do not fit and a name that nobody has are told the model, and the run goes on.
    tools::the_model_is_told_what_went_wrong;
    /// A call that waits for somebody to agree does so with no process running, and is carried out once.
    tools::approval_outlives_every_process;
    /// A call that somebody refuses is not carried out, and the model is told why.
    tools::what_is_refused_is_not_done;
    /// A call is carried out with the arguments that somebody changed.
    tools::changed_arguments_are_those_that_count;
    /// A call of a function that is no tool of the engine waits for the host's output.
    tools::the_host_may_carry_out_calls_itself;
    /// A model that never stops asking for tools is stopped, and the next question is answered.
    tools::steps_are_bounded;
    /// An answer is read as a type, also after a tool; what does not fit names the place and keeps the text.
    tools::answers_are_read_as_types;
    /// A run that is stopped keeps what it said, its connection is closed, and the thread goes on.
    stop::cancel_keeps_the_partial;
    /// Each failure ends as it should: tried again while nothing was said, kept once something was, with its word, and never for ever.
    faults::fault_table;
    /// A run that failed is retried in its place: one question, one answer.
    again::retry_answers_a_failed_run;
    /// Another answer takes the place of the first, whose run cannot be retried, and which the model is not shown any more.
    again::regenerate_replaces_the_answer;
    /// What came after a message is gone from the thread and from what the model is shown.
    again::truncate_forgets_what_came_after;
    /// A thread goes on in each other protocol of the server, and back: each model is shown all that was said.
    switch::switch_of_protocol_in_mid_thread;
    /// A picture is stored and reaches the model, or is refused with a word that says so where the protocol has no form for it.
    switch::pictures_reach_the_model;
    /// What the protocol does not have is refused with its own error before anything is stored or sent.
    unsupported::unsupported_is_refused_before_anything_is_sent;
    /// Of a chat nothing is kept at the server, and its second turn sees the first all the same.
    deletion::chats_leave_nothing;
    /// A thread that is destroyed is gone here at once, and at the server soon.
    deletion::deletion_leaves_nothing;
    /// So is one that is destroyed in the middle of an answer, whose run stops.
    deletion::deletion_stops_the_run;
}

/// Runs all cases, one after the other, each within [`Subject::patience`]. A case that fails does not keep the others from running.
///
/// A panic of a case is caught, after the panic hook has shown it with its place.
///
/// # Cancellation
///
/// Dropping the future leaves in the database, and at the server, what the case that runs has made so far.
pub async fn run_all<S: Subject>(subject: &S) -> Report {
    let mut report = Report::default();
    for (name, run) in all::<S>() {
        report.add(name, report::caught(subject.patience(), run(subject)).await);
    }
    report
}
