//! The parameters of a request: types, limits, and which go together.

use serde_json::{Value, json};

use crate::{
    Request,
    service::{conversations, error::ApiError},
};

/// The body, which has to be an object.
pub(crate) fn object(request: &Request) -> Result<&Value, ApiError> {
    let body = request.body.as_ref().filter(|body| body.is_object());
    body.ok_or_else(|| ApiError::bad_request("The body must be a JSON object."))
}

/// The parameters of a response that concern nothing but themselves.
pub(crate) fn parameters(body: &Value) -> Result<(), ApiError> {
    if body["background"] == json!(true) && body["store"] == json!(false) {
        let message = "Background mode requires 'store' to be true.";
        return Err(ApiError::invalid_value("background", message));
    }
    number(body, "max_output_tokens", "integer", 16.0, f64::MAX)?;
    number(body, "temperature", "decimal", 0.0, 2.0)?;
    number(body, "top_p", "decimal", 0.0, 1.0)?;
    conversations::metadata(&body["metadata"])?;
    tools(&body["tools"])?;
    stream_options(body)
}

pub(crate) fn stream_options(body: &Value) -> Result<(), ApiError> {
    if !body["stream_options"].is_null() && body["stream"] != json!(true) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError::bad_request(message).param("stream_options"));
    }
    Ok(())
}

pub(crate) fn number(
    body: &Value,
    name: &str,
    kind: &str,
    least: f64,
    most: f64,
) -> Result<(), ApiError> {
    let given = &body[name];
    if given.is_null() {
        return Ok(());
    }
    let number = given.as_f64();
    let number = number.ok_or_else(|| ApiError::wrong_type(name, &format!("one {kind}")))?;
    let (wrong, code, sign, bound) = if number < least && kind == "integer" {
        ("below minimum", "integer_below_min_value", ">=", least)
    } else if number < least {
        ("below minimum", "decimal_below_min_value", ">=", least)
    } else if number > most && kind == "integer" {
        ("above maximum", "integer_above_max_value", "<=", most)
    } else if number > most {
        ("above maximum", "decimal_above_max_value", "<=", most)
    } else {
        return Ok(());
    };
    let message = format!(
        "Invalid '{name}': {kind} {wrong} value. Expected a value {sign} {bound}, but got \
         {given} instead."
    );
    Err(ApiError::bad_request(message).param(name).code(code))
}

pub(crate) fn tools(tools: &Value) -> Result<(), ApiError> {
    named_tools(tools, |tool| tool, "")
}

/// The tools of the older protocols, whose functions are objects within them.
pub(crate) fn wrapped_tools(tools: &Value) -> Result<(), ApiError> {
    named_tools(tools, |tool| &tool["function"], ".function")
}

fn named_tools(
    tools: &Value,
    function: impl Fn(&Value) -> &Value,
    path: &str,
) -> Result<(), ApiError> {
    let tools = match tools {
        Value::Null => return Ok(()),
        Value::Array(tools) => tools,
        _ => return Err(ApiError::wrong_type("tools", "an array")),
    };
    for (index, tool) in tools.iter().enumerate() {
        if !tool["type"].is_string() {
            return Err(ApiError::missing(&format!("tools[{index}].type")));
        }
        if tool["type"] == "function" && !function(tool)["name"].is_string() {
            return Err(ApiError::missing(&format!("tools[{index}]{path}.name")));
        }
    }
    Ok(())
}

/// The conversation: an id, or an object with one.
pub(crate) fn conversation_id(body: &Value) -> Result<Option<&str>, ApiError> {
    let given = match &body["conversation"] {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields.get("id").and_then(Value::as_str),
        other => other.as_str(),
    };
    let wrong = || ApiError::wrong_type("conversation", "an id or an object with one");
    let id = given.ok_or_else(wrong)?;
    if !body["previous_response_id"].is_null() {
        let message = "Mutually exclusive parameters. Ensure you are only providing one of: \
                       'previous_response_id' or 'conversation'.";
        let error = ApiError::bad_request(message).param("previous_response_id");
        return Err(error.code("mutually_exclusive_parameters"));
    }
    Ok(Some(id))
}
