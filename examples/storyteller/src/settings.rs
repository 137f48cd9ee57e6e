//! What the environment says.

use std::env;
use std::time::Duration;

use ai_engine::BoxError;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// 0: any free port.
    pub(crate) port: u16,
    pub(crate) database_url: String,
    /// For storytellers that are new, and for titles.
    pub(crate) model: String,
    /// Cookies are only sent over https.
    pub(crate) https: bool,
    /// The app's name on the internet, beside those of this machine.
    pub(crate) host: Option<String>,
    /// Signs the cookies; without it the app makes a secret and keeps it.
    pub(crate) secret: Option<String>,
    /// The name of the user who sees the operations page; without it that is the first user.
    pub(crate) admin: Option<String>,
    /// Without a key the demo model answers.
    pub(crate) has_key: bool,
    /// The demo model's time for a word.
    pub(crate) demo_pace: Duration,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, BoxError> {
        let pace = setting("STORYTELLER_DEMO_PACE_MS").map_or(Ok(60), |ms| ms.parse())?;
        Ok(Self {
            port: setting("PORT").map_or(Ok(3000), |port| port.parse())?,
            database_url: setting("DATABASE_URL").unwrap_or_else(|| "storyteller.sqlite3".into()),
            model: setting("OPENAI_MODEL").unwrap_or_else(|| "gpt-6-luna".into()),
            https: setting("STORYTELLER_HTTPS").is_some_and(|value| value == "1"),
            host: setting("STORYTELLER_HOST"),
            secret: setting("STORYTELLER_SECRET"),
            admin: setting("STORYTELLER_ADMIN"),
            has_key: ["OPENAI_API_KEY", "OPENAI_ACCESS_TOKEN"]
                .map(setting)
                .iter()
                .any(Option::is_some),
            demo_pace: Duration::from_millis(pace),
        })
    }
}

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
