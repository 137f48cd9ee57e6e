//! Markdown to HTML that runs nothing. What a model writes is as trustworthy as what a stranger writes.

use std::collections::HashSet;
use std::sync::LazyLock;

use ammonia::Builder;
use pulldown_cmark::{Event, Options, Parser, TagEnd, html::push_html};

/// No styles, no classes, no forms; pictures would call a stranger's server, so there are none either.
static CLEAN: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut clean = Builder::empty();
    clean
        .tags(HashSet::from([
            "a",
            "blockquote",
            "br",
            "code",
            "del",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "li",
            "ol",
            "p",
            "pre",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ]))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .add_tag_attributes("a", ["href"])
        .add_tag_attributes("ol", ["start"])
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    clean
});

fn events(markdown: &str) -> Parser<'_> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Its words alone, for a line in a list.
pub(crate) fn words(markdown: &str) -> String {
    let mut words = String::new();
    for event in events(markdown) {
        match event {
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                words.push_str(&text);
            }
            Event::SoftBreak
            | Event::HardBreak
            | Event::End(TagEnd::Paragraph | TagEnd::Heading(_)) => words.push(' '),
            _ => {}
        }
    }
    words
}

pub(crate) fn html(markdown: &str) -> String {
    // HTML in the text is text. What Markdown makes of it is cleaned all the same: two walls are better than one.
    let events = events(markdown).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::SoftBreak => Event::HardBreak,
        event => event,
    });
    let mut html = String::new();
    push_html(&mut html, events);
    CLEAN.clean(&html).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        let text = "# A *tale*\n\n```rust\nlet x = 1 < 2;\n```\n\n[on](https://example.org)";
        let html = html(text);
        assert!(html.contains("<h1>A <em>tale</em></h1>"), "{html}");
        assert!(html.contains("<pre><code>let x = 1 &lt; 2;\n</code></pre>"), "{html}");
        let link = r#"<a href="https://example.org" rel="noopener noreferrer nofollow">on</a>"#;
        assert!(html.contains(link), "{html}");
    }

    #[test]
    fn a_line_in_a_list_has_the_words_alone() {
        let text = "# A *tale*\n\nOnce **upon**\na `time` <b>";
        assert_eq!(words(text).trim(), "A tale Once upon a time <b>");
    }

    #[test]
    fn hostile_markdown_runs_nothing() {
        for text in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "![x](x\" onerror=\"alert(1))",
            "![a picture](https://evil.example/pixel.png)",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt&#58;alert(1))",
            "[x](data:text/html,<script>alert(1)</script>)",
            "[x](//evil.example)",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<style>*{display:none}</style>",
            "<form action=/account/delete method=post><button>x</button></form>",
            "```\"><script>alert(1)</script>\nx\n```",
            "<svg/onload=alert(1)>",
        ] {
            let html = html(text);
            let tags: Vec<&str> = html.split('<').skip(1).collect();
            for tag in tags {
                let tag = tag.split('>').next().unwrap();
                let known = ["p", "/p", "a", "/a", "br", "pre", "/pre", "code", "/code"];
                assert!(known.contains(&tag.split(' ').next().unwrap()), "{text}: {html}");
                let bad = ["javascript", "data:", "on", "evil"];
                let attributes = tag.split_once(' ').map_or("", |(_, rest)| rest);
                let attributes = attributes.replace("noopener noreferrer nofollow", "");
                assert!(!bad.iter().any(|bad| attributes.contains(bad)), "{text}: {html}");
            }
        }
    }
}
