//! Oracle Database 12.2 and later: PL/SQL with UTL_HTTP.

use askama::Template;

use crate::language::Language;
use crate::literal::oracle;
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample_oracle.sql", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "oracle",
    title: "Oracle",
    jwt: Err("PL/SQL has no usual place for a token; use HTTP or Basic"),
    soap: Err("PL/SQL has no SOAP library of its own; use HTTP or Basic"),
    file: "sample_oracle.sql",
    run: "printf '%s\\n' \"$CHATGATE_PASSWORD\" | sqlplus -S USER@DATABASE @sample_oracle.sql",
    quote: oracle,
    render: |call| Program { call }.render(),
};
