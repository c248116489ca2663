//! Go with its standard library.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.go", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "go",
    title: "Go",
    jwt: Ok("net/http"),
    soap: Err("Go has no SOAP library in general use; use HTTP, Basic or JWT"),
    file: "sample.go",
    run: "go run sample.go",
    quote: |text| double_quoted(text, "", Escape::Long),
    render: |call| Program { call }.render(),
};
