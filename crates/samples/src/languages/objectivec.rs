//! Objective-C with Foundation, Apple's or GNUstep's.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.m", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "objectivec",
    title: "Objective-C",
    jwt: Ok("NSURLConnection"),
    soap: Err("Foundation has no SOAP library; use HTTP, Basic or JWT"),
    file: "sample.m",
    run: "clang -fobjc-arc -framework Foundation sample.m -o sample && ./sample",
    quote: |text| format!("@{}", double_quoted(text, "?", Escape::Long)),
    render: |call| Program { call }.render(),
};
