//! Python 3 with its standard library, and zeep for SOAP.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.py", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "python",
    title: "Python",
    jwt: Ok("urllib"),
    soap: Ok("zeep"),
    file: "sample.py",
    run: "python3 sample.py",
    quote: |text| double_quoted(text, "", Escape::Long),
    render: |call| Program { call }.render(),
};
