//! Looks at a page as a reader of HTML would.

/// Elements without an end (HTML section 13.1.2), of those that a page has.
const VOID: [&str; 2] = ["meta", "wbr"];

/// The text of a page, with a line for each piece of it.
///
/// # Panics
/// Where elements do not end in the order in which they began, or text has a sign of markup in it.
pub(crate) fn text_of(page: &str) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it says that it is HTML");
    while let Some(begin) = rest.find('<') {
        let is_style = open.last() == Some(&"style");
        let piece = rest[..begin].trim();
        if !piece.is_empty() && !is_style {
            assert!(!piece.contains('>'), "markup in {piece:?}");
            text += &unescaped(piece);
            // Words may be broken there, and are one all the same.
            if !rest[begin..].starts_with("<wbr>") {
                text.push('\n');
            }
        }
        let end = begin + rest[begin..].find('>').expect("a tag ends");
        let tag = &rest[begin + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "in its order");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} never end, then {rest:?}");
    text
}

fn unescaped(text: &str) -> String {
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}
