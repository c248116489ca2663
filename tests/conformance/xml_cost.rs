//! The cost of hostile documents: twice the bytes may cost at most twice the time.
//!
//! Both sizes stay within the size limit of the XML layer, because a longer document is refused by its length without any work. On
//! a busy machine, times cannot distinguish 2.2 from 2.3, so the release check counts instructions for that limit. The daily run
//! uses a coarser limit by processor time: sixteen times the bytes may cost 40 times as much, while quadratic work would cost 256
//! times as much.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{binary, load};

/// Maximum cost ratio for twice the bytes.
const RATIO_MAX: f64 = 2.2;

/// Maximum ratio of processor time for sixteen times the bytes.
const SAMPLE_RATIO_MAX: f64 = 40.0;

/// Least processor time of one measurement.
const MEASURED_MIN: Duration = Duration::from_millis(50);

/// A document that takes fewer instructions counts as refused immediately: this is less than one instruction per byte.
const AT_ONCE: f64 = 200_000.0;

/// Maximum number of measurements of a ratio.
const ATTEMPTS: usize = 3;

/// The size limit of the XML layer, in bytes.
const CAP: usize = 256 * 1024;

/// The larger size of two.
const LARGE: usize = CAP - 4096;

/// A document of about this many bytes, made of one repeated hostile piece.
type Shape = fn(usize) -> String;

fn filled(open: &str, piece: &str, close: &str, bytes: usize) -> String {
    let times = bytes.saturating_sub(open.len() + close.len()) / piece.len();
    format!("{open}{}{close}", piece.repeat(times))
}

/// Returns elements with as many attributes as an element may have.
fn wide(bytes: usize, attribute: impl Fn(usize) -> String) -> String {
    let attributes: String = (0..63).map(attribute).collect();
    filled("<r>", &format!("<e{attributes}/>"), "</r>", bytes)
}

const SHAPES: [(&str, Shape); 20] = [
    ("depth, up to the cap and back", |n| {
        filled("<r>", &("<e>".repeat(31) + &"</e>".repeat(31)), "</r>", n)
    }),
    ("depth beyond the cap", |n| filled("", "<e>", "", n)),
    ("unclosed tags", |n| filled("<r>", "<e a='1'", "", n)),
    ("attributes, up to the cap", |n| {
        wide(n, |i| format!(" a{i}='1'"))
    }),
    ("attributes beyond the cap", |n| {
        filled("<r", " a='1'", "/>", n)
    }),
    ("attributes with one long beginning", |n| {
        wide(n, |i| format!(" {}{i}='1'", "a".repeat(60)))
    }),
    ("attributes of two prefixes of one namespace", |n| {
        let document = wide(n - 32, |i| {
            format!(" {}:a{i}='1'", if i % 2 == 0 { "p" } else { "q" })
        });
        document.replacen("<r>", "<r xmlns:p='u' xmlns:q='u'>", 1)
    }),
    ("xmlns, up to the cap", |n| {
        wide(n, |i| format!(" xmlns:p{i}='u{i}'"))
    }),
    ("long namespaces", |n| {
        let binding = format!("<e xmlns='{}'/>", "u".repeat(1000));
        filled("<r>", &binding, "</r>", n)
    }),
    ("an entity bomb", |n| {
        filled(
            "<!DOCTYPE r [<!ENTITY a 'aaaa'>",
            "<!ENTITY b '&a;&a;&a;&a;'>",
            "]><r>&b;</r>",
            n,
        )
    }),
    ("entities of nobody", |n| filled("<r>", "&x;", "</r>", n)),
    ("character references", |n| {
        filled("<r>", "&#x41;", "</r>", n)
    }),
    ("long character references", |n| {
        filled("<r>", &format!("&#{}65;", "0".repeat(500)), "</r>", n)
    }),
    ("text with many &amp;", |n| {
        filled("<r>", "x&amp;", "</r>", n)
    }),
    ("carriage returns", |n| filled("<r>", "\r\r\n", "</r>", n)),
    ("one long name", |n| {
        let name = "n".repeat((n - 5) / 2);
        format!("<{name}></{name}>")
    }),
    ("one giant attribute with references", |n| {
        filled("<r a='", "&lt;\r\n", "'/>", n)
    }),
    ("comments, and hyphens in one that never ends", |n| {
        filled("<r><!----><!--", "- -", "", n)
    }),
    ("CDATA and brackets", |n| {
        filled("<r>", "<![CDATA[]]]]><![CDATA[>]]>", "</r>", n)
    }),
    ("instructions", |n| filled("<r>", "<?p ?x??>", "</r>", n)),
];

/// Returns the time that this thread has been on a processor. The system counts it in ticks of a few milliseconds.
fn on_processor() -> Duration {
    let reported = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(reported.split(' ').next().unwrap().parse().unwrap())
}

/// Returns the processor time that one document takes, in seconds, averaged over so many runs that ticks don't matter.
fn processor_seconds(document: &str) -> f64 {
    let mut documents = 1_u32;
    loop {
        let began = on_processor();
        for _ in 0..documents {
            std::hint::black_box(adapter_soap::check_document(document.as_bytes())).ok();
        }
        let took = on_processor().saturating_sub(began);
        if took >= MEASURED_MIN {
            return took.as_secs_f64() / f64::from(documents);
        }
        documents = documents.saturating_mul(2);
    }
}

/// Returns the ratio by time: the least of several measurements, because other load only makes it higher.
fn by_time(small: &str, large: &str) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        best = best.min(processor_seconds(large) / processor_seconds(small));
        if best <= SAMPLE_RATIO_MAX {
            break;
        }
    }
    best
}

/// Returns the number of instructions that `chatgate xml-check` takes for this document.
fn instructions(folder: &Path, document: &str) -> f64 {
    let file = folder.join("document.xml");
    std::fs::write(&file, document).unwrap();
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            binary(),
            "xml-check",
        ])
        .arg(&file)
        .output()
        .expect("valgrind counts instructions; it has to be installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.unwrap_or_else(|| panic!("no count: {said}"));
    collected.trim().parse().unwrap()
}

/// Returns the ratio by instructions, which no other process can change, without the start and the end of the process.
fn by_instructions(small: &str, large: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let [nothing, small, large] =
        ["<r/>", small, large].map(|document| instructions(folder.path(), document));
    // The file is read and refused immediately; any further difference is noise of the start.
    if large - nothing < AT_ONCE {
        1.0
    } else {
        (large - nothing) / (small - nothing)
    }
}

#[test]
fn the_cost_of_hostile_xml_grows_linearly_with_its_length() {
    let is_full = load(0, 1) == 1;
    let (what, times, most) = if is_full {
        ("instructions", 2, RATIO_MAX)
    } else {
        ("time", 16, SAMPLE_RATIO_MAX)
    };
    let mut wrong = Vec::new();
    for (name, shape) in SHAPES {
        let (small, large) = (shape(LARGE / times), shape(LARGE));
        assert!(
            large.len() <= CAP && large.len() * 10 > small.len() * times * 9,
            "{name}"
        );
        let ratio = if is_full {
            by_instructions(&small, &large)
        } else {
            by_time(&small, &large)
        };
        let is_taken = adapter_soap::check_document(large.as_bytes()).is_ok();
        let end = if is_taken { "taken" } else { "refused" };
        println!(
            "xml shape, {name}: x{ratio:.2} {what} for x{times}, {} bytes, {end}",
            large.len()
        );
        if ratio > most {
            wrong.push(format!("{name}: x{ratio:.2}"));
        }
    }
    println!(
        "xml shapes: {} at n and {times}n, {} over x{most} in {what}",
        SHAPES.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_xml_document_over_the_size_limit_is_rejected_as_too_large() {
    for bytes in [CAP, 64 * CAP] {
        let document = format!("<r>{}</r>", "x".repeat(bytes));
        let began = Instant::now();
        let refused = adapter_soap::check_document(document.as_bytes()).unwrap_err();
        let took = began.elapsed();
        assert!(
            refused
                .to_string()
                .starts_with("The document is too large."),
            "{refused}"
        );
        println!("xml of {} bytes: refused after {took:?}", document.len());
    }
}
