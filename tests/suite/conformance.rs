//! What holds for every server: the public suite against the fake provider, in each protocol, with each way to keep the history, on
//! each database.

mod fake;

use ai_engine::openai::Protocol;
use ai_engine::testing::conformance::{self, Act, CASES, Outcome, Subject};
use ai_engine::{AssistantDefinition, History, OpenAi};

use crate::support::*;
use fake::Fake;

/// A test for each case, of a protocol with a history.
macro_rules! combination {
    ($($combination:ident: $protocol:ident, $history:ident;)+) => {
        $(
            mod $combination {
                use super::*;

                const PROTOCOL: Protocol = Protocol::$protocol;
                const HISTORY: History = History::$history;

                each_case!(
                    create,
                    stream,
                    second_turn_sees_the_first,
                    texts_of_the_host_are_shown,
                    limit_cuts_the_answer,
                    tools_are_carried_out,
                    tools_run_side_by_side,
                    the_model_is_told_what_went_wrong,
                    approval_outlives_every_process,
                    what_is_refused_is_not_done,
                    changed_arguments_are_those_that_count,
                    the_host_may_carry_out_calls_itself,
                    steps_are_bounded,
                    answers_are_read_as_types,
                    cancel_keeps_the_partial,
                    fault_table,
                    retry_answers_a_failed_run,
                    regenerate_replaces_the_answer,
                    truncate_forgets_what_came_after,
                    switch_of_protocol_in_mid_thread,
                    pictures_reach_the_model,
                    unsupported_is_refused_before_anything_is_sent,
                    chats_leave_nothing,
                    deletion_leaves_nothing,
                    deletion_stops_the_run,
                );
            }
        )+
    };
}

macro_rules! each_case {
    ($($case:ident),+ $(,)?) => {
        on_each_database!($($case),+);

        $(
            async fn $case<D: TestDatabase>(db: D) {
                let fake = Fake::start(db, PROTOCOL, HISTORY).await;
                let outcome = conformance::$case(&fake).await;
                // The fake tells all there is to know.
                let Outcome::Passed { unchecked, .. } = &outcome else { panic!("{outcome:?}") };
                assert!(unchecked.is_empty(), "{unchecked:?}");
            }
        )+

        #[test]
        fn no_case_is_left_out() {
            assert_eq!([$(stringify!($case)),+], CASES);
        }
    };
}

combination! {
    responses_local: Responses, Local;
    responses_conversation: Responses, Conversation;
    chat_completions: ChatCompletions, Local;
    assistants: Assistants, Conversation;
}

on_each_database!(
    a_server_that_only_answers_is_checked_as_far_as_it_can_be,
    a_case_that_fails_is_named_and_keeps_no_other_from_running,
);

/// The fake as a server that takes no script and shows nothing.
struct Plain<D>(Fake<D>);

impl<D: TestDatabase> Subject for Plain<D> {
    type Database = D::Database;

    fn database(&self) -> D::Database {
        self.0.database()
    }

    fn client(&self) -> ai_engine::openai::OpenAiBuilder {
        self.0.client()
    }

    fn definition(&self) -> AssistantDefinition {
        self.0.definition()
    }
}

async fn a_server_that_only_answers_is_checked_as_far_as_it_can_be<D: TestDatabase>(db: D) {
    for protocol in [Protocol::Responses, Protocol::ChatCompletions, Protocol::Assistants] {
        let plain = Plain(Fake::start(db.another(), protocol, History::Local).await);
        plain.0.server.demo_pace(std::time::Duration::from_millis(2));
        let report = conformance::run_all(&plain).await;
        report.verify();
        let skipped: Vec<_> = report
            .cases()
            .filter(|(_, result)| matches!(result, Ok(Outcome::Skipped { .. })))
            .map(|(name, _)| name)
            .collect();
        let scripted = [
            "limit_cuts_the_answer",
            "tools_are_carried_out",
            "tools_run_side_by_side",
            "the_model_is_told_what_went_wrong",
            "approval_outlives_every_process",
            "what_is_refused_is_not_done",
            "changed_arguments_are_those_that_count",
            "the_host_may_carry_out_calls_itself",
            "steps_are_bounded",
            "answers_are_read_as_types",
            "fault_table",
            "retry_answers_a_failed_run",
            "switch_of_protocol_in_mid_thread",
            "pictures_reach_the_model",
            "deletion_stops_the_run",
        ];
        assert_eq!(skipped, scripted, "{protocol}\n{report}");
        let text = report.to_string();
        assert!(text.contains("stream: passed, not checked: what was sent"), "{text}");
    }
}

/// A server that says something else than it was told to.
struct Wrong<D>(Fake<D>);

impl<D: TestDatabase> Subject for Wrong<D> {
    type Database = D::Database;

    fn database(&self) -> D::Database {
        self.0.database()
    }

    fn client(&self) -> ai_engine::openai::OpenAiBuilder {
        self.0.client()
    }

    fn definition(&self) -> AssistantDefinition {
        self.0.definition()
    }

    fn act(&self, act: Act) -> bool {
        match act {
            Act::Say(_) => self.0.act(Act::Say(vec!["Something else.".to_owned()])),
            other => self.0.act(other),
        }
    }
}

async fn a_case_that_fails_is_named_and_keeps_no_other_from_running<D: TestDatabase>(db: D) {
    let wrong = Wrong(Fake::start(db, Protocol::Responses, History::Local).await);
    let report = conformance::run_all(&wrong).await;
    let results: Vec<_> = report.cases().map(|(name, result)| (name, result.is_ok())).collect();
    assert_eq!(results.len(), CASES.len());
    assert!(results.contains(&("create", true)), "{report}");
    assert!(results.contains(&("stream", false)), "{report}");
    assert!(results.contains(&("deletion_stops_the_run", true)), "{report}");
    let text = report.to_string();
    assert!(text.contains("stream: FAILED: ") && text.contains("Something else."), "{text}");
    let verdict = tokio::task::spawn_blocking(move || report.verify()).await.unwrap_err();
    let panic = verdict.into_panic();
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains("cases failed:\n") && said.contains("\nsecond_turn_sees_the_first: "));
}

/// One without a server at all: a case ends with what is wrong, and within its time.
#[tokio::test]
async fn nobody_answers() {
    struct Nobody(std::net::SocketAddr);
    impl Subject for Nobody {
        type Database = ai_engine::SqliteDatabase;

        fn database(&self) -> ai_engine::SqliteDatabase {
            ai_engine::SqliteDatabase::in_memory().unwrap()
        }

        fn client(&self) -> ai_engine::openai::OpenAiBuilder {
            OpenAi::builder().base_url(format!("http://{}/v1", self.0)).max_retries(0)
        }

        fn definition(&self) -> AssistantDefinition {
            AssistantDefinition::new("test-model")
        }
    }
    let (_held, closed) = closed();
    let report = conformance::run_all(&Nobody(closed)).await;
    let (_, result) =
        report.cases().find(|(name, _)| *name == "second_turn_sees_the_first").unwrap();
    assert!(result.unwrap_err().contains("connection_failed"), "{report}");
}
