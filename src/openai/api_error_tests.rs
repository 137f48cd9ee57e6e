use super::*;
use reqwest::header::{HeaderName, HeaderValue};

fn read(status: u16, body: &str) -> ApiError {
    ApiError::from_answer(
        StatusCode::from_u16(status).unwrap(),
        &HeaderMap::new(),
        body,
        &Secrets::new(["sk-key-1234".to_owned()]),
    )
}

fn with_headers(status: u16, headers: &[(&'static str, &'static str)]) -> ApiError {
    let headers = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    ApiError::from_answer(StatusCode::from_u16(status).unwrap(), &headers, "", &Secrets::default())
}

fn coded(status: Option<u16>, code: &str) -> ApiError {
    ApiError { status, code: Some(code.to_owned()), ..ApiError::default() }
}

#[test]
fn every_known_body_shape_is_read() {
    for (body, message) in [
        (r#"{"error":{"message":"m","type":"t"}}"#, "m"),
        (r#"{"error":"Unauthorized"}"#, "Unauthorized"),
        (r#"{"detail":"gone"}"#, "gone"),
        (r#"{"detail":[{"loc":"x"}]}"#, r#"[{"loc":"x"}]"#),
        (r#"{"object":"error","message":"flat","code":400}"#, "flat"),
        (r#"{"message":"bare"}"#, "bare"),
        (r#"{"error":{"code":7}}"#, r#"{"code":7}"#),
        (r#"{"error":null,"reason":1}"#, r#"{"error":null,"reason":1}"#),
        ("plain text\n", "plain text"),
        (r#""quoted""#, "quoted"),
        ("<html>busy</html>", "the provider gave no reason"),
        ("", "the provider gave no reason"),
        ("{}", "the provider gave no reason"),
    ] {
        assert_eq!(read(400, body).message, message, "{body}");
    }
}

#[test]
fn all_fields_are_read_and_a_numeric_code_is_kept() {
    let error = read(
        400,
        r#"{"error":{"message":"m","type":"invalid_request_error","code":42,"param":"input"}}"#,
    );
    assert_eq!(error.kind.as_deref(), Some("invalid_request_error"));
    assert_eq!(error.code.as_deref(), Some("42"));
    assert_eq!(error.param.as_deref(), Some("input"));
    assert_eq!(error.status, Some(400));
}

#[test]
fn the_text_names_status_code_and_what_to_do() {
    let text = read(401, r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#).to_string();
    assert_eq!(
        text,
        "the provider answered HTTP 401 Unauthorized: bad key; code invalid_api_key; check the API key"
    );
    assert!(read(502, "<html>").to_string().contains("502 Bad Gateway"));
}

#[test]
fn an_echoed_key_is_redacted_even_at_the_cut() {
    let body = format!("{}sk-key-1234", "x".repeat(MAX_MESSAGE - 3));
    let error = read(401, &body);
    assert!(!error.message.contains("sk-"), "{}", error.message);
    assert!(error.message.len() <= MAX_MESSAGE + 3);
    let error =
        read(401, r#"{"error":{"message":"m","code":"sk-key-1234","param":"sk-key-1234"}}"#);
    assert!(!format!("{error:?} {error}").contains("sk-key-1234"));
}

#[test]
fn retry_headers_are_read_in_the_order_of_the_official_libraries() {
    let delay = |headers: &[(&'static str, &'static str)]| with_headers(429, headers).retry_after;
    assert_eq!(delay(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
    assert_eq!(
        delay(&[("retry-after", "7"), ("retry-after-ms", "250")]),
        Some(Duration::from_millis(250))
    );
    // A date is read by the server's own clock, in any form that HTTP has.
    let now = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
    for later in [
        "Wed, 21 Oct 2026 07:28:06 GMT",
        "Wednesday, 21-Oct-26 07:28:06 GMT",
        "Wed Oct 21 07:28:06 2026",
    ] {
        assert_eq!(delay(&[now, ("retry-after", later)]), Some(Duration::from_secs(6)), "{later}");
    }
    assert_eq!(delay(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), None, "it has passed");
    let far = delay(&[("retry-after", "Thu, 31 Dec 2099 23:59:59 GMT")]).unwrap();
    assert!(far > Duration::from_hours(24), "without a date of the server's: {far:?}");
    for no_delay in ["-1", "NaN", "inf", "soon", ""] {
        let headers = [("retry-after-ms", no_delay), ("retry-after", "7")];
        assert_eq!(delay(&headers), Some(Duration::from_secs(7)), "{no_delay:?}");
    }
    assert_eq!(delay(&[("retry-after", "-1")]), None);
    assert_eq!(delay(&[("retry-after", "NaN")]), None);
}

#[test]
fn the_status_decides_unless_the_server_says_otherwise() {
    for (status, expected) in
        [(400, false), (404, false), (408, true), (409, true), (422, false), (429, true)]
    {
        assert_eq!(read(status, "{}").is_retryable(), expected, "{status}");
    }
    assert!(read(500, "{}").is_retryable() && read(503, "{}").is_retryable());
    assert!(with_headers(400, &[("x-should-retry", "true")]).is_retryable());
    assert!(!with_headers(500, &[("x-should-retry", "false")]).is_retryable());
}

#[test]
fn an_exhausted_quota_is_never_retried() {
    for code in [
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "organization_spend_limit_exceeded",
    ] {
        assert!(!coded(Some(429), code).is_retryable(), "{code}");
        let error = ApiError { should_retry: Some(true), ..coded(Some(429), code) };
        assert!(!error.is_retryable(), "{code}");
    }
    let by_type = ApiError {
        status: Some(429),
        kind: Some("insufficient_quota".to_owned()),
        ..ApiError::default()
    };
    assert!(!by_type.is_retryable());
}

#[test]
fn a_locked_conversation_and_a_passing_stream_error_are_retryable() {
    assert!(coded(Some(400), "conversation_locked").is_retryable());
    assert!(coded(None, "server_is_overloaded").is_retryable());
    assert!(!coded(None, "invalid_prompt").is_retryable());
}

#[test]
fn a_redirect_names_its_target_without_credentials() {
    let error = with_headers(307, &[("location", "https://user:pass@other.example/v1")]);
    assert!(error.message.contains("other.example/v1"), "{}", error.message);
    assert!(!error.message.contains("pass"), "{}", error.message);
    assert!(!error.is_retryable());
}
