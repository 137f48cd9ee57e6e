//! Markdown to HTML that runs nothing, and that loses no words. What a model writes is as trustworthy as what a stranger writes.

use std::collections::HashSet;
use std::sync::LazyLock;

use ammonia::Builder;
use pulldown_cmark::html::push_html;
use pulldown_cmark::{Event, Options, Parser, TagEnd};

use crate::markdown_pieces::{is_seen, shown, without_idle_definitions};
use crate::names;

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
        // A block of code may be wider than its page: the keyboard can move it once it has the focus.
        .set_tag_attribute_value("pre", "tabindex", "0")
        .link_rel(Some("noopener noreferrer nofollow"));
    clean
});

/// Deepest nesting and most pieces that are rendered. A short text can ask for far more of both than anybody reads: each `>` of a
/// line is one more level, and each row of a wide table has as many cells as its first one.
const DEEPEST: usize = 40;
const MOST_PIECES: usize = 20_000;
/// How much of a text a line in a list looks at, in bytes.
const LINE: usize = 2_000;

pub(crate) fn events(markdown: &str) -> Parser<'_> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Its words alone, for a line in a list.
pub(crate) fn words(markdown: &str) -> String {
    let beginning = &markdown[..markdown.floor_char_boundary(LINE)];
    let mut words = String::new();
    for event in events(beginning) {
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
    if names::is_visible(&words) { words } else { beginning.to_owned() }
}

/// What Markdown makes of it, or, where that would be monstrous or nothing, the text as it was written.
pub(crate) fn html(markdown: &str) -> String {
    if !is_moderate(markdown) {
        return as_written(markdown);
    }
    let Some(markdown) = without_idle_definitions(markdown) else {
        return as_written(markdown);
    };
    let shown = shown(&markdown);
    if !shown.iter().any(is_seen) {
        return as_written(&markdown);
    }
    let mut html = String::new();
    push_html(&mut html, shown.into_iter());
    // HTML in the text is text. What Markdown makes of it is cleaned all the same: two walls are better than one.
    CLEAN.clean(&html).to_string()
}

/// Stops at the first piece that is too much.
fn is_moderate(markdown: &str) -> bool {
    let mut depth = 0_usize;
    events(markdown).enumerate().all(|(at, event)| {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= DEEPEST && at < MOST_PIECES
    })
}

fn as_written(text: &str) -> String {
    format!("<pre tabindex=\"0\">{}</pre>", ammonia::clean_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        let text = "# A *tale*\n\n```rust\nlet x = 1 < 2;\n```\n\n[on](https://example.org)";
        let html = html(text);
        assert!(html.contains("<h2>A <em>tale</em></h2>"), "{html}");
        assert!(
            html.contains("<pre tabindex=\"0\"><code>let x = 1 &lt; 2;\n</code></pre>"),
            "{html}"
        );
        let link = r#"<a href="https://example.org" rel="noopener noreferrer nofollow">on</a>"#;
        assert!(html.contains(link), "{html}");
    }

    #[test]
    fn no_words_are_lost() {
        let link = |to: &str, words: &str| {
            format!("<a href=\"{to}\" rel=\"noopener noreferrer nofollow\">{words}</a>")
        };
        let cases = [
            ("![my cat](https://e.org/cat.png)", link("https://e.org/cat.png", "my cat")),
            ("![](https://e.org/cat.png)", link("https://e.org/cat.png", "https://e.org/cat.png")),
            ("[](https://e.org)", link("https://e.org", "https://e.org")),
            ("[![cat](https://e.org/c.png)](https://e.org)", link("https://e.org", "cat")),
            ("![a ![b](https://e.org/b)](https://e.org/a)", link("https://e.org/a", "a b")),
            ("[note]: remember-the-milk", "[note]: remember-the-milk".to_owned()),
            ("Hello\n\n[note]: milk\n[Note]: bread", "[note]: milk<br>\n[Note]: bread".to_owned()),
            ("[note]: milk\n\n> [other]: bread", "[other]: bread".to_owned()),
            ("[on]\n\n[on]: https://e.org", format!("<p>{}</p>", link("https://e.org", "on"))),
            ("```remember the milk", "remember the milk".to_owned()),
            ("#", "#</pre>".to_owned()),
            ("&nbsp;", "&amp;nbsp;".to_owned()),
        ];
        for (text, part) in cases {
            let html = html(text);
            // The cleaner writes a slash of a text that is as it was written by its number.
            assert!(
                html.replace("&#47;", "/").replace("&#32;", " ").contains(&part),
                "{text}: {html}"
            );
            assert!(!html.contains("<img"), "{text}: {html}");
            assert!(!words(text).trim().is_empty(), "{text}");
        }
    }

    #[test]
    fn html_in_a_text_keeps_its_lines() {
        let block = html("<div>\n  <b>a</b>\n</div>\n\nAnd <b\nid=x>more</b>");
        let lines = "<p>&lt;div&gt;<br>\n  &lt;b&gt;a&lt;/b&gt;<br>\n&lt;/div&gt;</p>";
        assert!(block.contains(lines), "{block}");
        assert!(block.contains("And &lt;b<br>\nid=x&gt;more"), "{block}");
    }

    #[test]
    fn no_heading_is_above_the_pages_own() {
        let html = html("# One\n\n##### Five\n\n###### Six\n\nSetext\n===");
        for part in ["<h2>One</h2>", "<h6>Five</h6>", "<h6>Six</h6>", "<h2>Setext</h2>"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn a_line_in_a_list_has_the_words_alone() {
        let text = "# A *tale*\n\nOnce **upon**\na `time` <b>";
        assert_eq!(words(text).trim(), "A tale Once upon a time <b>");
    }

    /// How deep the tags of a text are, and how long it is beside its source.
    fn measured(markdown: &str) -> (usize, usize) {
        let html = html(markdown);
        let (mut depth, mut deepest) = (0_usize, 0);
        for tag in html.split('<').skip(1) {
            if tag.starts_with('/') {
                depth -= 1;
            } else if !tag.starts_with("br") && !tag.starts_with("hr") {
                depth += 1;
            }
            deepest = deepest.max(depth);
        }
        (deepest, html.len() / markdown.len())
    }

    #[test]
    fn a_short_text_makes_no_monstrous_page() {
        let wide = "|".repeat(2_000);
        let table = format!("{wide}\n{}\n{}", "|-".repeat(2_000), "|x\n".repeat(2_000));
        for text in [
            ">".repeat(20_000),
            "- ".repeat(20_000),
            format!("{}{}", "*a **b ".repeat(5_000), "c** d* ".repeat(5_000)),
            table,
        ] {
            let (deepest, times) = measured(&text);
            assert!(deepest <= DEEPEST && times < 20, "{deepest} {times}: {}", &text[..20]);
        }
        assert_eq!(html(&">".repeat(3_000)), as_written(&">".repeat(3_000)));
        assert!(words(&"é".repeat(20_000)).trim().len() <= LINE);
    }

    #[test]
    fn hostile_markdown_runs_nothing() {
        for text in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "![x](x\" onerror=\"alert(1))",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt&#58;alert(1))",
            "[x](data:text/html,<script>alert(1)</script>)",
            "[x](//evil.example)",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<style>*{display:none}</style>",
            "<form action=/account/delete method=post><button>x</button></form>",
            "```\"><script>alert(1)</script>\nx\n```",
            "<svg/onload=alert(1)>",
            &format!("{}<script>alert(1)</script>", ">".repeat(100)),
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
