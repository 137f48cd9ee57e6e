// The guide: pages of the documentation, from `docs/guide`. There is no code here, and it is compiled for the documentation alone.
//
// A page names where a link leads to at its end, for whoever reads it in the repository. `guide.links` says the same for the
// documentation, and comes first: of two definitions of a name Markdown takes the first one.
#![doc = include_str!("guide.links")]
#![doc = include_str!("../docs/guide/README.md")]
#![doc = "\n\nThis module is there in the documentation alone: it has no items."]

macro_rules! chapters {
    ($($name:ident, $page:literal, $reference:literal;)+) => {
        $(
            #[doc = include_str!("guide.links")]
            #[doc = include_str!(concat!("../docs/guide/", $page, ".md"))]
            #[doc = concat!("\n\nIn the reference: ", $reference, ".")]
            pub mod $name {}
        )+
    };
}

chapters! {
    first_steps, "01-first-steps",
        "[`AiEngine`](crate::AiEngine), [`EngineBuilder`](crate::EngineBuilder), [`RunRequest`](crate::RunRequest), [`Answer`](crate::Answer)";
    your_struct, "02-your-struct-as-an-assistant",
        "[`Record`](crate::Record), [`record!`](crate::record!), [`Assistable`](crate::Assistable), [`AssistantDefinition`](crate::AssistantDefinition), [`Assistant`](crate::Assistant), [`Chattable`](crate::Chattable)";
    threads, "03-threads-turns-retry",
        "[`AssistantThread`](crate::AssistantThread), [`Conversations`](crate::Conversations), [`Run`](crate::Run), [`Turn`](crate::Turn), [`Page`](crate::Page), [`Busy`](crate::Busy)";
    hooks_and_events, "04-hooks-and-events",
        "[`MessageHooks`](crate::MessageHooks), [`HookContext`](crate::HookContext), [`Events`](crate::Events), [`EventKind`](crate::EventKind), [`Cursor`](crate::Cursor)";
    in_your_transaction, "05-in-your-transaction",
        "[`Session`](crate::Session), [`Database`](crate::Database), [`migrate`](crate::migrate()), [`schema`](crate::schema)";
    a_web_app, "06-a-web-app",
        "[`Sse`](crate::Sse), [`Events::resume`](crate::Events::resume), [`Error::http_status`](crate::Error::http_status)";
    deploys, "07-deploys-workers-recovery",
        "[`AiEngine::start`](crate::AiEngine::start), [`AiEngine::shutdown`](crate::AiEngine::shutdown), [`AiEngine::drive`](crate::AiEngine::drive), [`Recovery`](crate::Recovery)";
    tools, "08-tools-and-approvals",
        "[`Tool`](crate::Tool), [`ToolContext`](crate::ToolContext), [`ToolError`](crate::ToolError), [`Approval`](crate::Approval), [`Repeatable`](crate::Repeatable), [`ToolCalls`](crate::ToolCalls), [`Decision`](crate::Decision)";
    typed_answers, "09-typed-answers",
        "[`RunRequest::output`](crate::RunRequest::output), [`Answer::parse`](crate::Answer::parse), [`Answer::parse_or_repair`](crate::Answer::parse_or_repair)";
    pictures_and_files, "10-pictures-and-files",
        "[`Content`](crate::Content), [`Part`](crate::Part), [`Annotation`](crate::Annotation)";
    costs, "11-costs-and-budgets",
        "[`Costs`](crate::Costs), [`Money`](crate::Money), [`PriceList`](crate::PriceList), [`OwnedUsage`](crate::OwnedUsage), [`UsageReport`](crate::UsageReport)";
    providers, "12-providers-and-protocols",
        "[`OpenAi`](crate::OpenAi), [`OpenAiBuilder`](crate::openai::OpenAiBuilder), [`Protocol`](crate::openai::Protocol), [`History`](crate::History), [`Identify`](crate::Identify)";
    testing_your_app, "13-testing-your-app",
        "the module `ai_engine::testing`, and [`Run::until_text`](crate::Run::until_text)";
    operations, "14-operations-and-troubleshooting",
        "[`Error`](crate::Error), [`Reason`](crate::Reason), [`Stats`](crate::Stats), [`TraceContext`](crate::TraceContext)";
    security, "15-security-and-privacy",
        "[`OwnedRuns`](crate::OwnedRuns), [`AiEngine::forget`](crate::AiEngine::forget), [`Identify`](crate::Identify), [`Sse::showing`](crate::Sse::showing)";
    from_the_ruby_gem, "16-coming-from-the-ruby-gem",
        "[`Assistable`](crate::Assistable), [`Threadable`](crate::Threadable), [`Chattable`](crate::Chattable), [`MessageHooks`](crate::MessageHooks)";
    from_the_assistants_api, "17-coming-from-the-assistants-api",
        "[`Protocol::Assistants`](crate::openai::Protocol::Assistants), [`AiEngine::sync_assistant`](crate::AiEngine::sync_assistant)";
}
