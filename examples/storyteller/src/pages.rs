//! Pages: templates, which are compiled into the program, and what all of them show.

use std::sync::LazyLock;

use axum::response::Html;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use crate::problem::Problem;

/// What is around every page.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Frame {
    pub(crate) user: Option<String>,
    pub(crate) csrf: String,
    /// The demo model answers, and a banner says so.
    pub(crate) is_demo: bool,
    pub(crate) is_admin: bool,
}

macro_rules! templates {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("../templates/", $name)))),*] };
}

/// Names that end in `.html` are escaped.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    for (name, source) in templates!(
        "account.html" "conversation.html" "conversations.html" "layout.html" "macros.html" "operations.html" "problem.html"
        "sign_in.html" "stories.html" "story.html" "storyteller.html" "storyteller_form.html" "storytellers.html" "turn.html"
    ) {
        if let Err(error) = templates.add_template(name, source) {
            tracing::error!(%error, name, "a template has an error");
        }
    }
    templates
});

/// A page with what is around it.
pub(crate) fn page(frame: &Frame, name: &str, values: Value) -> Result<Html<String>, Problem> {
    bare(name, context! { frame, ..values })
}

/// A piece of a page, or one for whoever is not known.
pub(crate) fn bare(name: &str, values: Value) -> Result<Html<String>, Problem> {
    let values = context! { ..values, ..context! { frame => Frame::default() } };
    Ok(Html(TEMPLATES.get_template(name)?.render(values)?))
}
