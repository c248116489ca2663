//! The pieces of hostile values.

/// Pieces that any identifier or message may hold.
#[rustfmt::skip]
pub(super) const PIECES: &[&str] = &[
    "100", "0", "-1", "1e5", "007", "700100", "Hello", "null", "true", " ", "  ", "\"", "'", "''", "`", "&", "&&", "+", "%",
    "%%", "%2", "%zz", "%41", "%00", "%0A", "%C3%28", "=", "==", ";", "#", "?", "/", "\\", "|", "{", "}", "[", "]", "<", ">",
    "@", ":", ",", "$", "\\u0041", "\\n", "\\", "{\"a\":1}", "&message=x", "&user=x", "&amp;", "&lt;", "&#13;", "&#0;",
    "&#xFFFE;", "&unknown;", "]]>", "]]", "]", "<![CDATA[", "<!--", "-->", "<x>", "</x>", "</message>", "<?x y?>", "<!DOCTYPE x>",
    "--", "--boundary", "------------------------0000000000000000", "Content-Disposition: form-data", "é", "ß", "İ", "e\u{301}",
    "a\u{308}\u{323}", "\u{301}", "語", "Ａ", "😀", "👩\u{200d}👩\u{200d}👧", "🇵🇱", "👍🏽", "\u{200b}", "\u{200d}", "\u{200e}", "\u{200f}",
    "\u{202e}abc\u{202c}", "\u{2066}", "\u{2069}", "مرحبا", "שלום", "\u{a0}", "\u{ad}", "\u{2028}", "\u{2029}", "\u{3000}",
    "\u{feff}", "\u{fffc}", "\u{fffd}", "\u{fdd0}", "\u{e000}", "\u{1fffe}", "\u{10ffff}", "\u{d7ff}", "' OR 1=1 --", "${x}", "%s",
];

/// Pieces that only a message may hold.
pub(super) const LINE_ENDS: &[&str] = &[
    "\t", "\n", "\r", "\r\n", "\n\n", "\r\r", "\n\r", "\r\n--", "\r\n\r\n",
];

/// Pieces that no value may hold. XML can carry only some of them.
pub(super) const FORBIDDEN: &[&str] = &[
    "\0",
    "\u{1}",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{e}",
    "\u{1a}",
    "\u{1b}[31m",
    "\u{1f}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{9b}",
    "\u{9f}",
];

/// Pieces of long values, each of which is the most expensive one for another way.
pub(super) const FILLERS: &[&str] = &[
    "x",
    "é",
    "語",
    "😀",
    "&",
    "%",
    "+",
    "%41",
    "\"",
    "]]>",
    "<",
    " ",
    "\\",
    "e\u{301}",
    "\u{200f}ש",
];

pub(super) const HOSTS: &[&str] = &[
    "files.example.com",
    "FILES.example.COM:8443",
    "zażółć.example",
    "例え.example",
    "93.184.216.34",
    "[2606:2800:220:1::1]",
];

/// Faults of a URL other than its length and characters.
pub(super) const BROKEN_URLS: &[&str] = &[
    "x",
    " ",
    "&",
    "%",
    "files.example.com/a.png",
    "ftp://files.example.com/a",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http:files.example.com",
    "https://",
    "https://user@files.example.com/",
    "https://a:b@files.example.com/?x&y",
    " https://files.example.com/a",
    "https://files.example.com/a ",
    "https://files.example.com/a b",
    "http://localhost/",
    "https:\\\\files.example.com\\a",
    "http://10.0.0.1/a.png",
    "http://127.1/",
    "http://１２７.0.0.1/",
    "http://[::1]/?a=%41",
    "https%3A%2F%2Ffiles.example.com%2Fa",
    "https://files.example.com/\u{3000} ",
    "//files.example.com/a",
    "https://😀 /",
];

pub(super) const PLATFORMS: &[&str] = &["webchat", "whatsapp", "telegram", "operator"];
pub(super) const TYPES: &[&str] = &["image", "video", "audio", "voice", "document", "contact"];

/// Patterns of words that only resemble a word of a fixed set; `*` stands for such a word.
pub(super) const NEARLY: &[&str] = &[
    " *",
    "* ",
    "*\u{a0}",
    "*+",
    "*%20",
    "*&",
    "*;",
    "*\u{200b}",
    "\u{feff}*",
    "*,*",
    "\"*\"",
    "%77*",
    "*\u{301}",
];
