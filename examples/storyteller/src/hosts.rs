//! Under which names the app answers. A stranger's page can have its own name point at this machine, and would then be of the same
//! origin as the app in the eyes of a browser; so only names that are known are answered.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::problem::Problem;

/// This machine's own, which no stranger's name is.
const OURS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

pub(crate) async fn check(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let is_known = host.is_some_and(|host| {
        let name = without_port(host);
        let ours = OURS.into_iter().chain(app.settings.host.as_deref());
        ours.into_iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    if !is_known || hosts.next().is_some() {
        return Err(Problem::UnknownHost);
    }
    Ok(next.run(request).await)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_the_name() {
        for (host, name) in [
            ("localhost:3000", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:3000", "[::1]"),
            ("[::1]", "[::1]"),
            ("evil.example:localhost", "evil.example:localhost"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
