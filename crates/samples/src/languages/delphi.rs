//! Delphi 10.3 and later, and Free Pascal in Delphi mode.

use askama::Template;

use crate::language::Language;
use crate::literal::delphi;
use crate::page::Page;

#[derive(Template)]
#[template(path = "Sample.dpr", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "delphi",
    title: "Delphi",
    jwt: Ok("THTTPClient, or TFPHTTPClient of Free Pascal"),
    soap: Err("Delphi imports the WSDL with its wizard, which writes the code for it"),
    file: "Sample.dpr",
    run: "dcc32 Sample.dpr && Sample",
    quote: delphi,
    render: |call| Program { call }.render(),
};
