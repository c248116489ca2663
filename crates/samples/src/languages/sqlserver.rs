//! SQL Server 2019 and later: T-SQL with OLE Automation.

use askama::Template;

use crate::language::Language;
use crate::literal::tsql;
use crate::page::Page;

#[derive(Template)]
#[template(path = "sample.sql", escape = "none")]
struct Program<'a> {
    call: &'a Page,
}

pub(crate) static LANGUAGE: Language = Language {
    name: "sqlserver",
    title: "SQL Server",
    jwt: Err("T-SQL has no usual place for a token; use HTTP or Basic"),
    soap: Err("T-SQL has no SOAP library; use HTTP or Basic"),
    file: "sample.sql",
    run: "sqlcmd -b -S SERVER -d DATABASE -i sample.sql",
    quote: tsql,
    render: |call| Program { call }.render(),
};
