//! Java 11 and later: the JDK has an HTTP client and XML, and no JSON.

use askama::Template;

use crate::language::Language;
use crate::literal::ascii_double_quoted;
use crate::page::Page;

#[derive(Template)]
#[template(path = "Sample.java", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "java",
    title: "Java",
    jwt: Ok("java.net.http"),
    soap: Ok("java.net.http and the XML of the JDK"),
    file: "Sample.java",
    run: "java Sample.java",
    quote: |text| ascii_double_quoted(text, ""),
    render: |call| Program { call }.render(),
};
