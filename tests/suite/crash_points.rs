//! G2, G3: a process dies at each named point of the engine's work, and recovery makes good what it left.
//!
//! Each case: a child process does one thing and dies at its point; then its lease ends, a fresh engine recovers, and the
//! database, the provider and the next run show what is left. `docs/CRASHES.md` says the same in words.

mod after;
mod scene;
mod there;
mod tools;

use std::collections::BTreeSet;

use ai_engine::CRASH_POINTS;
use ai_engine::openai::Protocol;

use crate::support::*;
use after::Left::{self, *};
use scene::Scene::{self, *};

on_each_database!(
    a_crash_while_a_host_is_served_leaves_all_or_nothing,
    a_crash_in_a_run_of_local_history_is_made_good,
    a_crash_in_a_run_of_a_conversation_is_made_good,
    a_crash_around_a_conversation_costs_nothing_but_an_empty_one,
    a_crash_of_recovery_is_made_good,
    a_crash_in_a_run_over_chat_completions_is_made_good,
    a_crash_in_a_run_over_assistants_is_made_good,
    a_crash_around_a_thread_of_assistants_costs_nothing_but_an_empty_one,
    a_crash_of_a_deletion_is_made_good,
    a_crash_of_a_deletion_over_assistants_is_made_good,
    a_crash_of_recovery_over_chat_completions_is_made_good,
    a_crash_of_recovery_over_assistants_is_made_good,
    a_crash_leaves_nothing_of_what_a_call_makes_for_itself,
    a_crash_leaves_a_picture_with_its_question_or_neither,
    a_crash_over_other_protocols_leaves_a_picture_with_its_question_or_neither,
    a_crash_around_calls_of_tools_is_made_good,
    a_crash_around_decisions_on_calls_of_tools_is_made_good,
    a_crash_around_calls_of_tools_in_a_conversation_is_made_good,
    a_crash_around_calls_of_tools_over_chat_completions_is_made_good,
    a_crash_around_calls_of_tools_over_assistants_is_made_good,
);

type Case = (&'static str, Scene, Left);

/// Threads with what was noted.
const NOTED: &str = "assistant_threads WHERE CAST(metadata AS TEXT) LIKE '%noted%'";

/// Assistants of which it is not known whether the provider has made its own.
const UNANSWERED: &str = "assistants WHERE remote_claim_ends_at IS NOT NULL AND remote_id IS NULL";
const REFUSED: &str = "assistants WHERE remote_error IS NOT NULL AND remote_claim_ends_at IS NULL";

/// What a host asks for: one transaction each.
const SERVED: &[Case] = &[
    ("thread.committing", CreateThread, Rows("assistant_threads", 1)),
    ("thread.committed", CreateThread, Rows("assistant_threads", 2)),
    ("chat.committing", CreateChat, Rows("chats", 0)),
    ("chat.committed", CreateChat, Rows("chats", 1)),
    ("rename.committing", Rename, Rows("assistant_threads WHERE title = 'Named'", 0)),
    ("rename.committed", Rename, Rows("assistant_threads WHERE title = 'Named'", 1)),
    ("metadata.committing", NoteMetadata, Rows(NOTED, 0)),
    ("metadata.committed", NoteMetadata, Rows(NOTED, 1)),
    ("title.committing", AskTitled, Rows("assistant_threads WHERE title_by = 'model'", 0)),
    ("title.committed", AskTitled, Rows("assistant_threads WHERE title_by = 'model'", 1)),
    ("chat_destroy.committing", DestroyChat, Rows("chats", 1)),
    ("chat_destroy.committed", DestroyChat, Rows("chats", 0)),
    ("assistant.committing", CreateAssistant, Rows("assistants", 0)),
    ("assistant.committed", CreateAssistant, Rows("assistants", 1)),
    ("assistant_deletion.committing", DeleteAssistant, Rows("assistants", 1)),
    ("assistant_deletion.committed", DeleteAssistant, Rows("assistants", 0)),
    (
        "remote_assistant_claim.committing",
        KeepAssistant,
        Rows("assistants WHERE remote_key IS NULL", 1),
    ),
    ("remote_assistant_claim.committed", KeepAssistant, Rows(UNANSWERED, 1)),
    ("remote_assistant.carried_out", KeepAssistant, Rows(UNANSWERED, 1)),
    ("remote_assistant.committing", KeepAssistant, Rows(UNANSWERED, 1)),
    (
        "remote_assistant.committed",
        KeepAssistant,
        Rows("assistants WHERE remote_version = version", 1),
    ),
    ("remote_assistant_failure.committing", KeepAssistantRefused, Rows(UNANSWERED, 1)),
    ("remote_assistant_failure.committed", KeepAssistantRefused, Rows(REFUSED, 1)),
    ("forget.committing", Forget, Rows("assistants", 1)),
    ("forget.committed", Forget, Rows("assistants", 0)),
    ("message.committing", Say, Rows("messages", 0)),
    ("message.committed", Say, Rows("messages", 1)),
    ("interrupt.committing", Interrupt, Rows("runs", 1)),
    ("interrupt.committed", Interrupt, Rows("runs", 2)),
    ("again.committing", Regenerate, Rows("path_changes", 0)),
    ("again.committed", Regenerate, Rows("path_changes", 1)),
    ("truncate.committing", Truncate, Rows("path_changes", 0)),
    ("truncate.committed", Truncate, Rows("path_changes", 1)),
    ("choose.committing", Choose, Rows("path_changes", 1)),
    ("choose.committed", Choose, Rows("path_changes", 2)),
    ("fork.committing", Fork, Rows("assistant_threads", 1)),
    ("fork.committed", Fork, Rows("assistant_threads", 2)),
    ("cancel_waiting.committing", CancelWaiting, Completed),
    ("cancel_waiting.committed", CancelWaiting, Cancelled("")),
    ("cancel_request.committing", CancelDriven, Completed),
    ("cancel_request.committed", CancelDriven, Cancelled("Once ")),
];

/// The life of a run, whoever keeps its history.
const RUN: &[Case] = &[
    ("submit.committing", Ask, Nothing),
    ("submit.committed", Ask, Completed),
    ("claim.committing", Ask, Completed),
    ("claim.committed", Ask, Interrupted("")),
    ("call.committing", Ask, Interrupted("")),
    ("call.committed", Ask, Interrupted("")),
    ("lease_check.committing", AskAsleep, Interrupted("")),
    ("lease_check.committed", AskAsleep, Interrupted("")),
    ("call.answered", Ask, Interrupted("")),
    ("output.arrived", Ask, Interrupted("")),
    ("row.committing", AskStalling, Interrupted("")),
    ("row.committed", AskStalling, Interrupted("Once ")),
    ("deltas.committing", AskStalling, Interrupted("Once ")),
    ("deltas.committed", AskStalling, Interrupted("Once upon ")),
    ("end.arrived", Ask, InterruptedSomewhere),
    ("settle.committing", Ask, InterruptedSomewhere),
    ("settle.committed", Ask, Completed),
    ("settle_with_less.committing", AskRefusedAtTheEnd, Interrupted("Once ")),
    ("settle_with_less.committed", AskRefusedAtTheEnd, FailedInTheDatabase("Once ")),
    ("last_hooks.between", Ask, Completed),
    ("announce.committing", Ask, Completed),
    ("announce.committed", Ask, Completed),
    ("beat.committing", AskStalling, InterruptedSomewhere),
    ("beat.committed", AskStalling, InterruptedSomewhere),
    ("release.committing", Leave, Interrupted("Once ")),
    ("release.committed", Leave, Interrupted("Once ")),
];

/// What only Responses have, where their conversations are not kept, or a response is a thing of its own.
const RESPONSES: &[Case] = &[
    ("ignored_conversation.committing", AskIgnored, InterruptedSomewhere),
    ("ignored_conversation.committed", AskIgnored, InterruptedSomewhere),
    ("response_left.committing", AskDestroyed, DestroyedButForAResponse),
    ("response_left.committed", AskDestroyed, Destroyed),
];

/// What only a conversation has.
const CONVERSATION: &[Case] = &[
    ("conversation.created", AskFirst, Interrupted("")),
    ("conversation.committing", AskFirst, Interrupted("")),
    ("conversation.committed", AskFirst, Interrupted("")),
    ("lost_conversation.committing", AskLost, Interrupted("")),
    ("lost_conversation.committed", AskLost, Interrupted("")),
    ("reconcile.committing", AskInDoubt, Interrupted("")),
    ("reconcile.committed", AskInDoubt, Interrupted("")),
    ("again.committing", Regenerate, Rows("path_changes", 0)),
    ("again.committed", Regenerate, Rows("path_changes", 1)),
    ("truncate.committing", Truncate, Rows("path_changes", 0)),
    ("truncate.committed", Truncate, Rows("path_changes", 1)),
    ("choose.committing", Choose, Rows("path_changes", 1)),
    ("choose.committed", Choose, Rows("path_changes", 2)),
    ("fork.committed", Fork, Rows("assistant_threads", 2)),
];

/// The deletion of a conversation, here and there.
const DELETION: &[Case] = &[
    ("destroy.committing", DestroyThread, Completed),
    ("destroy.committed", DestroyThread, Destroyed),
    ("deletion_claim.committing", DestroyThread, Destroyed),
    ("deletion_claim.committed", DestroyThread, Destroyed),
    ("deletion.carried_out", DestroyThread, Destroyed),
    ("deletion.committing", DestroyThread, Destroyed),
    ("deletion.committed", DestroyThread, Destroyed),
    ("deletion_failure.committing", DestroyThreadRefused, Destroyed),
    ("deletion_failure.committed", DestroyThreadRefused, Destroyed),
];

/// What calls over Assistants make for themselves.
const OWN: &[Case] = &[
    ("own_assistant.committing", AskOtherwise, Interrupted("")),
    ("own_assistant.committed", AskOtherwise, Interrupted("")),
    ("own_end.committing", AskOtherwise, Anyhow),
    ("own_end.committed", AskOtherwise, Anyhow),
    ("own_assistant.committing", AskChat, Interrupted("")),
    ("own_assistant.committed", AskChat, Interrupted("")),
    ("own_thread.committing", AskChat, Interrupted("")),
    ("own_thread.committed", AskChat, Interrupted("")),
    ("call.answered", AskChat, Interrupted("")),
    ("output.arrived", AskChat, Interrupted("")),
    ("end.arrived", AskChat, InterruptedSomewhere),
    ("own_end.committing", AskChat, Anyhow),
    ("own_end.committed", AskChat, Anyhow),
];

/// A question with a picture.
const PICTURED: &[Case] = &[
    ("submit.committing", AskPictured, Nothing),
    ("submit.committed", AskPictured, Completed),
    ("claim.committed", AskPictured, Interrupted("")),
    ("call.committed", AskPictured, Interrupted("")),
    ("call.answered", AskPictured, Interrupted("")),
    ("settle.committing", AskPictured, InterruptedSomewhere),
    ("settle.committed", AskPictured, Completed),
];

const RECOVERY: &[Case] = &[
    ("recover_settle.committing", Recover, Interrupted("Once ")),
    ("recover_settle.committed", Recover, Interrupted("Once ")),
    ("late_claim.committing", Recover, Interrupted("Once ")),
    ("late_claim.committed", Recover, Interrupted("Once ")),
    ("late_hooks.between", Recover, Interrupted("Once ")),
    ("late_announce.committing", Recover, Interrupted("Once ")),
    ("late_announce.committed", Recover, Interrupted("Once ")),
    ("forget_workers.committing", Recover, Interrupted("Once ")),
    ("forget_workers.committed", Recover, Interrupted("Once ")),
    ("recover_retry.committing", RecoverByRetry, Completed),
    ("recover_retry.committed", RecoverByRetry, Completed),
];

#[test]
fn every_point_has_a_case_and_a_line_in_the_table() {
    let table = include_str!("../../docs/CRASHES.md");
    let tried: BTreeSet<&str> = [SERVED, RUN, RESPONSES, CONVERSATION, DELETION, OWN, RECOVERY]
        .concat()
        .iter()
        .map(|case| case.0)
        .chain(tools::TOOLS.iter().map(|case| case.0.split(':').next().unwrap()))
        .collect();
    assert_eq!(tried, CRASH_POINTS.iter().copied().collect::<BTreeSet<_>>());
    let lines = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    assert_eq!(lines.map(|(point, _)| point).collect::<BTreeSet<_>>(), tried);
}

/// Who keeps the history, or by which other protocol the provider is spoken to.
#[derive(Debug, Clone, Copy)]
enum Way {
    Local,
    Conversing,
    By(Protocol),
}

const CHAT: Way = Way::By(Protocol::ChatCompletions);
const ASSISTANTS: Way = Way::By(Protocol::Assistants);

impl Way {
    async fn host<D: TestDatabase>(self, db: D) -> Host<D> {
        match self {
            Self::Local => Host::new(db).await,
            Self::Conversing => Host::conversing(db).await,
            Self::By(protocol) => Host::speaking(db, protocol).await,
        }
    }
}

async fn each<D: TestDatabase>(db: D, cases: &[Case], way: Way) {
    for (point, scene, left) in cases {
        let host = way.host(db.another()).await;
        let stage = scene::play(&host, *scene, point).await;
        after::check(&host, &stage, point, *left).await;
    }
}

async fn a_crash_while_a_host_is_served_leaves_all_or_nothing<D: TestDatabase>(db: D) {
    each(db, SERVED, Way::Local).await;
}

async fn a_crash_in_a_run_of_local_history_is_made_good<D: TestDatabase>(db: D) {
    each(db, RUN, Way::Local).await;
}

async fn a_crash_in_a_run_of_a_conversation_is_made_good<D: TestDatabase>(db: D) {
    each(db, RUN, Way::Conversing).await;
}

async fn a_crash_around_a_conversation_costs_nothing_but_an_empty_one<D: TestDatabase>(db: D) {
    each(db.clone(), CONVERSATION, Way::Conversing).await;
    each(db, RESPONSES, Way::Conversing).await;
}

async fn a_crash_of_recovery_is_made_good<D: TestDatabase>(db: D) {
    each(db.clone(), RECOVERY, Way::Local).await;
    each(db, RECOVERY, Way::Conversing).await;
}

async fn a_crash_in_a_run_over_chat_completions_is_made_good<D: TestDatabase>(db: D) {
    // Its end says nothing that its stream did not, so the database refuses no more than that.
    let cases = RUN.iter().filter(|case| case.1 != AskRefusedAtTheEnd).copied();
    each(db, &cases.collect::<Vec<_>>(), CHAT).await;
}

async fn a_crash_in_a_run_over_assistants_is_made_good<D: TestDatabase>(db: D) {
    each(db, RUN, ASSISTANTS).await;
}

async fn a_crash_around_a_thread_of_assistants_costs_nothing_but_an_empty_one<D: TestDatabase>(
    db: D,
) {
    each(db, CONVERSATION, ASSISTANTS).await;
}

async fn a_crash_of_a_deletion_is_made_good<D: TestDatabase>(db: D) {
    each(db, DELETION, Way::Conversing).await;
}

async fn a_crash_of_a_deletion_over_assistants_is_made_good<D: TestDatabase>(db: D) {
    each(db, DELETION, ASSISTANTS).await;
}

async fn a_crash_of_recovery_over_chat_completions_is_made_good<D: TestDatabase>(db: D) {
    each(db, RECOVERY, CHAT).await;
}

async fn a_crash_of_recovery_over_assistants_is_made_good<D: TestDatabase>(db: D) {
    each(db, RECOVERY, ASSISTANTS).await;
}

async fn a_crash_leaves_nothing_of_what_a_call_makes_for_itself<D: TestDatabase>(db: D) {
    each(db, OWN, ASSISTANTS).await;
}

async fn a_crash_leaves_a_picture_with_its_question_or_neither<D: TestDatabase>(db: D) {
    for way in [Way::Local, Way::Conversing] {
        each(db.clone(), PICTURED, way).await;
    }
}

async fn a_crash_over_other_protocols_leaves_a_picture_with_its_question_or_neither<
    D: TestDatabase,
>(
    db: D,
) {
    for way in [CHAT, ASSISTANTS] {
        each(db.clone(), PICTURED, way).await;
    }
}

async fn around_tools<D: TestDatabase>(db: D, way: Way, which: fn(&tools::Deed) -> bool) {
    for case in tools::TOOLS.iter().filter(|case| which(&case.1)) {
        tools::survive(&way.host(db.another()).await, case).await;
    }
}

/// Of what is done in the database alone no provider knows.
const fn asks(deed: &tools::Deed) -> bool {
    matches!(deed, tools::Deed::Ask(_))
}

async fn a_crash_around_calls_of_tools_is_made_good<D: TestDatabase>(db: D) {
    around_tools(db, Way::Local, asks).await;
}

async fn a_crash_around_decisions_on_calls_of_tools_is_made_good<D: TestDatabase>(db: D) {
    around_tools(db, Way::Local, |deed| !asks(deed)).await;
}

async fn a_crash_around_calls_of_tools_in_a_conversation_is_made_good<D: TestDatabase>(db: D) {
    around_tools(db, Way::Conversing, asks).await;
}

async fn a_crash_around_calls_of_tools_over_chat_completions_is_made_good<D: TestDatabase>(db: D) {
    around_tools(db, CHAT, asks).await;
}

async fn a_crash_around_calls_of_tools_over_assistants_is_made_good<D: TestDatabase>(db: D) {
    around_tools(db, ASSISTANTS, asks).await;
}
