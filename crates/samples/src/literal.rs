//! Values as literals. A value in a program's text never changes the program, whatever the value contains.
//!
//! Line ends are escaped, so that no editor and no way of pasting changes them. All other Unicode characters that are neither
//! letters nor digits are also escaped, because they may be invisible, reorder the line or break it. Values never contain control
//! characters.

/// The ways in which languages escape a character by its number between double quotes.
#[derive(Clone, Copy)]
pub(crate) enum Escape {
    /// `\u20ac`, with two escapes for a character beyond the first plane.
    Utf16,
    /// `\u{20ac}`
    Braces,
    /// `\u20ac`, and `\U0001f600` for a character beyond the first plane.
    Long,
}

/// Returns a literal between double quotes with backslash escapes. `also` contains characters that need a backslash only in this
/// language.
pub(crate) fn double_quoted(text: &str, also: &str, escape: Escape) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            '"' | '\\' => literal.extend(['\\', c]),
            c if also.contains(c) => literal.extend(['\\', c]),
            c if is_plain(c) => literal.push(c),
            c => literal.push_str(&number(c, escape)),
        }
    }
    literal + "\""
}

/// Returns such a literal in pure ASCII, for compilers that guess the encoding of a file.
pub(crate) fn ascii_double_quoted(text: &str, also: &str) -> String {
    let literal = double_quoted(text, also, Escape::Utf16);
    let escaped = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => number(c, Escape::Utf16),
    };
    literal.chars().map(escaped).collect()
}

/// Returns a literal between single quotes, in which a shell interprets only the next quote.
pub(crate) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns a T-SQL expression: ASCII literals, and `NCHAR` for all other characters, because `sqlcmd` guesses the encoding of a
/// file, and a backslash before a line end would remove both. `$(` is split into two literals, because `sqlcmd` would read it as
/// the start of a variable.
pub(crate) fn tsql(text: &str) -> String {
    let quoted = |run: &str| {
        let doubled = run.replace('\'', "''").replace("$(", "$' + N'(");
        format!("N'{doubled}'")
    };
    let is_quoted = |c: char| c == ' ' || c.is_ascii_graphic();
    joined(text, " + ", (is_quoted, quoted), |c| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        let called: Vec<_> = units.map(|unit| format!("NCHAR({unit})")).collect();
        called.join(" + ")
    })
}

/// Returns an Oracle expression: `UNISTR` with all non-ASCII characters by number, and `CHR` for line ends. The client's character
/// set therefore does not matter, but the database's has to contain the characters, as AL32UTF8 does. Each part is on a separate
/// line, because SQL*Plus limits the length of lines.
pub(crate) fn oracle(text: &str) -> String {
    let quoted = |run: &str| {
        let mut literal = String::new();
        for c in run.chars() {
            match c {
                '\'' => literal.push_str("''"),
                '\\' => literal.push_str("\\\\"),
                c if c.is_ascii() => literal.push(c),
                c => literal.push_str(&utf16(c, "\\")),
            }
        }
        format!("TO_CHAR(UNISTR('{literal}'))")
    };
    let is_quoted = |c: char| !c.is_ascii_control();
    joined(text, "\n    || ", (is_quoted, quoted), |c| {
        format!("CHR({})", u32::from(c))
    })
}

/// Returns a Delphi literal: quotes are doubled, and non-ASCII characters are written as UTF-16 numbers.
pub(crate) fn delphi(text: &str) -> String {
    let mut literal = String::new();
    let mut is_open = false;
    for c in text.chars() {
        let quotable = c == ' ' || c.is_ascii_graphic();
        if quotable != is_open {
            literal.push('\'');
            is_open = quotable;
        }
        match c {
            '\'' => literal.push_str("''"),
            c if quotable => literal.push(c),
            c if c.is_ascii() => literal.push_str(&format!("#{}", u32::from(c))),
            c => literal.push_str(&utf16(c, "#$")),
        }
    }
    if is_open {
        literal.push('\'');
    }
    if literal.is_empty() {
        "''".to_owned()
    } else {
        literal
    }
}

/// Returns runs of a text as literals, and the characters between them as calls.
fn joined(
    text: &str,
    plus: &str,
    (is_quoted, quoted): (impl Fn(char) -> bool, impl Fn(&str) -> String),
    called: impl Fn(char) -> String,
) -> String {
    let mut parts = Vec::new();
    let mut run = String::new();
    for c in text.chars() {
        if is_quoted(c) {
            run.push(c);
            continue;
        }
        if !run.is_empty() {
            parts.push(quoted(&std::mem::take(&mut run)));
        }
        parts.push(called(c));
    }
    if !run.is_empty() || parts.is_empty() {
        parts.push(quoted(&run));
    }
    parts.join(plus)
}

/// Returns whether a character may appear unescaped in a program that is read as UTF-8.
fn is_plain(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()
}

fn number(c: char, escape: Escape) -> String {
    match escape {
        Escape::Braces => format!("\\u{{{:x}}}", u32::from(c)),
        Escape::Long if u32::from(c) > 0xffff => format!("\\U{:08x}", u32::from(c)),
        Escape::Utf16 | Escape::Long => utf16(c, "\\u"),
    }
}

/// Writes each UTF-16 unit as four digits after a mark.
fn utf16(c: char, mark: &str) -> String {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units);
    units
        .iter()
        .map(|unit| format!("{mark}{unit:04x}"))
        .collect()
}
