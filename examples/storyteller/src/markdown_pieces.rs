//! The pieces of a Markdown text as a page shows them: no picture, no HTML, no title above the page's own, and nothing left out.

use std::borrow::Cow;
use std::collections::HashSet;

use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Tag, TagEnd};

use crate::markdown::events;
use crate::names;

/// The pieces as the page shows them.
pub(crate) fn shown(markdown: &str) -> Vec<Event<'_>> {
    let mut shown = Vec::new();
    // How many links and pictures are open, and whether the outermost one has words yet.
    let (mut links, mut has_words) = (0_usize, true);
    let mut address = CowStr::Borrowed("");
    for event in events(markdown) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                has_words |= links > 0;
                push_lines(&mut shown, &html);
            }
            Event::Start(Tag::HtmlBlock) => shown.push(Event::Start(Tag::Paragraph)),
            Event::End(TagEnd::HtmlBlock) => {
                // The last line ends with its paragraph.
                if matches!(shown.last(), Some(Event::HardBreak)) {
                    shown.pop();
                }
                shown.push(Event::End(TagEnd::Paragraph));
            }
            // The title of the page is above all of them.
            Event::Start(Tag::Heading { level, id, classes, attrs }) => {
                let level = below(level);
                shown.push(Event::Start(Tag::Heading { level, id, classes, attrs }));
            }
            Event::End(TagEnd::Heading(level)) => {
                shown.push(Event::End(TagEnd::Heading(below(level))));
            }
            // A picture would call a stranger's server: it is a link, by the words that describe it. A link in a link is none.
            Event::Start(
                Tag::Link { link_type, dest_url, title, id }
                | Tag::Image { link_type, dest_url, title, id },
            ) => {
                links += 1;
                if links == 1 {
                    (has_words, address) = (false, dest_url.clone());
                    shown.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                }
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                links = links.saturating_sub(1);
                if links == 0 {
                    // Without words of its own it is called as where it leads to.
                    if !has_words {
                        shown.push(Event::Text(std::mem::replace(&mut address, "".into())));
                    }
                    shown.push(Event::End(TagEnd::Link));
                }
            }
            Event::SoftBreak => shown.push(Event::HardBreak),
            event => {
                has_words |= is_seen(&event);
                shown.push(event);
            }
        }
    }
    shown
}

/// HTML, as text with its lines.
fn push_lines(shown: &mut Vec<Event<'_>>, html: &str) {
    for (at, line) in html.split('\n').enumerate() {
        if at > 0 {
            shown.push(Event::HardBreak);
        }
        if !line.is_empty() {
            shown.push(Event::Text(CowStr::from(line.to_owned())));
        }
    }
}

const fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

/// Whether a reader sees anything of it.
pub(crate) fn is_seen(event: &Event<'_>) -> bool {
    match event {
        Event::Text(text) | Event::Code(text) => names::is_visible(text),
        Event::Rule => true,
        _ => false,
    }
}

/// Most times a text is looked through for definitions that nothing refers to.
const ROUNDS: usize = 3;

/// `[note]: milk` defines where a link leads, and Markdown shows nothing of it. Where no link refers to it, somebody wrote a note:
/// so it is escaped, and is text. A definition may have hidden another one of the same name, so it is looked again; `None`: it
/// never ends.
pub(crate) fn without_idle_definitions(markdown: &str) -> Option<Cow<'_, str>> {
    let mut text = Cow::Borrowed(markdown);
    for _ in 0..ROUNDS {
        let idle = idle_definitions(&text);
        if idle.is_empty() {
            return Some(text);
        }
        let mut escaped = String::with_capacity(text.len() + idle.len());
        let mut from = 0;
        for at in idle {
            escaped.push_str(&text[from..at]);
            escaped.push('\\');
            from = at;
        }
        escaped.push_str(&text[from..]);
        text = Cow::Owned(escaped);
    }
    idle_definitions(&text).is_empty().then_some(text)
}

/// Where they begin, in their order.
fn idle_definitions(markdown: &str) -> Vec<usize> {
    let mut parser = events(markdown);
    if parser.reference_definitions().iter().next().is_none() {
        return Vec::new();
    }
    let mut used = HashSet::new();
    for event in parser.by_ref() {
        if let Event::Start(
            Tag::Link { link_type, dest_url, .. } | Tag::Image { link_type, dest_url, .. },
        ) = event
            && matches!(link_type, LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut)
        {
            used.insert(dest_url);
        }
    }
    let all = parser.reference_definitions().iter();
    let idle = all.filter(|(_, definition)| !used.contains(&definition.dest));
    let mut idle: Vec<usize> = idle.map(|(_, definition)| definition.span.start).collect();
    idle.sort_unstable();
    idle
}
