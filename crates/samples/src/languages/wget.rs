//! Unix shell with wget, where there is no curl.

use askama::Template;

use crate::language::Language;
use crate::literal::shell;
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample-wget.sh", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "wget",
    title: "Unix shell, wget",
    jwt: Ok("wget"),
    soap: Err(
        "a shell has no library that writes XML; use another language, or the request that --way http makes",
    ),
    file: "sample-wget.sh",
    run: "sh sample-wget.sh",
    quote: shell,
    render: |call| Program { call }.render(),
};
