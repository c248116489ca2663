//! Documents of the W3C's XML suite and our own cases, judged by `chatgate xml-check`.

use std::time::{Duration, Instant};

use super::{bytes, chatgate, each, list, suite, text, verdict};

/// Longest time that the check of one document may take.
const DOCUMENT_MAX: Duration = Duration::from_millis(50);

struct Document {
    id: String,
    bytes: Vec<u8>,
    is_well_formed: bool,
}

/// Has all documents judged and returns the wrong judgements.
fn judge(documents: &[Document]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    each(documents, |index, document| {
        let file = folder.path().join(format!("{index}.xml"));
        std::fs::write(&file, &document.bytes).unwrap();
        let judged = verdict(&chatgate(&["xml-check", file.to_str().unwrap()]));
        (judged != Ok(document.is_well_formed)).then(|| format!("{}: {judged:?}", document.id))
    })
}

/// Returns the time of the slowest check, without starting a process, because on a busy machine the start takes longer than the
/// check.
fn slowest(documents: &[Document]) -> Duration {
    let took = |document: &Document| {
        let once = || {
            let began = Instant::now();
            let _ = adapter_soap::check_document(&document.bytes);
            began.elapsed()
        };
        // The minimum excludes time in which another process had the processor.
        (0..5).map(|_| once()).min().unwrap()
    };
    documents.iter().map(took).max().unwrap()
}

fn check(what: &str, documents: &[Document]) {
    let (wrong, slowest) = (judge(documents), slowest(documents));
    let well_formed = documents.iter().filter(|d| d.is_well_formed).count();
    println!(
        "xml, {what}: {} documents, {well_formed} to be accepted, {} judged wrong, the slowest takes {slowest:?}",
        documents.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(slowest < DOCUMENT_MAX);
}

#[test]
fn the_w3c_xml_suite_gets_its_verdicts_and_every_doctype_is_rejected() {
    for name in ["xml-no-doctype.json", "xml-doctype.json"] {
        let Some(suite) = suite(name) else {
            return;
        };
        let read = |document: &serde_json::Value| Document {
            id: text(document, "id").to_owned(),
            bytes: bytes(document, "bytes_base64"),
            // Every document with a DOCTYPE has to be refused, so the suite states no verdict for these.
            is_well_formed: document["well_formed"].as_bool().unwrap_or(false),
        };
        let documents: Vec<_> = list(&suite, "documents").iter().map(read).collect();
        check(name, &documents);
    }
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

/// Well-formed members of the suite's classes that the sample may lack, with a name for each class.
const GOOD: &[(&str, &str)] = &[
    (
        "names of the fifth edition",
        "<\u{37f}\u{2c00}\u{10000}.\u{b7}-\u{203f}/>",
    ),
    (
        "a declaration with all three",
        "<?xml version='1.0' encoding=\"UTF-8\" standalone='yes' ?>\n<a/>",
    ),
    (
        "a mark inside is a character of names",
        "<\u{feff}a>\u{feff}</\u{feff}a>",
    ),
    ("version 1.1 is read as 1.0", "<?xml version='1.1'?><a/>"),
    (
        "instructions before, in and after",
        "<?a b?><a><?c?></a><?d e?>",
    ),
    (
        "a target that only begins with xml",
        "<a><?xml-stylesheet href='x'?><?xmlish?></a>",
    ),
    (
        "comments with single hyphens",
        "<!-- a - b --><a><!----></a>",
    ),
    ("]] and > apart", "<a>]] ></a>"),
    (
        "CDATA with markup",
        "<a><![CDATA[<b>&x;]]]]><![CDATA[>]]></a>",
    ),
    ("a quote of the other kind", "<a b='\"' c=\"'\"/>"),
    ("> in an attribute", "<a b='>'/>"),
    (
        "references at the edges",
        "<a b='&#x9;&#10;&#xD;&#xD7FF;'>&#xE000;&#xFFFD;&#x10000;&#x10FFFF;</a>",
    ),
    (
        "C1 controls and DEL are characters",
        "<a>\u{7f}\u{80}\u{85}\u{2028}</a>",
    ),
    (
        "noncharacters beyond the BMP are characters",
        "<a>\u{1fffe}\u{10ffff}</a>",
    ),
    (
        "white space wherever it may stand",
        "<a\n\tb = '1'\r\n></a\t>\n",
    ),
    (
        "the prefix xml needs no declaration",
        "<a xml:space='x' xml:lang=''/>",
    ),
    (
        "one local name in two namespaces",
        "<a b='1' x:b='2' xmlns:x='u'/>",
    ),
    (
        "a default undeclared again",
        "<a xmlns='u'><b xmlns=''/></a>",
    ),
    (
        "a prefix beginning with xml",
        "<xmlfoo:a xmlns:xmlfoo='u'/>",
    ),
];

/// Documents that are not well-formed.
const BAD: &[(&str, &str)] = &[
    (
        "a name of the fourth edition only in its middle",
        "<a\u{d7}/>",
    ),
    ("a digit first", "<1a/>"),
    ("a Greek question mark in a name", "<a\u{37e}/>"),
    ("a name beyond the planes", "<\u{f0000}/>"),
    (
        "a declaration after white space",
        " <?xml version='1.0'?><a/>",
    ),
    (
        "a declaration twice",
        "<?xml version='1.0'?><?xml version='1.0'?><a/>",
    ),
    ("a declaration in capitals", "<?XML version='1.0'?><a/>"),
    (
        "a declaration without a version",
        "<?xml encoding='UTF-8'?><a/>",
    ),
    (
        "a declaration in another order",
        "<?xml version='1.0' standalone='no' encoding='UTF-8'?><a/>",
    ),
    (
        "standalone of a third kind",
        "<?xml version='1.0' standalone='maybe'?><a/>",
    ),
    ("version 2", "<?xml version='2.0'?><a/>"),
    ("a version with a blank", "<?xml version=' 1.0'?><a/>"),
    ("quotes that differ", "<?xml version='1.0\"?><a/>"),
    (
        "a declared UTF-16 that is none",
        "<?xml version='1.0' encoding='UTF-16'?><a/>",
    ),
    (
        "a declared encoding that is not taken",
        "<?xml version='1.0' encoding='windows-1252'?><a/>",
    ),
    (
        "an encoding with a bad name",
        "<?xml version='1.0' encoding='-utf-8'?><a/>",
    ),
    ("two marks", "\u{feff}\u{feff}<a/>"),
    ("]]> in text", "<a>x]]>y</a>"),
    ("two hyphens in a comment", "<a><!-- a -- b --></a>"),
    ("three hyphens at the end", "<a><!-- a ---></a>"),
    (
        "an instruction named xml inside",
        "<a><?xml version='1.0'?></a>",
    ),
    ("an instruction named XmL", "<?XmL x?><a/>"),
    ("an instruction without a target", "<a><? x?></a>"),
    ("an attribute twice", "<a b='1' b='2'/>"),
    (
        "an attribute twice by its namespace",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
    ),
    ("no blank between attributes", "<a b='1'c='2'/>"),
    ("an attribute without quotes", "<a b=1/>"),
    ("< in an attribute", "<a b='<'/>"),
    ("< in an attribute by its end", "<a b='</a>"),
    ("the prefix xmlns bound", "<a xmlns:xmlns='u'/>"),
    ("the prefix xml bound elsewhere", "<a xmlns:xml='u'/>"),
    (
        "another prefix for xml's namespace",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
    ),
    (
        "a prefix undeclared in 1.0",
        "<a xmlns:p='u'><b xmlns:p=''/></a>",
    ),
    (
        "a prefix undeclared in 1.1",
        "<?xml version='1.1'?><a xmlns:p='u'><b xmlns:p=''/></a>",
    ),
    ("a prefix that is not bound", "<p:a/>"),
    ("two colons", "<a:b:c xmlns:a='u'/>"),
    ("an element named with xmlns", "<xmlns:a/>"),
    ("an entity of nobody", "<a>&eacute;</a>"),
    ("an entity that names itself", "<a>&amp</a>"),
    ("a reference to a surrogate", "<a>&#xD800;&#xDC00;</a>"),
    ("a reference to NUL", "<a>&#0;</a>"),
    (
        "a reference to a control character of 1.1",
        "<?xml version='1.1'?><a>&#1;</a>",
    ),
    ("a reference beyond Unicode", "<a>&#x110000;</a>"),
    ("a reference that overflows", "<a>&#4294967361;</a>"),
    ("a reference with a capital X", "<a>&#X41;</a>"),
    ("a control character", "<a>\u{b}</a>"),
    ("U+FFFF", "<a>\u{ffff}</a>"),
    ("two roots", "<a/><b/>"),
    ("text behind the root", "<a/>x"),
    ("a reference behind the root", "<a/>&#32;"),
    ("CDATA before the root", "<![CDATA[ ]]><a/>"),
    ("CDATA in small letters", "<a><![cdata[x]]></a>"),
    ("end tags that cross", "<a><b></a></b>"),
    ("an end tag with an attribute", "<a></a b='1'>"),
    ("nothing at all", ""),
    ("an entity declared outside", "<!ENTITY a 'b'><a/>"),
    ("a DOCTYPE in small letters", "<!doctype a><a/>"),
    ("a DOCTYPE behind the root", "<a/><!DOCTYPE a>"),
    ("a parameter entity", "%a;<a/>"),
];

/// Returns documents that test encodings, each with `true` if it is well-formed.
fn encoded() -> Vec<(&'static str, Vec<u8>, bool)> {
    let sixteen = "\u{feff}<?xml version='1.0' encoding='UTF-16'?><a b='\u{1f600}'>é</a>";
    let bare = "<?xml version='1.0' encoding='UTF-16LE'?><a/>";
    vec![
        (
            "UTF-16 with its mark, little end first",
            utf16(sixteen, u16::to_le_bytes),
            true,
        ),
        (
            "UTF-16 with its mark, big end first",
            utf16(sixteen, u16::to_be_bytes),
            true,
        ),
        (
            "UTF-16 without a declaration",
            utf16("\u{feff}<a/>", u16::to_be_bytes),
            true,
        ),
        (
            "UTF-16 without a mark",
            utf16(bare, u16::to_le_bytes),
            false,
        ),
        (
            "UTF-16 called UTF-8",
            utf16(
                "\u{feff}<?xml version='1.0' encoding='UTF-8'?><a/>",
                u16::to_le_bytes,
            ),
            false,
        ),
        (
            "UTF-16 cut in a character",
            utf16(sixteen, u16::to_le_bytes)[..99].to_vec(),
            false,
        ),
        (
            "UTF-32",
            b"\xff\xfe\0\0<\0\0\0a\0\0\0/\0\0\0>\0\0\0".to_vec(),
            false,
        ),
        ("overlong UTF-8", b"<a>\xc0\xaf</a>".to_vec(), false),
        (
            "a surrogate in UTF-8",
            b"<a>\xed\xa0\x80</a>".to_vec(),
            false,
        ),
        (
            "bytes beyond Unicode",
            b"<a>\xf4\x90\x80\x80</a>".to_vec(),
            false,
        ),
    ]
}

/// Returns documents that test single-byte encodings, each with `true` if it is well-formed.
fn encoded_by_bytes() -> Vec<(&'static str, Vec<u8>, bool)> {
    vec![
        (
            "ISO-8859-1 that says nothing",
            b"<a>\xe9</a>".to_vec(),
            false,
        ),
        (
            "ISO-8859-1",
            b"<?xml version='1.0' encoding='ISO-8859-1'?><\xe9>\x80\xff</\xe9>".to_vec(),
            true,
        ),
        (
            "ISO-8859-1 with a sign in a name",
            b"<?xml version='1.0' encoding='ISO-8859-1'?><\xd7/>".to_vec(),
            false,
        ),
        (
            "ISO-8859-1 behind the mark of UTF-8",
            b"\xef\xbb\xbf<?xml version='1.0' encoding='ISO-8859-1'?><a/>".to_vec(),
            false,
        ),
        (
            "US-ASCII",
            b"<?xml version='1.0' encoding='US-ASCII'?><a>\x7f</a>".to_vec(),
            true,
        ),
        (
            "US-ASCII with a byte beyond it",
            b"<?xml version='1.0' encoding='US-ASCII'?><a>\x80</a>".to_vec(),
            false,
        ),
    ]
}

fn own_cases() -> Vec<Document> {
    let texts = [(GOOD, true), (BAD, false)]
        .into_iter()
        .flat_map(|(cases, is_well_formed)| {
            let read = move |(id, text): &(&'static str, &str)| {
                (*id, text.as_bytes().to_vec(), is_well_formed)
            };
            cases.iter().map(read)
        });
    let document = |(id, bytes, is_well_formed): (&str, Vec<u8>, bool)| Document {
        id: id.to_owned(),
        bytes,
        is_well_formed,
    };
    let encoded = encoded().into_iter().chain(encoded_by_bytes());
    texts.chain(encoded).map(document).collect()
}

#[test]
fn our_own_xml_cases_get_their_verdicts() {
    check("cases of our own", &own_cases());
}
