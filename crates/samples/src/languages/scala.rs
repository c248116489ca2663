//! Scala 2.11 and later on Java 11 and later.

use askama::Template;

use crate::language::Language;
use crate::literal::ascii_double_quoted;
use crate::page::Page;

#[derive(Template)]
#[template(path = "Sample.scala", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "scala",
    title: "Scala",
    jwt: Ok("java.net.http"),
    soap: Err("Scala takes SOAP from Java; see the sample in Java"),
    file: "Sample.scala",
    run: "scala Sample.scala",
    quote: |text| ascii_double_quoted(text, ""),
    render: |call| Program { call }.render(),
};
