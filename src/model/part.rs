//! What a message has beside its text: what a user gave with it, and what the model gave with its answer.

use serde::Serialize;
use serde_json::Value;

use super::text_enum;

text_enum! {
    /// What a part of a message is.
    pub enum PartKind {
        /// A picture.
        Image => "image",
        /// A file.
        File => "file",
        /// Sound.
        Audio => "audio",
        /// A note of the provider's on the text: a source, a citation of a file, the path of one ([`Part::annotation`]).
        Annotation => "annotation",
        /// What the provider tells of the model's thoughts ([`Part::text`]).
        ReasoningSummary => "reasoning_summary",
    }
}

/// A part of a message, without its bytes: [`Messages::part_bytes`](crate::Messages::part_bytes) reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Part {
    /// Local id.
    pub id: i64,
    /// Place among the parts of its message.
    pub position: i64,
    /// What it is.
    pub kind: PartKind,
    /// Media type, such as `image/png`, where it is known.
    pub media_type: Option<String>,
    /// Name of the file.
    pub name: Option<String>,
    /// Size in bytes; `None`: the bytes are not stored here.
    pub size: Option<i64>,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub digest: Option<String>,
    /// Address of the picture, where it is not stored here.
    pub url: Option<String>,
    /// Id of the file at the provider.
    pub file_id: Option<String>,
    /// The endpoint at which that id means something, where it was known.
    pub endpoint: Option<String>,
    /// What the provider said of it, as it came, but for bytes and for what only the provider can read.
    pub raw: Option<Value>,
    /// Characters of the message before the text that an annotation's indices count in.
    #[serde(skip)]
    pub(crate) text_offset: i64,
    #[serde(skip)]
    pub(crate) blob_id: Option<i64>,
}

/// A note of the provider's on the text of a message. Indices count characters of [`Message::content`](crate::Message::content).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Annotation<'p> {
    /// A source on the web.
    #[non_exhaustive]
    UrlCitation {
        /// Its address.
        url: &'p str,
        /// Its title.
        title: &'p str,
        /// Where in the text, from this character
        start: i64,
        /// to this one.
        end: i64,
    },
    /// A file of the provider's that was read.
    #[non_exhaustive]
    FileCitation {
        /// Its id there.
        file_id: &'p str,
        /// Its name.
        filename: &'p str,
        /// Its place in the provider's list of files.
        index: i64,
    },
    /// A file that the model made in a container of the provider's.
    #[non_exhaustive]
    ContainerFileCitation {
        /// The container.
        container_id: &'p str,
        /// The file's id there.
        file_id: &'p str,
        /// Its name.
        filename: &'p str,
        /// Where in the text, from this character
        start: i64,
        /// to this one.
        end: i64,
    },
    /// The path of a file of the provider's.
    #[non_exhaustive]
    FilePath {
        /// Its id there.
        file_id: &'p str,
        /// Its place in the provider's list of files.
        index: i64,
    },
    /// Something else: see [`Part::raw`].
    Other,
}

impl Part {
    /// Whether its bytes are stored here.
    #[must_use]
    pub const fn has_bytes(&self) -> bool {
        self.blob_id.is_some()
    }

    /// What it notes of the text; `None` for a part of another kind.
    #[must_use]
    pub fn annotation(&self) -> Option<Annotation<'_>> {
        let raw = self.raw.as_ref().filter(|_| self.kind == PartKind::Annotation)?;
        let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| raw.get(name).and_then(Value::as_i64).unwrap_or_default();
        let place = |name: &str| number(name).saturating_add(self.text_offset);
        Some(match text("type") {
            "url_citation" => Annotation::UrlCitation {
                url: text("url"),
                title: text("title"),
                start: place("start_index"),
                end: place("end_index"),
            },
            "file_citation" => Annotation::FileCitation {
                file_id: text("file_id"),
                filename: text("filename"),
                index: number("index"),
            },
            "container_file_citation" => Annotation::ContainerFileCitation {
                container_id: text("container_id"),
                file_id: text("file_id"),
                filename: text("filename"),
                start: place("start_index"),
                end: place("end_index"),
            },
            "file_path" => {
                Annotation::FilePath { file_id: text("file_id"), index: number("index") }
            }
            _ => Annotation::Other,
        })
    }

    /// Its text: the summary of the model's thoughts, with a blank line between two paragraphs. `None` for a part of another kind.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let raw = self.raw.as_ref().filter(|_| self.kind == PartKind::ReasoningSummary)?;
        Some(thoughts(raw).join("\n\n"))
    }

    /// The format of sound, in the provider's word.
    pub(crate) fn audio_format(&self) -> Option<&'static str> {
        let media_type = self.media_type.as_deref();
        AUDIO.into_iter().find(|(_, known)| Some(*known) == media_type).map(|(format, _)| format)
    }
}

/// The formats of sound that a model takes (`OpenAI`'s API description, schema `InputAudio`), and their media types.
pub(super) const AUDIO: [(&str, &str); 2] = [("mp3", "audio/mpeg"), ("wav", "audio/wav")];

/// The texts of an item of reasoning that can be read: its summary, or, of a model that shows them, the thoughts themselves.
pub(crate) fn thoughts(reasoning: &Value) -> Vec<&str> {
    let texts = |name: &str| -> Vec<&str> {
        let parts = reasoning.get(name).and_then(Value::as_array);
        let texts = parts.into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
        texts.filter(|text| !text.trim().is_empty()).collect()
    };
    let summary = texts("summary");
    if summary.is_empty() { texts("content") } else { summary }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(kind: PartKind, raw: Value) -> Part {
        Part {
            id: 1,
            position: 0,
            kind,
            media_type: None,
            name: None,
            size: None,
            digest: None,
            url: None,
            file_id: None,
            endpoint: None,
            raw: Some(raw),
            text_offset: 10,
            blob_id: None,
        }
    }

    #[test]
    fn annotations_are_read_by_their_types_and_their_places_are_those_in_the_message() {
        let of = |raw| part(PartKind::Annotation, raw);
        let url = of(json!({"type": "url_citation", "url": "https://a.example", "title": "A",
            "start_index": 2, "end_index": 5}));
        let expected =
            Annotation::UrlCitation { url: "https://a.example", title: "A", start: 12, end: 15 };
        assert_eq!(url.annotation(), Some(expected));
        let file =
            of(json!({"type": "container_file_citation", "container_id": "c", "file_id": "f",
            "filename": "a.csv", "start_index": 0, "end_index": 1}));
        let expected = Annotation::ContainerFileCitation {
            container_id: "c",
            file_id: "f",
            filename: "a.csv",
            start: 10,
            end: 11,
        };
        assert_eq!(file.annotation(), Some(expected));
        let cited =
            of(json!({"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 3}));
        let expected = Annotation::FileCitation { file_id: "f", filename: "a.pdf", index: 3 };
        assert_eq!(cited.annotation(), Some(expected));
        let path = of(json!({"type": "file_path", "file_id": "f", "index": 3}));
        assert_eq!(path.annotation(), Some(Annotation::FilePath { file_id: "f", index: 3 }));
        assert_eq!(of(json!({"type": "hologram"})).annotation(), Some(Annotation::Other));
        assert_eq!(part(PartKind::Image, json!({"type": "file_path"})).annotation(), None);
    }

    #[test]
    fn a_summary_is_read_and_thoughts_where_there_is_none() {
        let both = json!({"summary": [{"text": "a"}, {"text": " "}, {"text": "b"}],
            "content": [{"text": "c"}]});
        assert_eq!(part(PartKind::ReasoningSummary, both).text().as_deref(), Some("a\n\nb"));
        let shown = json!({"summary": [], "content": [{"text": "c"}]});
        assert_eq!(part(PartKind::ReasoningSummary, shown).text().as_deref(), Some("c"));
    }
}
