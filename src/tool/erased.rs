//! The object-safe twin of [`Tool`], which reads arguments and writes outputs.

use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::{Approval, Repeatable, Tool, ToolContext, ToolError, schema, text};

/// Why arguments are not those of a tool, as the model is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad(pub(crate) String);

/// A registered tool.
#[async_trait]
pub(crate) trait ErasedTool: Send + Sync {
    fn repeatable(&self) -> Repeatable;
    fn timeout(&self) -> Duration;
    fn side_by_side(&self) -> bool;
    /// Whether it takes these arguments.
    fn check(&self, arguments: &str) -> Result<(), Bad>;
    fn approval(&self, arguments: &str, cx: &ToolContext<'_>) -> Result<Approval, Bad>;
    /// Its output as the model is told it.
    async fn call(
        &self,
        arguments: &str,
        cx: &ToolContext<'_>,
    ) -> Result<Result<String, ToolError>, Bad>;
}

/// A tool by its type, with the schema of its arguments.
pub(super) struct Of<T> {
    schema: Value,
    of: PhantomData<fn() -> T>,
}

impl<T: Tool> Of<T> {
    pub(super) fn new() -> Self {
        Self { schema: schema::of::<T>(), of: PhantomData }
    }

    fn read(&self, arguments: &str) -> Result<T, Bad> {
        // What takes no arguments is called with none, by some models.
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let mut value: Value = serde_json::from_str(arguments)
            .map_err(|error| Bad(format!("the arguments are no JSON: {error}")))?;
        schema::drop_nulls(&mut value, &self.schema);
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { "the arguments".to_owned() } else { format!("`{path}`") };
            Bad(format!("{place}: {}", error.into_inner()))
        })
    }
}

#[async_trait]
impl<T: Tool> ErasedTool for Of<T> {
    fn repeatable(&self) -> Repeatable {
        T::REPEATABLE
    }

    fn timeout(&self) -> Duration {
        T::TIMEOUT
    }

    fn side_by_side(&self) -> bool {
        T::SIDE_BY_SIDE
    }

    fn check(&self, arguments: &str) -> Result<(), Bad> {
        self.read(arguments).map(drop)
    }

    fn approval(&self, arguments: &str, cx: &ToolContext<'_>) -> Result<Approval, Bad> {
        Ok(self.read(arguments)?.approval(cx))
    }

    async fn call(
        &self,
        arguments: &str,
        cx: &ToolContext<'_>,
    ) -> Result<Result<String, ToolError>, Bad> {
        let tool = self.read(arguments)?;
        Ok(tool.call(cx).await.and_then(|output| Ok(text::output(serde_json::to_value(&output)?))))
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;

    /// Where to go.
    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Trip {
        to: Vec<Place>,
        #[serde(default)]
        days: u8,
        with: Option<String>,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Place {
        city: String,
    }

    impl Tool for Trip {
        const NAME: &'static str = "trip";
        type Output = u8;

        async fn call(self, _: &ToolContext<'_>) -> Result<u8, ToolError> {
            Ok(self.days)
        }
    }

    fn read(arguments: &str) -> Result<Trip, Bad> {
        Of::<Trip>::new().read(arguments)
    }

    #[test]
    fn arguments_that_do_not_fit_name_the_place() {
        for (arguments, said) in [
            (
                r#"{"to": [{"city": 7}]}"#,
                "`to[0].city`: invalid type: integer `7`, expected a string",
            ),
            (r#"{"to": [], "days": 1000}"#, "`days`: invalid value: integer `1000`, expected u8"),
            (r#"{"days": 1}"#, "the arguments: missing field `to`"),
            ("[]", "the arguments: invalid length 0, expected struct Trip with 3 elements"),
            ("{\"to\":", "the arguments are no JSON: EOF while parsing a value at line 1 column 6"),
        ] {
            assert_eq!(read(arguments), Err(Bad(said.to_owned())), "{arguments}");
        }
    }

    /// As strict schemas have them: each field is there, and `null` stands for what is left out.
    #[test]
    fn null_stands_for_what_may_be_left_out() {
        let trip = Trip { to: vec![], days: 0, with: None };
        assert_eq!(read(r#"{"to": [], "days": null, "with": null}"#), Ok(trip));
    }
}
