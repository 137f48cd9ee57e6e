use super::*;

fn vars(pairs: &'static [(&'static str, &'static str)]) -> Result<OpenAi> {
    let lookup =
        |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    OpenAiBuilder::from_vars(lookup)?.build()
}

fn with_base(url: &str) -> Result<OpenAi> {
    OpenAi::builder().base_url(url).build()
}

#[test]
fn the_environment_is_read_with_its_fallbacks() {
    let client = vars(&[("OPENAI_API_KEY", "sk-1")]).unwrap();
    assert_eq!(client.base_url(), "https://api.openai.com/v1");
    assert_eq!((client.organization(), client.project()), (None, None));
    assert_eq!(client.key(), Some(&ApiKey::new("sk-1")));

    let client = vars(&[
        ("OPENAI_API_KEY", ""),
        ("OPENAI_ACCESS_TOKEN", "sk-2\n"),
        ("OPENAI_BASE_URL", "http://localhost:1234/v1/"),
        ("OPENAI_ORGANIZATION_ID", "org-2"),
        ("OPENAI_PROJECT_ID", "proj_1"),
    ])
    .unwrap();
    assert_eq!(client.key(), Some(&ApiKey::new("sk-2")));
    assert_eq!((client.organization(), client.project()), (Some("org-2"), Some("proj_1")));
    assert_eq!(client.endpoint(), "http://localhost:1234/v1#proj_1");

    let client = vars(&[
        ("OPENAI_API_KEY", "sk-1"),
        ("OPENAI_ACCESS_TOKEN", "sk-2"),
        ("OPENAI_ORG_ID", "org-1"),
        ("OPENAI_ORGANIZATION_ID", "org-2"),
        ("OPENAI_BASE_URL", " "),
    ])
    .unwrap();
    assert_eq!(client.key(), Some(&ApiKey::new("sk-1")));
    assert_eq!(client.organization(), Some("org-1"));
    assert!(client.is_openai());
}

#[test]
fn a_missing_key_names_both_variables() {
    let text = vars(&[("OPENAI_API_KEY", "")]).unwrap_err().to_string();
    assert!(text.contains("OPENAI_API_KEY") && text.contains("OPENAI_ACCESS_TOKEN"), "{text}");
}

#[test]
fn a_bad_base_url_is_named_without_its_password() {
    for url in ["api.openai.com", "ftp://host/v1", "http://", "https://host/#f"] {
        let text = with_base(url).unwrap_err().to_string();
        assert!(text.contains(url) && text.contains("base_url"), "{text}");
    }
    for url in ["ftp://user:secret@host/v1", "user:secret@host", "http://user:secret@"] {
        let error = with_base(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn the_endpoint_is_the_base_url_and_the_project() {
    let client = with_base("HTTPS://Host.Example:443/v1/").unwrap();
    assert_eq!(
        (client.base_url(), client.endpoint()),
        ("https://host.example/v1", "https://host.example/v1")
    );
    assert!(!client.is_openai());
    assert_eq!(with_base("http://host:80").unwrap().base_url(), "http://host");
    assert!(with_base("https://eu.api.openai.com/v1").unwrap().is_openai());
    assert!(!with_base("https://notapi.openai.com/v1").unwrap().is_openai());
}

#[test]
fn debug_forms_show_no_secret() {
    let builder = OpenAi::builder()
        .api_key("sk-secret")
        .base_url("https://user:secret@host/v1")
        .header("api-key", "other-secret");
    let client = builder.clone().build().unwrap();
    for text in [
        format!("{builder:?}"),
        format!("{client:?} {:?}", client.responses()),
        client.endpoint().to_owned(),
    ] {
        assert!(!text.contains("secret") && !text.contains("user"), "{text}");
    }
    assert!(format!("{client:?}").contains("not set"));
}

#[test]
fn secrets_are_not_shown_in_any_form_in_which_they_are_sent() {
    let redacted = |client: &OpenAi, secret: &str| {
        let text = client.secrets().redact(&format!("got {secret} here")).into_owned();
        assert!(!text.contains(secret) && text.starts_with("got "), "{secret}: {text}");
    };
    let client = with_base("http://u:p%40ssword1@host/v1").unwrap();
    // The base64 is that of `u:p@ssword1`.
    for secret in ["p%40ssword1", "p@ssword1", "u:p@ssword1", "dTpwQHNzd29yZDE=", "dTpwQHNzd29yZDE"]
    {
        redacted(&client, secret);
    }
    let client = with_base("http://gateway%2Duser@host/v1").unwrap();
    for secret in ["gateway%2Duser", "gateway-user", "Z2F0ZXdheS11c2VyOg"] {
        redacted(&client, secret);
    }
    for (value, secrets) in [
        ("Bearer abcdefgh1", ["abcdefgh1", "Bearer abcdefgh1"]),
        ("Token token=abcdefgh2", ["abcdefgh2", "token=abcdefgh2"]),
        ("Token token=\"abcdefgh3\", nonce=\"ijklmnop3\"", ["abcdefgh3", "ijklmnop3"]),
        ("session=abcdefgh4; theme=dark; csrf=ijklmnop4==", ["abcdefgh4", "ijklmnop4=="]),
    ] {
        let client = OpenAi::builder().header("x-auth", value).build().unwrap();
        for secret in secrets {
            redacted(&client, secret);
        }
        assert_eq!(client.secrets().redact("theme dark, token, nonce"), "theme dark, token, nonce");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let field = |builder: OpenAiBuilder| match builder.build() {
        Err(Error::Configuration { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let new = OpenAi::builder;
    assert_eq!(field(new().api_key("")), "api_key");
    assert_eq!(field(new().api_key("sk-\n1")), "api_key");
    assert_eq!(field(new().organization("\n")), "organization");
    assert_eq!(field(new().project("\u{7f}")), "project");
    assert_eq!(field(new().header("a b", "x")), "header");
    assert_eq!(field(new().header("a", "x\n")), "header");
    assert_eq!(field(new().idle_timeout(Duration::ZERO)), "idle_timeout");
    assert_eq!(field(new().max_event_bytes(0)), "max_event_bytes");
}

#[test]
fn the_protocol_is_set_by_its_name() {
    let with = |name: &str| {
        OpenAiBuilder::from_vars(|variable| match variable {
            "OPENAI_API_KEY" => Some("sk-1".to_owned()),
            "AI_ENGINE_PROTOCOL" => Some(name.to_owned()),
            _ => None,
        })
        .and_then(OpenAiBuilder::build)
    };
    assert_eq!(vars(&[("OPENAI_API_KEY", "sk-1")]).unwrap().protocol(), Protocol::Responses);
    for protocol in [Protocol::Responses, Protocol::ChatCompletions] {
        assert_eq!(with(protocol.as_str()).unwrap().protocol(), protocol);
    }
    let error = with("chat").unwrap_err().to_string();
    assert!(
        ["protocol", "\"chat\"", "chat_completions"].iter().all(|word| error.contains(word)),
        "{error}"
    );
}
