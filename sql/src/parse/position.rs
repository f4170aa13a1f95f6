//! Where in a text a token stands: from lines and columns to characters and bytes.

use datafusion::sql::sqlparser::tokenizer::Location;

/// The lines of a text.
#[derive(Debug)]
pub struct Position<'a> {
    text: &'a str,
    /// The byte at which each line starts.
    lines: Vec<usize>,
}

impl<'a> Position<'a> {
    pub fn new(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    /// The byte at a location; the text's length if it lies behind the end.
    pub fn byte(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(&start) = self.lines.get(line) else { return self.text.len() };
        let rest = &self.text[start..];
        rest.char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The number of the character at a location, counted from 1; `None` if the location is not known.
    pub fn character(&self, location: Location) -> Option<usize> {
        (location.line > 0).then(|| self.text[..self.byte(location)].chars().count() + 1)
    }
}

/// Takes ` at Line: 1, Column: 5` off the end of a parser's message.
pub fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((head, tail)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let location = tail.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location { line: line.parse().ok()?, column: column.trim().parse().ok()? })
    });
    (head, location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_over_lines() {
        let position = Position::new("sélect\n  1 +");
        assert_eq!(position.character(Location { line: 1, column: 3 }), Some(3));
        assert_eq!(position.character(Location { line: 2, column: 3 }), Some(10));
        assert_eq!(position.byte(Location { line: 2, column: 3 }), 10);
        assert_eq!(position.byte(Location { line: 9, column: 1 }), 13);
    }

    #[test]
    fn a_message_gives_up_its_location() {
        let (message, location) = split_location("Expected: x, found: y at Line: 3, Column: 14");
        assert_eq!(message, "Expected: x, found: y");
        assert_eq!(location, Some(Location { line: 3, column: 14 }));
    }
}
