//! TLS towards the provider: rustls with the platform's certificates, or the platform's own library.

#[cfg(feature = "rustls")]
use super::{Error, Result};

/// Gives the client a rustls configuration of its own: one through the process's default would depend on, or change,
/// what the host does with it.
#[cfg(feature = "rustls")]
pub(super) fn configure(
    http: reqwest::ClientBuilder,
    scheme: &str,
) -> Result<reqwest::ClientBuilder> {
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore};
    use rustls_platform_verifier::BuilderVerifierExt;

    let failed = |error: rustls::Error| Error::configuration("tls", error.to_string());
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
    let builder = if scheme == "https" {
        builder.with_platform_verifier().map_err(failed)?
    } else {
        // Never used, since redirects are not followed: a machine without certificates can still talk to itself.
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(http.tls_backend_preconfigured(builder.with_no_client_auth()))
}

#[cfg(not(feature = "rustls"))]
#[allow(clippy::unnecessary_wraps, reason = "the other form can fail")]
pub(super) fn configure(
    http: reqwest::ClientBuilder,
    _scheme: &str,
) -> super::Result<reqwest::ClientBuilder> {
    Ok(http)
}
