//! Android: Kotlin with what the platform has. No environment: the secret is an argument.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "ChatSample.kt", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "android",
    title: "Android",
    jwt: Err("a client secret can be read out of any app; get the token on a server of yours"),
    soap: Err("Android has no SOAP library; use HTTP or Basic"),
    file: "ChatSample.kt",
    run: "ChatSample.call(secret) on a thread that is not the main one",
    quote: |text| double_quoted(text, "$", Escape::Utf16),
    render: |call| Program { call }.render(),
};
