//! What stands beside the text of a message, as chunks of the AI SDK.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::{Annotation, Message, Part, PartKind};

/// Under which address the host serves a part.
pub(super) type Address = dyn Fn(&Message, &Part) -> Option<String> + Send + Sync;
pub(super) type FileUrl = Arc<Address>;

/// Thoughts, sources, pictures and files of a message, as chunks.
pub(super) fn beside_the_text(message: &Message, file_url: Option<&Address>) -> Vec<Value> {
    let mut chunks = Vec::new();
    for part in &message.parts {
        let id = format!("part-{}", part.id);
        if let Some(text) = part.text() {
            chunks.push(json!({"type": "reasoning-start", "id": id}));
            chunks.push(json!({"type": "reasoning-delta", "id": id, "delta": text}));
            chunks.push(json!({"type": "reasoning-end", "id": id}));
            continue;
        }
        chunks.extend(match part.annotation() {
            Some(Annotation::UrlCitation { url, title, .. }) => {
                Some(json!({"type": "source-url", "sourceId": id, "url": url, "title": title}))
            }
            Some(
                Annotation::FileCitation { filename, .. }
                | Annotation::ContainerFileCitation { filename, .. },
            ) => Some(json!({
                "type": "source-document", "sourceId": id, "mediaType": "application/octet-stream",
                "title": filename, "filename": filename,
            })),
            Some(Annotation::FilePath { .. } | Annotation::Other) => None,
            None => {
                let url = file_url.and_then(|url| url(message, part)).or_else(|| part.url.clone());
                url.map(|url| file(part, &url))
            }
        });
    }
    chunks
}

/// A page that streams leaves the name out; one that is loaded shows it.
fn file(part: &Part, url: &str) -> Value {
    let mut file = json!({"type": "file", "url": url, "mediaType": media_type(part)});
    if let Some(name) = &part.name {
        file["filename"] = name.as_str().into();
    }
    file
}

fn media_type(part: &Part) -> &str {
    let usual = match part.kind {
        PartKind::Image => "image/*",
        _ => "application/octet-stream",
    };
    part.media_type.as_deref().unwrap_or(usual)
}
