//! Errors in the shape the real service gives them.

use serde_json::{Value, json};

/// A refusal: HTTP status and the fields of the error object.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
    /// Of a server whose errors have another shape.
    foreign: Option<Value>,
}

impl ApiError {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, foreign: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The 404 for an unknown `Conversation`, `Response` or `Item`.
    pub(crate) fn unknown(what: &str, id: &str) -> Self {
        Self::new(404, format!("{what} with id '{id}' not found."))
    }

    pub(crate) fn unknown_parameter(param: &str) -> Self {
        Self::bad_request(format!("Unknown parameter: '{param}'."))
            .param(param)
            .code("unknown_parameter")
    }

    pub(crate) fn missing(param: &str) -> Self {
        Self::bad_request(format!("Missing required parameter: '{param}'."))
            .param(param)
            .code("missing_required_parameter")
    }

    pub(crate) fn wrong_type(param: &str, wanted: &str) -> Self {
        Self::bad_request(format!(
            "Invalid type for '{param}': expected {wanted}, but got something else instead."
        ))
        .param(param)
        .code("invalid_type")
    }

    pub(crate) fn invalid_value(param: &str, message: impl Into<String>) -> Self {
        Self::bad_request(message).param(param).code("invalid_value")
    }

    pub(crate) fn conversation_locked() -> Self {
        Self::bad_request(
            "Another process is currently operating on this conversation. \
             Please retry in a few seconds.",
        )
        .param("conversation")
        .code("conversation_locked")
    }

    /// What the test did not expect.
    pub(crate) fn unexpected(question: &str) -> Self {
        Self::bad_request(format!("The test does not expect this question: {question:?}."))
            .code("unexpected_request")
    }

    /// A key that is not among those that the server takes; most of it is not shown.
    pub(crate) fn wrong_key(key: &str) -> Self {
        let begun: String = key.chars().take(3).collect();
        Self::new(401, format!("Incorrect API key provided: {begun}***.")).code("invalid_api_key")
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What llama.cpp says where a model's template refuses the messages.
    pub(crate) fn template(exception: &str) -> Self {
        let message = format!(
            "\n------------\nWhile executing CallExpression at line 19, column 27 in source:\n\
             ...\nError: Jinja Exception: {exception}"
        );
        let body = json!({"error": {"code": 500, "message": message, "type": "server_error"}});
        Self { foreign: Some(body), ..Self::new(500, message) }
    }

    pub(crate) fn body(&self) -> Value {
        if let Some(body) = &self.foreign {
            return body.clone();
        }
        json!({"error": {
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        }})
    }
}
