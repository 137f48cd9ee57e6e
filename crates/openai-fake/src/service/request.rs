//! The record of a request that came in.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

/// A request as the fake server received it.
///
/// Its `Debug` form leaves the key out, so that a failing assertion does not print one.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// `GET`, `POST`, `DELETE`, …
    pub method: String,
    /// The path as sent, such as `/v1/responses`.
    pub path: String,
    /// What followed the question mark, or nothing.
    pub query: String,
    /// Header values by lower-case name, the `authorization` header among them.
    pub headers: BTreeMap<String, String>,
    /// The body, where it was JSON.
    pub body: Option<Value>,
    /// The `x-request-id` of the answer.
    pub request_id: String,
}

impl Request {
    /// The value of a query parameter; the parameters of these APIs need no decoding.
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut headers = self.headers.clone();
        if let Some(key) = headers.get_mut("authorization") {
            "(not shown)".clone_into(key);
        }
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &headers)
            .field("body", &self.body)
            .field("request_id", &self.request_id)
            .finish()
    }
}
