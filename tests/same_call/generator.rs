//! Generates hostile calls with proptest's strategies and a fixed seed: half of them correct, half with one or two faults.

use std::fmt;

use adapter::{Effect, OPERATIONS, Operation, Parameter, ParameterKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{SizeRange, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::pieces::{
    BROKEN_URLS, FILLERS, FORBIDDEN, HOSTS, LINE_ENDS, NEARLY, PIECES, PLATFORMS, TYPES,
};

/// The content of one call, without its serialization.
pub(super) struct Call {
    pub(super) operation: &'static Operation,
    /// The written parameters in the call's order; an optional one may be missing.
    pub(super) values: Vec<(&'static str, String)>,
    /// Number of values that were made wrong on purpose.
    pub(super) faults: usize,
    pub(super) habits: Habits,
}

/// A caller's choices where the ways leave one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Raw UTF-8 and punctuation in a query.
    pub(super) raw: bool,
    /// `+` for a space instead of `%20`.
    pub(super) plus: bool,
    /// `%c3` instead of `%C3`.
    pub(super) lower: bool,
    /// Escapes for all non-ASCII characters in JSON.
    pub(super) ascii: bool,
    /// Whole numbers as numbers in JSON.
    pub(super) numbers: bool,
    /// CDATA sections in XML.
    pub(super) cdata: bool,
    /// References instead of characters that XML cannot carry.
    pub(super) references: bool,
    /// The number of positions by which the pairs are rotated.
    pub(super) turn: usize,
}

impl Call {
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns whether XML can carry all values.
    pub(super) fn fits_xml(&self) -> bool {
        self.values
            .iter()
            .all(|(_, value)| value.chars().all(fits_xml))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with {} faults, {:?}",
            self.operation.method, self.faults, self.habits
        )?;
        let mut values = self.values.iter();
        values.try_for_each(|(name, value)| write!(f, "\n  {name} = {}", shown(value)))
    }
}

/// Returns a readable value, without its middle if it is long.
pub(super) fn shown(value: &str) -> String {
    let count = value.chars().count();
    if count <= 100 {
        return format!("{value:?}");
    }
    let start: String = value.chars().take(40).collect();
    let end: String = value.chars().skip(count - 40).collect();
    format!("{start:?}…{end:?} ({} bytes)", value.len())
}

/// Production 2 of XML 1.0, Char.
pub(super) fn fits_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Makes one call after the other, always the same ones for a seed.
pub(super) struct Generator {
    runner: TestRunner,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Generator {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Generator {
            runner: TestRunner::new_with_rng(Config::default(), rng),
        }
    }

    pub(super) fn call(&mut self) -> Call {
        let index = self.draw(prop_oneof![
            1 => Just(0_usize),
            6 => Just(1),
            6 => Just(2),
            // All other operations that go upstream.
            2 => 3..OPERATIONS.iter().filter(|row| row.effect != Effect::Watch).count(),
        ]);
        let operation = &OPERATIONS[index];
        let count = operation.parameters.len();
        let wanted = self.draw(prop_oneof![10 => Just(0_usize), 8 => Just(1), 2 => Just(2)]);
        let order: Vec<usize> = self.draw(Just((0..count).collect::<Vec<_>>()).prop_shuffle());
        let spoilt = order.iter().take(wanted).copied().collect::<Vec<_>>();
        let mut values = Vec::new();
        for at in order {
            let parameter = &operation.parameters[at];
            let strategy = if spoilt.contains(&at) {
                wrong(parameter)
            } else {
                right(parameter)
            };
            values.extend(self.draw(strategy).map(|value| (parameter.name, value)));
        }
        Call {
            operation,
            values,
            faults: spoilt.len(),
            habits: self.habits(),
        }
    }

    fn habits(&mut self) -> Habits {
        let flags: [bool; 7] = self.draw(any::<[bool; 7]>());
        let [raw, plus, lower, ascii, numbers, cdata, references] = flags;
        let turn = self.draw(0..16_usize);
        Habits {
            raw,
            plus,
            lower,
            ascii,
            numbers,
            cdata,
            references,
            turn,
        }
    }

    fn draw<S: Strategy>(&mut self, strategy: S) -> S::Value {
        strategy.new_tree(&mut self.runner).unwrap().current()
    }
}

/// Returns a value as hostile as its kind permits. If the parameter is optional, the value may be missing or empty.
fn right(parameter: &Parameter) -> BoxedStrategy<Option<String>> {
    let max = parameter.kind.bytes_max();
    let value = match parameter.kind {
        ParameterKind::Platform => select(PLATFORMS).prop_map(str::to_owned).boxed(),
        ParameterKind::FileType => select(TYPES).prop_map(str::to_owned).boxed(),
        ParameterKind::Id => prop_oneof![
            8 => text(PIECES, 1..7).prop_map(|text| cut(&text, 128)),
            1 => spaced(),
            1 => of_length(max),
            1 => "[0-9]{1,18}",
        ]
        .boxed(),
        ParameterKind::Message => prop_oneof![
            6 => text(PIECES, 1..12),
            6 => vec(prop_oneof![3 => select(PIECES), 1 => select(LINE_ENDS)], 1..40).prop_map(|p| p.concat()),
            2 => spaced(),
            2 => of_length(4096),
            1 => vec(prop_oneof![5 => select(PIECES), 1 => select(LINE_ENDS)], 2000).prop_map(|p| cut(&p.concat(), 4096)),
            1 => of_length(max),
        ]
        .boxed(),
        ParameterKind::Url(_) => url(),
        ParameterKind::Cursor | ParameterKind::Number(..) | ParameterKind::EventTypes => never(),
    };
    if parameter.compulsory {
        return value.prop_map(Some).boxed();
    }
    prop_oneof![4 => value.prop_map(Some), 1 => Just(None), 1 => Just(Some(String::new()))].boxed()
}

/// Parameters that only the gateway reads, so that no upstream could show what arrived.
fn never() -> BoxedStrategy<String> {
    panic!("a parameter that goes to no upstream")
}

/// Returns a value that is wrong for one reason.
fn wrong(parameter: &Parameter) -> BoxedStrategy<Option<String>> {
    let max = parameter.kind.bytes_max();
    let nearly = |words| {
        (select(words), select(NEARLY))
            .prop_map(|(word, like): (&str, &str)| like.replace('*', word))
    };
    let own = match parameter.kind {
        ParameterKind::Platform => prop_oneof![
            nearly(PLATFORMS),
            text(PIECES, 1..5),
            Just("WhatsApp".to_owned())
        ]
        .boxed(),
        ParameterKind::FileType => {
            prop_oneof![nearly(TYPES), text(PIECES, 1..5), Just("Image".to_owned())].boxed()
        }
        ParameterKind::Id => around(select(LINE_ENDS)).boxed(),
        ParameterKind::Message => around(select(FORBIDDEN)).boxed(),
        ParameterKind::Url(_) => select(BROKEN_URLS).prop_map(str::to_owned).boxed(),
        ParameterKind::Cursor | ParameterKind::Number(..) | ParameterKind::EventTypes => never(),
    };
    let any_kind = prop_oneof![
        4 => own,
        3 => around(select(FORBIDDEN)),
        2 => of_length(max + 1),
    ];
    if !parameter.compulsory {
        return any_kind.prop_map(Some).boxed();
    }
    prop_oneof![9 => any_kind.prop_map(Some), 1 => Just(Some(String::new())), 1 => Just(None)]
        .boxed()
}

/// Joins random pieces.
fn text(pieces: &'static [&'static str], count: impl Into<SizeRange>) -> BoxedStrategy<String> {
    vec(select(pieces), count)
        .prop_map(|pieces| pieces.concat())
        .boxed()
}

/// Puts a piece at the start, in the middle or at the end of others.
fn around(piece: impl Strategy<Value = &'static str>) -> impl Strategy<Value = String> {
    (text(PIECES, 0..3), piece, text(PIECES, 0..3)).prop_map(|(before, piece, after)| {
        format!("{}{piece}{}", cut(&before, 50), cut(&after, 50))
    })
}

/// Returns text with white space at the ends, which must not be trimmed.
fn spaced() -> BoxedStrategy<String> {
    let space = || {
        select(
            &[
                " ",
                "   ",
                "\u{a0}",
                "\u{3000}",
                "\u{feff}",
                "\u{2028} ",
                "",
            ][..],
        )
    };
    (space(), text(PIECES, 1..3), space())
        .prop_map(|(before, text, after)| format!("{before}{}{after}", cut(&text, 90)))
        .boxed()
}

/// Returns a text of exactly this many bytes.
fn of_length(bytes: usize) -> BoxedStrategy<String> {
    select(FILLERS)
        .prop_map(move |filler| filled(String::new(), filler, bytes))
        .boxed()
}

fn filled(mut start: String, filler: &str, bytes: usize) -> String {
    while start.len() + filler.len() <= bytes {
        start.push_str(filler);
    }
    start.push_str(&"x".repeat(bytes.saturating_sub(start.len())));
    start
}

/// Returns a public URL with a hostile path and query, sometimes of the maximum length.
fn url() -> BoxedStrategy<String> {
    let scheme = select(&["http", "https", "HTTPS"][..]);
    let filler = select(FILLERS).prop_map(|filler| {
        if [" ", "\\"].contains(&filler) {
            "%20"
        } else {
            filler
        }
    });
    let length = prop_oneof![12 => Just(0_usize), 1 => Just(2048)];
    (
        scheme,
        select(HOSTS),
        text(PIECES, 0..4),
        text(PIECES, 0..6),
        filler,
        length,
    )
        .prop_map(|(scheme, host, path, query, filler, length)| {
            // No URL may contain these two characters unencoded.
            let url = format!("{scheme}://{host}/{path}?{query}&x=1").replace([' ', '\\'], "");
            filled(url, filler, length)
        })
        .boxed()
}

/// Returns as many whole characters of a text as fit.
fn cut(text: &str, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}
