//! Tests of the documentation pages: they match the gateway's behavior, exist only if they are switched on, and open in a browser.

use adapter::{Code, OPERATIONS, PLATFORMS, Way};
use reqwest::Method;
use samples::{LANGUAGES, SampleCaller, sample};
use serde_json::Value;

use crate::browser::browse;
use crate::harness::{Answer, Gateway, admin, client};

/// A limit that is high enough for a test that reads every sample.
const UNLIMITED: &str = "[limits]\nper_address_per_minute = 1000000\n";

async fn page(gateway: &Gateway, path: &str) -> Answer {
    Answer::of(client().get(gateway.url(path))).await
}

async fn text(gateway: &Gateway, path: &str) -> String {
    let page = page(gateway, path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    page.body
}

/// Returns the text between two marks as a browser shows it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let at = text
        .find(start)
        .unwrap_or_else(|| panic!("no {start} in {text}"));
    let rest = &text[at + start.len()..];
    &rest[..rest.find(end).unwrap()]
}

fn shown(html: &str) -> String {
    html.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

#[tokio::test]
async fn the_operations_page_matches_the_operation_table() {
    let gateway = Gateway::start();
    let page = text(&gateway, "/docs/operations").await;
    assert_eq!(page.matches("<section ").count(), OPERATIONS.len());
    for operation in &OPERATIONS {
        let start = format!("<h2 id=\"{}\">", operation.method);
        let section = between(&page, &start, "</section>");
        let named: Vec<_> = section
            .split("<th scope=\"row\"><code>")
            .skip(1)
            .map(|row| {
                let (name, rest) = row.split_once("</code>").unwrap();
                (name, between(rest, "<td>", "</td>") == "yes")
            })
            .collect();
        let declared = operation.parameters.iter();
        let declared: Vec<_> = declared.map(|p| (p.name, p.compulsory)).collect();
        assert_eq!(named, declared, "{}", operation.method);
        // All platforms are listed, also where the platform is optional.
        let platforms = format!("<td>one of {}</td>", PLATFORMS.join(", "));
        assert_eq!(
            section.contains(&platforms),
            declared.iter().any(|(name, _)| *name == "platform"),
            "{}",
            operation.method
        );
        let links: Vec<_> = section.split("/docs/codes#").skip(1).collect();
        let links: Vec<_> = links
            .iter()
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let codes: Vec<_> = operation.codes.iter().map(|code| code.word()).collect();
        assert_eq!(links, codes, "{}", operation.method);
        for field in operation.result_fields {
            assert!(
                section.contains(&format!("<code>{field}</code>")),
                "{field}"
            );
        }
    }
}

#[tokio::test]
async fn the_codes_page_lists_the_statuses_that_callers_get() {
    let toml = format!("{UNLIMITED}[ways.basic]\nstatus = \"mapped\"\n");
    let gateway = Gateway::configured(&toml, &[]);
    let page = text(&gateway, "/docs/codes").await;
    let rows = |word: &str| -> Vec<String> {
        let row = between(&page, &format!("<tr id=\"{word}\">"), "</tr>");
        let cells = row.split("<td>").skip(1);
        cells
            .map(|cell| cell.split("</td>").next().unwrap().to_owned())
            .collect()
    };
    let reported = page.matches("<tr id=").count();
    assert_eq!(reported, Code::ALL.len() - 1, "all but the upstream's own");
    for code in Code::ALL
        .into_iter()
        .filter(|code| *code != Code::UpstreamCode)
    {
        let row = rows(code.word());
        assert_eq!(shown(&row[0]), code.text());
        assert_eq!(row[1], code.status().to_string());
    }
    // A call by every JSON way in gets what the page promises.
    let demo = gateway.demo();
    for (column, way) in [(2, "http"), (3, "basic")] {
        for (wrong, word) in [
            ("class=nothing&method=getchats", "INCORRECT_CLASS"),
            ("class=chat&method=nothing", "INCORRECT_METHOD"),
            ("class=chat&method=getchats", "MISSING_COMPULSORY_PARAM"),
            (
                "class=chat&method=getchats&platform=webchat&platformid=9",
                "CHANNEL_NOT_FOUND",
            ),
            ("class=chat", "MISSING_METHOD"),
        ] {
            let request = client().post(gateway.url(&format!("/api/{way}/")));
            let request = match way {
                "http" => request.body(format!(
                    "{wrong}&user={}&password={}",
                    demo.user, demo.password
                )),
                _ => request
                    .basic_auth(&demo.user, Some(&demo.password))
                    .body(wrong),
            };
            let answer = Answer::of(request).await;
            assert_eq!(answer.json()["error"], word, "{way}");
            assert_eq!(
                answer.status.to_string(),
                rows(word)[column],
                "{way} {word}"
            );
        }
    }
}

#[tokio::test]
async fn the_openapi_page_contains_the_whole_document() {
    let gateway = Gateway::start();
    let document = page(&gateway, "/docs/openapi.json").await.json();
    let for_operators = admin(&gateway, Method::GET, "openapi-ways.json", &Value::Null).await;
    assert_eq!(document, for_operators.json());
    let page = text(&gateway, "/docs/openapi").await;
    let mut answers = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let id = call["operationId"].as_str().unwrap();
            let section = between(&page, &format!("<h2 id=\"{id}\">"), "</section>");
            let line = format!("{} {path}", method.to_uppercase());
            assert!(section.contains(&line), "{line}");
            for (status, answer) in call["responses"].as_object().unwrap() {
                assert!(
                    section.contains(&format!("<strong>{status}</strong>")),
                    "{line} {status}"
                );
                for body in answer["content"].as_object().unwrap().values() {
                    let schema = format!("{:#}", body["schema"]);
                    assert!(shown(section).contains(&schema), "{line} {status}");
                }
                answers += 1;
            }
        }
    }
    assert!(answers > 40, "{answers}");
}

#[tokio::test]
async fn the_samples_page_shows_the_programs_of_the_sample_generator() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let url = gateway.url("");
    let caller = SampleCaller {
        url: &url,
        user: "YOUR-USER",
        client_id: "YOUR-CLIENT-ID",
    };
    let (mut programs, mut reasons) = (0, 0);
    for language in LANGUAGES {
        for way in Way::ALL {
            for operation in &OPERATIONS {
                let (name, method) = (language.name, operation.method);
                let query = format!("language={name}&way={}&method={method}", way.name());
                let page = text(&gateway, &format!("/docs/samples?{query}")).await;
                match sample(language, way, operation, &caller, &[]) {
                    Ok(sample) => {
                        let program = between(&page, "<code id=\"program\">", "</code></pre>");
                        assert_eq!(shown(program), sample.text, "{query}");
                        programs += 1;
                    }
                    Err(why) => {
                        assert!(shown(&page).contains(&why.to_string()), "{query}: {page}");
                        reasons += 1;
                    }
                }
            }
        }
    }
    assert!(
        text(&gateway, "/docs/samples?language=%3Cb%3E&way=x&method=y")
            .await
            .contains("id=\"program\"")
    );
    println!("{programs} programs, {reasons} reasons why there is none");
}

#[tokio::test]
async fn the_documentation_pages_follow_the_configuration() {
    let gateway = Gateway::configured(
        "[ways.soap]\nenabled = false\n[server]\npublic_url = \"https://chat.example.com\"\n",
        &[],
    );
    let ways = text(&gateway, "/docs/").await;
    assert!(
        ways.contains("https://chat.example.com/api/http/"),
        "{ways}"
    );
    assert!(!ways.contains("wsdl"), "{ways}");
    assert!(!text(&gateway, "/docs/codes").await.contains(">SOAP</th>"));
    let all = Gateway::start();
    assert!(text(&all, "/docs/codes").await.contains(">SOAP</th>"));
    let ways = text(&all, "/docs").await;
    for way in Way::ALL {
        assert!(ways.contains(&all.url(way.path())), "{way:?}");
    }
    for wsdl in ["?wsdl", "?wsdl=1.1", "?wsdl=1.2"] {
        let link = format!("href=\"/api/soap/{wsdl}\"");
        assert!(ways.contains(&link), "{ways}");
    }
}

#[tokio::test]
async fn the_documentation_is_served_on_loopback_or_if_enabled() {
    for (gateway, is_there) in [
        (Gateway::start(), true),
        (Gateway::configured("[docs]\nenabled = false\n", &[]), false),
        (Gateway::listening("0.0.0.0:0", ""), false),
        (
            Gateway::listening("0.0.0.0:0", "[docs]\nenabled = true\n"),
            true,
        ),
    ] {
        for path in [
            "/docs",
            "/docs/",
            "/docs/codes",
            "/docs/docs.css",
            "/docs/docs.js",
            "/docs/openapi.json",
        ] {
            let url = format!("http://127.0.0.1:{}{path}", gateway.public.port());
            let answer = Answer::of(client().get(url)).await;
            assert_eq!(answer.status, if is_there { 200 } else { 404 }, "{path}");
            if !is_there {
                assert_eq!(answer.json()["error"], "NOT_FOUND");
            }
        }
    }
}

#[tokio::test]
async fn documentation_pages_obey_network_rules_and_block_foreign_scripts() {
    let gateway = Gateway::start();
    let pages = [
        "/docs/",
        "/docs/operations",
        "/docs/codes",
        "/docs/events",
        "/docs/samples",
        "/docs/openapi",
    ];
    let mut ids = Vec::new();
    for path in pages {
        let page = page(&gateway, path).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains(" style-src 'self';"),
            "{policy}"
        );
        // Only the page with samples has a script, our own, which copies samples.
        let scripts = usize::from(path == "/docs/samples");
        assert_eq!(policy.matches("script-src 'self'").count(), scripts);
        assert_eq!(policy.matches("script").count(), scripts, "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        let ours = "<script src=\"/docs/docs.js\" defer></script>";
        assert_eq!(page.body.matches(ours).count(), scripts, "{path}");
        assert_eq!(page.body.matches("<script").count(), scripts, "{path}");
        assert!(!page.body.contains("style="), "{path}");
        ids.push(page.header("x-request-id").to_owned());
    }
    // Requests of unauthenticated callers are counted together; the first one has its own log line.
    assert_eq!(gateway.logged(&ids[0])["status"], 200);
    let posted = Answer::of(client().post(gateway.url("/docs/"))).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    assert_eq!(page(&gateway, "/docs/nothing").await.status, 404);
    assert_eq!(page(&gateway, "/docs/codes/nothing").await.status, 404);
    let shut = Gateway::configured("[server]\nallow = [\"192.0.2.0/24\"]\n", &[]);
    assert_eq!(page(&shut, "/docs/").await.status, 403);
}

#[test]
fn the_documentation_pages_work_in_a_browser() {
    browse("docs_pages.js", "");
}
