use super::new_part::{NewPart, PartLimits};
use super::without_nul;
use crate::error::{Error, Result, shortened};

/// What is said: text, and pictures, files and sound beside it, or these alone.
///
/// ```
/// # use ai_engine::Content;
/// # let (png, pdf, mp3) = (vec![1], vec![2], vec![3]);
/// let question = Content::text("What do these have in common?")
///     .image_url("https://example.org/tree.jpg")
///     .image("image/png", png)
///     .file("report.pdf", "application/pdf", pdf)
///     .file_id("file-abc123")
///     .audio("mp3", mp3);
/// let plain: Content = "What is a tree?".into();
/// ```
///
/// A model is sent the text first and the parts in their order behind it. Whether it takes them is between you and the provider:
/// not every model sees pictures. The bytes are stored in your database, once for each thread or chat, and are read when they are
/// sent. How many and how large parts may be is set on the engine's builder
/// ([`max_parts`](crate::EngineBuilder::max_parts), [`max_part_bytes`](crate::EngineBuilder::max_part_bytes),
/// [`max_parts_bytes`](crate::EngineBuilder::max_parts_bytes)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    text: String,
    parts: Vec<NewPart>,
}

/// Content that may be stored and sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checked {
    pub(crate) text: String,
    pub(crate) parts: Vec<NewPart>,
}

impl Content {
    /// Longest text one message may have, in bytes.
    pub const MAX_BYTES: usize = 10 * 1024 * 1024;

    /// This text; it may be empty where parts follow.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), parts: Vec::new() }
    }

    /// Adds a picture by its address, which the provider loads it from: `http` or `https`, at most 8 KiB.
    #[must_use]
    pub fn image_url(self, url: impl Into<String>) -> Self {
        self.with(NewPart::image_url(url.into()))
    }

    /// Adds a picture: `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    #[must_use]
    pub fn image(self, media_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(NewPart::image(media_type.into(), bytes.into()))
    }

    /// Adds a file: its name (1 to 255 characters), its media type, such as `application/pdf`, and its bytes. Which types a model
    /// reads is the provider's matter; pictures and sound are no files here.
    #[must_use]
    pub fn file(
        self,
        name: impl Into<String>,
        media_type: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        self.with(NewPart::file(name.into(), media_type.into(), bytes.into()))
    }

    /// Adds a file that the provider has, by its id there. It belongs to the endpoint of the engine that stores it: a run that would
    /// send it to another one fails before anything is sent, reason [`FileElsewhere`](crate::Reason::FileElsewhere).
    #[must_use]
    pub fn file_id(self, id: impl Into<String>) -> Self {
        self.with(NewPart::file_id(id.into()))
    }

    /// Adds sound: `mp3` or `wav`.
    #[must_use]
    pub fn audio(self, format: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(NewPart::audio(&format.into(), bytes.into()))
    }

    fn with(mut self, part: NewPart) -> Self {
        self.parts.push(part);
        self
    }

    /// What may be stored and sent. `endpoint`: where ids of the provider's are from.
    pub(crate) fn checked(self, limits: PartLimits, endpoint: Option<&str>) -> Result<Checked> {
        let Self { text, mut parts } = self;
        if text.trim().is_empty() && parts.is_empty() {
            return Err(Error::invalid(
                "content",
                text.get(..16).unwrap_or(&text),
                "must not be empty",
            ));
        }
        if text.len() > Self::MAX_BYTES {
            let reason =
                format!("has {} bytes; at most {} are allowed", text.len(), Self::MAX_BYTES);
            return Err(Error::invalid("content", shortened(&text), reason));
        }
        without_nul("content", &text)?;
        limits.check(&parts)?;
        for part in &mut parts {
            part.settle(endpoint);
        }
        Ok(Checked { text, parts })
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&String> for Content {
    fn from(text: &String) -> Self {
        Self::text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(content: Content) -> String {
        content.checked(PartLimits::default(), None).unwrap_err().to_string()
    }

    #[test]
    fn content_out_of_its_limits_is_refused_by_name() {
        let refused = |text: &str| refusal(Content::from(text));
        assert_eq!(refused(" \n"), "content \" \\n\" must not be empty");
        assert!(refused("a\0b").ends_with("must not contain a NUL character; remove it"));
        let long = refused(&"x".repeat(Content::MAX_BYTES + 1));
        assert!(long.contains("at most 10485760 are allowed") && long.len() < 300, "{long}");
        let hello = Content::from("hello").checked(PartLimits::default(), None).unwrap();
        assert_eq!(hello.text, "hello");
        let alone = Content::text("").image("image/png", [1]);
        assert_eq!(alone.checked(PartLimits::default(), None).unwrap().parts.len(), 1);
    }

    #[test]
    fn parts_out_of_their_limits_are_refused_by_their_place_and_name() {
        let text = || Content::text("a");
        let cases = [
            (
                text().image("image/tiff", [1]),
                "content part 1 (image) is of the media type \"image/tiff\"; \
                a picture is image/png, image/jpeg, image/gif or image/webp",
            ),
            (
                text().image("image/png", [1]).image("image/png", []),
                "content part 2 (image) has no bytes",
            ),
            (
                text().image_url("data:image/png;base64,AA"),
                "content part 1 (image) must be at an http or https address; give bytes to `image`",
            ),
            (
                text().image_url("https://"),
                "content part 1 (image) must be at an http or https address; give bytes to `image`",
            ),
            (
                text().file("a.png", "image/png", [1]),
                "content part 1 (file \"a.png\") is of the media type \"image/png\"; \
                give pictures to `image` and sound to `audio`",
            ),
            (
                text().file("a", "pdf", [1]),
                "content part 1 (file \"a\") is of the media type \"pdf\"; \
                it must be a type and a subtype, such as application/pdf",
            ),
            (
                text().file("", "text/plain", [1]),
                "content part 1 (file \"\") must have a name of 1 to 255 characters without control characters",
            ),
            (
                text().file_id(" "),
                "content part 1 (file) must have an id of 1 to 255 characters without spaces",
            ),
            (
                text().audio("ogg", [1]),
                "content part 1 (audio) is of the format \"ogg\"; sound is mp3 or wav",
            ),
        ];
        for (content, expected) in cases {
            assert_eq!(refusal(content), expected);
        }
    }

    #[test]
    fn the_limits_of_size_and_number_name_themselves_and_the_part() {
        let limits = PartLimits { part_bytes: 4, parts_bytes: 6, parts: 3 };
        let refused = |content: Content| content.checked(limits, None).unwrap_err().to_string();
        let file =
            |content: Content, bytes: usize| content.file("a.txt", "text/plain", vec![0; bytes]);
        assert_eq!(
            refused(file(file(Content::default(), 1), 5)),
            "content part 2 (file \"a.txt\") has 5 bytes; at most 4 are allowed (max_part_bytes)"
        );
        assert_eq!(
            refused(file(file(Content::default(), 3), 4)),
            "content part 2 (file \"a.txt\") makes 7 bytes of parts; at most 6 are allowed (max_parts_bytes)"
        );
        let many = (0..4).fold(Content::default(), |content, _| file(content, 1));
        assert_eq!(
            refused(many),
            "content part 4 (file \"a.txt\") is one too many; at most 3 are allowed (max_parts)"
        );
        let most = file(file(Content::default(), 4), 2);
        assert!(most.checked(limits, None).is_ok());
    }

    #[test]
    fn bytes_are_no_part_of_what_is_logged() {
        let content = Content::text("a").image("image/png", [7; 1000]);
        let shown = format!("{content:?}");
        assert!(shown.contains("1000 bytes") && shown.len() < 500, "{shown}");
    }
}
