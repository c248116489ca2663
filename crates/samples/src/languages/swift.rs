//! Swift 5.7 and later with Foundation.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "main.swift", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "swift",
    title: "Swift",
    jwt: Ok("URLSession"),
    soap: Err("Foundation has no SOAP library; use HTTP, Basic or JWT"),
    file: "main.swift",
    run: "swift main.swift",
    quote: |text| double_quoted(text, "", Escape::Braces),
    render: |call| Program { call }.render(),
};
