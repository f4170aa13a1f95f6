//! The word that a statement begins with.

/// It in capitals, behind white space and comments; empty if there is none.
pub(crate) fn first(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = behind_comment(comment).trim_start();
        } else {
            break;
        }
    }
    rest.chars().take_while(|c| c.is_ascii_alphabetic()).map(|c| c.to_ascii_uppercase()).collect()
}

/// Behind the end of a comment that may hold others.
fn behind_comment(text: &str) -> &str {
    let mut depth = 1;
    let mut at = 0;
    while depth > 0 {
        let Some(found) = text[at..].find(['*', '/']) else { return "" };
        at += found;
        if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else {
            at += 1;
        }
    }
    &text[at..]
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn comments_come_before_the_word() {
        assert_eq!(first("  insert into t"), "INSERT");
        assert_eq!(first("-- a; b\n/* c /* d */ */ Select 1"), "SELECT");
        assert_eq!(first("(select 1)"), "");
        assert_eq!(first("/* open"), "");
    }
}
