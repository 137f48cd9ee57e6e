//! Storytellers: rows of the app's that are assistants.

use ai_engine::{AssistantDefinition, prelude::*};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::Serialize;

use crate::app::App;
use crate::database::read;
use crate::problem::Problem;
use crate::publish::Publish;
use crate::schema::storytellers;
use crate::users::User;

#[derive(Clone, Debug, Queryable, Selectable, Serialize)]
pub(crate) struct Storyteller {
    pub(crate) id: i32,
    #[serde(skip)]
    pub(crate) user_id: i32,
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) description: String,
    pub(crate) instructions: String,
    pub(crate) max_prompt_tokens: Option<i32>,
    pub(crate) max_output_tokens: Option<i32>,
    #[serde(skip)]
    pub(crate) created_at: NaiveDateTime,
    /// Counts the saves.
    #[serde(skip)]
    pub(crate) version: i32,
}

ai_engine::record! { Storyteller { id: i32 } as "Storyteller" }

impl Assistable for Storyteller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        let definition = AssistantDefinition::new(&self.model)
            .name(&self.name)
            .description(&self.description)
            .instructions(&self.instructions)
            .uses::<Publish>();
        let tokens = |tokens: i32| u32::try_from(tokens).unwrap_or_default();
        let definition = match self.max_prompt_tokens {
            Some(most) => definition.max_prompt_tokens(tokens(most)),
            None => definition,
        };
        match self.max_output_tokens {
            Some(most) => definition.max_output_tokens(tokens(most)),
            None => definition,
        }
    }
}

/// Those of a user, by name.
pub(crate) async fn of(app: &App, user: &User) -> Result<Vec<Storyteller>, Problem> {
    let id = user.id;
    Ok(read!(app.db, |conn| storytellers::table
        .filter(storytellers::user_id.eq(id))
        .order((storytellers::name, storytellers::id))
        .select(Storyteller::as_select())
        .load(conn)?)?)
}

/// One of this user's; another user's is not found.
pub(crate) async fn find(app: &App, user: &User, id: i32) -> Result<Storyteller, Problem> {
    let owner = user.id;
    let found: Option<Storyteller> = read!(app.db, |conn| storytellers::table
        .find(id)
        .filter(storytellers::user_id.eq(owner))
        .select(Storyteller::as_select())
        .first(conn)
        .optional()?)?;
    found.ok_or(Problem::NotFound)
}

/// The names of the models whose prices are known, to choose from; others may be written.
pub(crate) fn models(app: &App) -> Vec<String> {
    let options = app.engine.model_options();
    let mut models: Vec<String> = options.into_iter().map(|option| option.model).collect();
    models.sort_unstable();
    models.dedup();
    models
}
