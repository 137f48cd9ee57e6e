//! Signs what browsers keep for us, with a secret that stays when the app restarts.

use std::fmt::{self, Write};

use ai_engine::BoxError;
use diesel::prelude::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::database::{Db, transaction};
use crate::schema::app_settings;

#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    /// Shortest secret, in characters.
    const LEAST_CHARS: usize = 32;

    /// A secret that can be guessed lets everybody sign in as anybody, so a short one is refused.
    pub(crate) fn new(secret: &str) -> Result<Self, BoxError> {
        if secret.chars().count() < Self::LEAST_CHARS {
            let least = Self::LEAST_CHARS;
            return Err(format!(
                "STORYTELLER_SECRET is too short: give it {least} characters at least, as `openssl rand -hex 32` prints them, or leave it unset"
            )
            .into());
        }
        Ok(Self(Hmac::new_from_slice(secret.as_bytes())?))
    }

    /// With the secret that the app keeps, which is made at its first start.
    pub(crate) async fn kept(db: &Db) -> Result<Self, BoxError> {
        let fresh = random()?;
        let secret: String = transaction!(*db, |conn| {
            diesel::insert_into(app_settings::table)
                .values((app_settings::name.eq("secret"), app_settings::value.eq(&fresh)))
                .on_conflict_do_nothing()
                .execute(conn)?;
            let kept = app_settings::table.find("secret").select(app_settings::value);
            kept.first(conn)?
        })?;
        Self::new(&secret)
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// Compares in constant time.
    pub(crate) fn has_signed(&self, text: &str, signature: &str) -> bool {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        bytes(signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// A text that nobody can guess.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// As a text of hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    let pair = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let error = Signer::new(&"x".repeat(31)).unwrap_err().to_string();
        assert!(error.contains("32 characters at least"), "{error}");
        Signer::new(&"x".repeat(32)).unwrap();
    }
}
