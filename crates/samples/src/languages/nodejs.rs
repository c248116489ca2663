//! Node.js 18 and later, and the package soap for SOAP.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.js", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "nodejs",
    title: "Node.js",
    jwt: Ok("fetch"),
    soap: Ok("the package soap"),
    file: "sample.js",
    run: "node sample.js",
    quote: |text| double_quoted(text, "", Escape::Braces),
    render: |call| Program { call }.render(),
};
