//! A part of a message before it is stored, and the limits that parts are held to.

use std::fmt;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::PartKind;
use super::part::AUDIO;
use crate::error::{Error, Result};

/// The pictures that a model takes (`OpenAI`'s guide to images and vision).
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// Longest address, in bytes.
const URL_BYTES: usize = 8 * 1024;
/// Longest name, and longest id, in characters.
const NAME_CHARS: usize = 255;

/// A part that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewPart {
    pub(crate) kind: PartKind,
    pub(crate) media_type: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) file_id: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) blob: Option<Blob>,
    /// What the provider said of it, if that is in no item.
    pub(crate) data: Option<Value>,
    /// The position of the item that it is of.
    pub(crate) item: Option<i64>,
    pub(crate) text_offset: i64,
}

/// Bytes, and what they are known by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// SHA-256 in hexadecimal digits; empty until the part was checked.
    pub(crate) digest: String,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl Blob {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
        Self { bytes: Arc::new(bytes), digest }
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // A `String` takes everything.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

impl NewPart {
    pub(crate) const fn of(kind: PartKind) -> Self {
        Self {
            kind,
            media_type: None,
            name: None,
            url: None,
            file_id: None,
            endpoint: None,
            blob: None,
            data: None,
            item: None,
            text_offset: 0,
        }
    }

    /// With these bytes, whose digest is taken when the part is checked.
    fn with(self, bytes: Vec<u8>) -> Self {
        Self { blob: Some(Blob { bytes: Arc::new(bytes), digest: String::new() }), ..self }
    }

    pub(super) fn image_url(url: String) -> Self {
        Self { url: Some(url), ..Self::of(PartKind::Image) }
    }

    pub(super) fn image(media_type: String, bytes: Vec<u8>) -> Self {
        Self { media_type: Some(media_type), ..Self::of(PartKind::Image) }.with(bytes)
    }

    pub(super) fn file(name: String, media_type: String, bytes: Vec<u8>) -> Self {
        let (name, media_type) = (Some(name), Some(media_type));
        Self { media_type, name, ..Self::of(PartKind::File) }.with(bytes)
    }

    pub(super) fn file_id(id: String) -> Self {
        Self { file_id: Some(id), ..Self::of(PartKind::File) }
    }

    /// A format that is not known is refused by the check.
    pub(super) fn audio(format: &str, bytes: Vec<u8>) -> Self {
        let known = AUDIO.into_iter().find(|(name, _)| *name == format);
        let media_type = known.map_or_else(|| format.to_owned(), |(_, known)| known.to_owned());
        Self { media_type: Some(media_type), ..Self::of(PartKind::Audio) }.with(bytes)
    }

    /// What is left to do once it is known to be within the limits.
    pub(super) fn settle(&mut self, endpoint: Option<&str>) {
        if let Some(blob) = &mut self.blob {
            blob.digest = digest(&blob.bytes);
        }
        if self.file_id.is_some() {
            self.endpoint = endpoint.map(str::to_owned);
        }
    }

    /// As an error names it.
    fn named(&self) -> String {
        match &self.name {
            Some(name) => {
                let shown: String = name.chars().take(60).collect();
                format!("{} {shown:?}", self.kind)
            }
            None => self.kind.to_string(),
        }
    }

    /// What is wrong with it beside its size.
    fn fault(&self) -> Option<String> {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        if let Some(url) = &self.url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let is_address = rest.is_some_and(|rest| !rest.is_empty())
                && !url.chars().any(|c| c.is_control() || c.is_whitespace());
            return match url.len() {
                _ if !is_address => {
                    Some("must be at an http or https address; give bytes to `image`".to_owned())
                }
                long if long > URL_BYTES => {
                    Some(format!("has an address of {long} bytes; at most {URL_BYTES} are allowed"))
                }
                _ => None,
            };
        }
        if let Some(id) = &self.file_id {
            let odd = id.chars().any(|c| c.is_control() || c.is_whitespace());
            let many = id.is_empty() || id.chars().count() > NAME_CHARS;
            return (odd || many).then(|| {
                format!("must have an id of 1 to {NAME_CHARS} characters without spaces")
            });
        }
        let wrong = match self.kind {
            PartKind::Image if !PICTURES.contains(&media_type) => {
                "a picture is image/png, image/jpeg, image/gif or image/webp"
            }
            PartKind::Audio if !AUDIO.iter().any(|(_, known)| *known == media_type) => {
                return Some(format!("is of the format {media_type:?}; sound is mp3 or wav"));
            }
            PartKind::File if ["image/", "audio/"].iter().any(|of| media_type.starts_with(of)) => {
                "give pictures to `image` and sound to `audio`"
            }
            PartKind::File if !is_media_type(media_type) => {
                "it must be a type and a subtype, such as application/pdf"
            }
            _ => {
                let bad_name = self.name.as_ref().is_some_and(|name| {
                    name.trim().is_empty()
                        || name.chars().count() > NAME_CHARS
                        || name.chars().any(char::is_control)
                });
                return bad_name.then(|| {
                    format!(
                        "must have a name of 1 to {NAME_CHARS} characters without control characters"
                    )
                });
            }
        };
        Some(format!("is of the media type {media_type:?}; {wrong}"))
    }
}

/// `type/subtype` in the characters of RFC 6838.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

/// How many and how large the parts of one message may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLimits {
    /// Bytes of one.
    pub(crate) part_bytes: usize,
    /// Bytes of all together.
    pub(crate) parts_bytes: usize,
    pub(crate) parts: usize,
}

impl Default for PartLimits {
    fn default() -> Self {
        Self { part_bytes: 20 << 20, parts_bytes: 32 << 20, parts: 50 }
    }
}

impl PartLimits {
    pub(super) fn check(self, parts: &[NewPart]) -> Result<()> {
        let Self { part_bytes, parts_bytes, parts: most } = self;
        let mut sum = 0_usize;
        for (index, part) in parts.iter().enumerate() {
            let number = index + 1;
            let invalid = |reason: String| {
                let value = format!("part {number} ({})", part.named());
                Err(Error::Invalid { field: "content", value, reason })
            };
            if number > most {
                let reason = "is one too many; at most";
                return invalid(format!("{reason} {most} are allowed (max_parts)"));
            }
            if let Some(fault) = part.fault() {
                return invalid(fault);
            }
            let Some(blob) = &part.blob else { continue };
            let bytes = blob.bytes.len();
            sum = sum.saturating_add(bytes);
            if bytes == 0 {
                return invalid("has no bytes".to_owned());
            }
            if bytes > part_bytes {
                let allowed = format!("at most {part_bytes} are allowed (max_part_bytes)");
                return invalid(format!("has {bytes} bytes; {allowed}"));
            }
            if sum > parts_bytes {
                let allowed = format!("at most {parts_bytes} are allowed (max_parts_bytes)");
                return invalid(format!("makes {sum} bytes of parts; {allowed}"));
            }
        }
        Ok(())
    }
}
