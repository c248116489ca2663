//! Unix shell with curl.

use askama::Template;

use crate::language::Language;
use crate::literal::shell;
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.sh", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "unix",
    title: "Unix shell, curl",
    jwt: Ok("curl"),
    soap: Err(
        "a shell has no library that writes XML; use another language, or the request that --way http makes",
    ),
    file: "sample.sh",
    run: "sh sample.sh",
    quote: shell,
    render: |call| Program { call }.render(),
};
