//! One file for each language: how it is named, run and quoted, and its template.

pub(crate) mod android;
pub(crate) mod csharp;
pub(crate) mod delphi;
pub(crate) mod go;
pub(crate) mod java;
pub(crate) mod nodejs;
pub(crate) mod objectivec;
pub(crate) mod oracle;
pub(crate) mod php;
pub(crate) mod python;
pub(crate) mod ruby;
pub(crate) mod scala;
pub(crate) mod sqlserver;
pub(crate) mod swift;
pub(crate) mod unix;
pub(crate) mod wget;
