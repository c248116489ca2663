//! Ruby 2.6 and later with its standard library.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.rb", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "ruby",
    title: "Ruby",
    jwt: Ok("Net::HTTP"),
    soap: Ok("Net::HTTP and REXML"),
    file: "sample.rb",
    run: "ruby sample.rb",
    quote: |text| double_quoted(text, "#", Escape::Braces),
    render: |call| Program { call }.render(),
};
