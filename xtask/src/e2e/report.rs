//! The report: one HTML page that needs nothing else, for a person who asks "who was the daemon when?".
//!
//! Colour is the inode. The topmost bar of a drawing is what stood at the lock's path; each bar below is a daemon in the
//! colour of the inode it holds, solid while that is the one at the path and hatched from the moment it no longer was.

mod axis;
mod drawing;
mod page;
mod strip;

pub(crate) use page::page;

/// Text for between tags and in attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_a_text_stays_text() {
        assert_eq!(super::escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }
}
