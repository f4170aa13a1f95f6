//! Cuts a script into pieces: literals, comments, commands, variables, semicolons, and the rest.

/// A piece of a script. Its text is what the lexer stepped over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Semicolon,
    /// White space.
    Space,
    Comment,
    /// A string, a quoted name or a dollar-quoted string.
    Literal,
    /// A backslash command: the rest of its line.
    Command(&'a str),
    Variable {
        name: &'a str,
        quote: Quote,
    },
    Text,
    /// A literal or comment without an end.
    Unfinished(&'static str),
}

/// How a variable's value is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// `:name`
    None,
    /// `:'name'`
    Literal,
    /// `:"name"`
    Name,
}

pub struct Lexer<'a> {
    text: &'a str,
    start: usize,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, start: 0, at: 0 }
    }

    /// The text of the last piece.
    pub fn slice(&self) -> &'a str {
        &self.text[self.start..self.at]
    }

    /// Where the last piece starts.
    pub fn start(&self) -> usize {
        self.start
    }

    pub fn next_piece(&mut self) -> Option<Piece<'a>> {
        self.start = self.at;
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let (length, piece) = match first {
            ';' => (1, Piece::Semicolon),
            c if c.is_whitespace() => (run(rest, char::is_whitespace), Piece::Space),
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), Piece::Comment),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '\'' => quoted(rest, 0, '\'', false),
            '"' => quoted(rest, 0, '"', false),
            'e' | 'E' if rest[1..].starts_with('\'') => quoted(rest, 1, '\'', true),
            '$' => dollar_quoted(rest),
            '\\' => {
                let end = rest.find('\n').unwrap_or(rest.len());
                (end, Piece::Command(rest[1..end].trim()))
            }
            ':' => variable(rest),
            c if is_name(c) => (run(rest, |c| is_name(c) || c == '$'), Piece::Text),
            c => (c.len_utf8(), Piece::Text),
        };
        self.at += length;
        Some(piece)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

/// A comment may hold comments.
fn block_comment<'a>(text: &str) -> (usize, Piece<'a>) {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return (at, Piece::Comment);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    (text.len(), Piece::Unfinished("comment"))
}

/// A doubled quote stands for one; in an `E` string a backslash takes the next letter with it.
fn quoted<'a>(text: &str, prefix: usize, quote: char, escapes: bool) -> (usize, Piece<'a>) {
    let mut letters = text[prefix + 1..].char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if escapes && letter == '\\' {
            letters.next();
        } else if letter == quote {
            if letters.peek().is_some_and(|(_, next)| *next == quote) {
                letters.next();
            } else {
                return (prefix + 1 + at + 1, Piece::Literal);
            }
        }
    }
    (text.len(), Piece::Unfinished(if quote == '"' { "quoted name" } else { "string" }))
}

/// `$$ … $$`, `$tag$ … $tag$`; a `$1` is a parameter.
fn dollar_quoted<'a>(text: &str) -> (usize, Piece<'a>) {
    let tag = 1 + run(&text[1..], is_name);
    let digit = text[1..].starts_with(|c: char| c.is_ascii_digit());
    if digit || !text[tag..].starts_with('$') {
        return (tag, Piece::Text);
    }
    let mark = &text[..=tag];
    match text[mark.len()..].find(mark) {
        Some(end) => (mark.len() + end + mark.len(), Piece::Literal),
        None => (text.len(), Piece::Unfinished("dollar-quoted string")),
    }
}

/// `::` is a cast and `:=` an assignment; a colon before anything else than a name is itself.
fn variable(text: &str) -> (usize, Piece<'_>) {
    if text.starts_with("::") {
        return (2, Piece::Text);
    }
    let rest = &text[1..];
    for (mark, quote) in [('\'', Quote::Literal), ('"', Quote::Name)] {
        if let Some(inner) = rest.strip_prefix(mark) {
            let length = run(inner, is_name);
            if length > 0 && inner[length..].starts_with(mark) {
                return (1 + 1 + length + 1, Piece::Variable { name: &inner[..length], quote });
            }
        }
    }
    let length = run(rest, is_name);
    let name = &rest[..length];
    if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return (1 + length, Piece::Variable { name, quote: Quote::None });
    }
    (1, Piece::Text)
}
