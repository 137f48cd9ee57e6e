//! The endpoints of models, and whether a request may name one.

use serde_json::{Value, json};

use crate::service::{error::ApiError, state::unix_seconds};

/// What is listed where no list was given.
const DEMO: &str = "demo";

/// The models that there are.
#[derive(Debug)]
pub(crate) struct Models {
    created: u64,
    /// `None` is any.
    names: Option<Vec<String>>,
}

impl Models {
    pub(crate) fn any() -> Self {
        Self { created: unix_seconds(), names: None }
    }

    pub(crate) fn set(&mut self, names: Vec<String>) {
        self.names = Some(names);
    }

    fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }

    /// The model that a request names, which it has to.
    pub(crate) fn of<'b>(&self, body: &'b Value) -> Result<&'b str, ApiError> {
        let named = body["model"].as_str().filter(|name| !name.is_empty());
        let name = named.ok_or_else(|| ApiError::missing("model"))?;
        if self.has(name) {
            return Ok(name);
        }
        let message = format!("The requested model '{name}' does not exist.");
        Err(ApiError::new(404, message).param("model").code("model_not_found"))
    }

    pub(crate) fn list(&self) -> Value {
        let data: Vec<Value> = match &self.names {
            Some(names) => names.iter().map(|name| self.object(name)).collect(),
            None => vec![self.object(DEMO)],
        };
        json!({"object": "list", "data": data})
    }

    pub(crate) fn get(&self, name: &str) -> Result<Value, ApiError> {
        if self.has(name) {
            return Ok(self.object(name));
        }
        let message = format!("The model '{name}' does not exist");
        Err(ApiError::new(404, message).param("model").code("model_not_found"))
    }

    fn object(&self, name: &str) -> Value {
        json!({
            "id": name,
            "object": "model",
            "created": self.created,
            "owned_by": "openai-fake",
            "shutdown_date": null,
        })
    }
}
