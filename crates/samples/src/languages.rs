//! All languages, with their names, commands and quoting. A language's template has the name of the program's file.

use askama::Template;

use crate::call::SampleCall;
use crate::language::Language;
use crate::literal::{Escape, ascii_double_quoted, delphi, double_quoted, oracle, shell, tsql};

/// Makes a language whose programs fill this template.
macro_rules! language {
    ($file:tt, { $($fields:tt)* }) => {{
        #[derive(Template)]
        #[template(path = $file, escape = "none")]
        struct Program<'a> {
            call: &'a SampleCall,
        }
        Language {
            file: $file,
            render: |call| Program { call }.render(),
            $($fields)*
        }
    }};
}

/// The languages, in display order.
pub static LANGUAGES: [&Language; 16] = [
    // PHP 8 with its extensions curl and soap.
    &language!("sample.php", {
        name: "php",
        title: "PHP",
        jwt: Ok("curl"),
        soap: Ok("SoapClient"),
        run: "php sample.php",
        quote: |text| double_quoted(text, "$", Escape::Braces),
    }),
    // Java 11 and later: the JDK has an HTTP client and XML, but no JSON.
    &language!("Sample.java", {
        name: "java",
        title: "Java",
        jwt: Ok("java.net.http"),
        soap: Ok("java.net.http and the XML of the JDK"),
        run: "java Sample.java",
        quote: |text| ascii_double_quoted(text, ""),
    }),
    // C#, for .NET, .NET Framework and Mono.
    &language!("Sample.cs", {
        name: "csharp",
        title: "C#",
        jwt: Ok("HttpClient"),
        soap: Ok("HttpClient and LINQ to XML"),
        run: "dotnet run",
        quote: |text| double_quoted(text, "", Escape::Utf16),
    }),
    // Unix shell with curl.
    &language!("sample.sh", {
        name: "unix",
        title: "Unix shell, curl",
        jwt: Ok("curl"),
        soap: Err(
            "a shell has no library that writes XML; use another language or HTTP",
        ),
        run: "sh sample.sh",
        quote: shell,
    }),
    // Unix shell with wget, for machines without curl.
    &language!("sample-wget.sh", {
        name: "wget",
        title: "Unix shell, wget",
        jwt: Ok("wget"),
        soap: Err(
            "a shell has no library that writes XML; use another language or HTTP",
        ),
        run: "sh sample-wget.sh",
        quote: shell,
    }),
    // Ruby 2.6 and later with its standard library.
    &language!("sample.rb", {
        name: "ruby",
        title: "Ruby",
        jwt: Ok("Net::HTTP"),
        soap: Ok("Net::HTTP and REXML"),
        run: "ruby sample.rb",
        quote: |text| double_quoted(text, "#", Escape::Braces),
    }),
    // Python 3 with its standard library, and zeep for SOAP.
    &language!("sample.py", {
        name: "python",
        title: "Python",
        jwt: Ok("urllib"),
        soap: Ok("zeep"),
        run: "python3 sample.py",
        quote: |text| double_quoted(text, "", Escape::Long),
    }),
    // Android: Kotlin with the platform's own libraries. There is no environment, so the secret is an argument.
    &language!("ChatSample.kt", {
        name: "android",
        title: "Android",
        jwt: Err("anybody can read a client secret in an app; get the token on your own server"),
        soap: Err("Android has no SOAP library; use HTTP or Basic"),
        run: "ChatSample.call(secret) on a background thread",
        quote: |text| double_quoted(text, "$", Escape::Utf16),
    }),
    // Objective-C with Foundation, Apple's or GNUstep's.
    &language!("sample.m", {
        name: "objectivec",
        title: "Objective-C",
        jwt: Ok("NSURLConnection"),
        soap: Err("Foundation has no SOAP library; use HTTP, Basic or JWT"),
        run: "clang -fobjc-arc -framework Foundation sample.m -o sample && ./sample",
        quote: |text| format!("@{}", double_quoted(text, "?", Escape::Long)),
    }),
    // SQL Server 2019 and later: T-SQL with OLE Automation.
    &language!("sample.sql", {
        name: "sqlserver",
        title: "SQL Server",
        jwt: Err("T-SQL has no usual place to store a token; use HTTP or Basic"),
        soap: Err("T-SQL has no SOAP library; use HTTP or Basic"),
        run: "sqlcmd -b -S SERVER -d DATABASE -i sample.sql",
        quote: tsql,
    }),
    // Oracle Database 12.2 and later: PL/SQL with UTL_HTTP.
    &language!("sample_oracle.sql", {
        name: "oracle",
        title: "Oracle",
        jwt: Err("PL/SQL has no usual place to store a token; use HTTP or Basic"),
        soap: Err("PL/SQL has no SOAP library of its own; use HTTP or Basic"),
        run: "printf '%s\\n' \"$CHATGATE_PASSWORD\" | sqlplus -S USER@DATABASE @sample_oracle.sql",
        quote: oracle,
    }),
    // Node.js 18 and later, and the package soap for SOAP.
    &language!("sample.js", {
        name: "nodejs",
        title: "Node.js",
        jwt: Ok("fetch"),
        soap: Ok("the package soap"),
        run: "node sample.js",
        quote: |text| double_quoted(text, "", Escape::Braces),
    }),
    // Go with its standard library.
    &language!("sample.go", {
        name: "go",
        title: "Go",
        jwt: Ok("net/http"),
        soap: Err("Go has no SOAP library in general use; use HTTP, Basic or JWT"),
        run: "go run sample.go",
        quote: |text| double_quoted(text, "", Escape::Long),
    }),
    // Scala 2.11 and later on Java 11 and later.
    &language!("Sample.scala", {
        name: "scala",
        title: "Scala",
        jwt: Ok("java.net.http"),
        soap: Err("Scala uses the SOAP libraries of Java; see the Java sample"),
        run: "scala Sample.scala",
        quote: |text| ascii_double_quoted(text, ""),
    }),
    // Swift 5.7 and later with Foundation.
    &language!("main.swift", {
        name: "swift",
        title: "Swift",
        jwt: Ok("URLSession"),
        soap: Err("Foundation has no SOAP library; use HTTP, Basic or JWT"),
        run: "swift main.swift",
        quote: |text| double_quoted(text, "", Escape::Braces),
    }),
    // Delphi 10.3 and later, and Free Pascal in Delphi mode.
    &language!("Sample.dpr", {
        name: "delphi",
        title: "Delphi",
        jwt: Ok("THTTPClient, or TFPHTTPClient of Free Pascal"),
        soap: Err("use Delphi's WSDL import wizard, which generates the code"),
        run: "dcc32 Sample.dpr && Sample",
        quote: delphi,
    }),
];

impl Language {
    /// Returns the language with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Language> {
        LANGUAGES.into_iter().find(|language| language.name == name)
    }
}
