//! C#: .NET, .NET Framework and Mono alike.

use askama::Template;

use crate::language::Language;
use crate::literal::{Escape, double_quoted};
use crate::page::Page;

#[derive(Template)]
#[template(path = "Sample.cs", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "csharp",
    title: "C#",
    jwt: Ok("HttpClient"),
    soap: Ok("HttpClient and LINQ to XML"),
    file: "Sample.cs",
    run: "dotnet run",
    quote: |text| double_quoted(text, "", Escape::Utf16),
    render: |call| Program { call }.render(),
};
