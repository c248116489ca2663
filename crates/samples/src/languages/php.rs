//! PHP 8 with its extensions curl and soap.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.php", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "php",
    title: "PHP",
    jwt: Ok("curl"),
    soap: Ok("SoapClient"),
    file: "sample.php",
    run: "php sample.php",
    quote: |text| double_quoted(text, "$", Escape::Braces),
    render: |call| Program { call }.render(),
};
