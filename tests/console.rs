//! Tests of the operators' pages: whole stories in Chromium, and requirements for sessions, for strangers' texts and for page size.

mod cost;
mod growth;
mod guard;
mod health;
mod naughty;
mod overview;
mod preview;
mod replicas;
mod seen;
mod sessions;
mod speed;
mod steering;
mod strings;
mod tail;

use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::harness::{Answer, Gateway, admin, client, client_from, repository};
use crate::real_clients::run;

/// Maximum size of a page with everything that it loads, compressed.
const PAGE_BYTES_MAX: usize = 150 * 1024;

/// A signed-in operator or viewer without a browser, who uses the pages and forms of the console over HTTP.
pub(crate) struct Visitor<'a> {
    gateway: &'a Gateway,
    /// The cookie as a browser sends it back.
    cookie: String,
}

impl<'a> Visitor<'a> {
    /// Signs in with a key.
    async fn of(gateway: &'a Gateway, key: &str) -> Visitor<'a> {
        let answer = sign_in(gateway, key, None).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.header("set-cookie").split(';').next().unwrap();
        Visitor {
            gateway,
            cookie: cookie.to_owned(),
        }
    }

    /// Signs in with the first operator's key.
    pub(crate) async fn first(gateway: &'a Gateway) -> Visitor<'a> {
        Visitor::of(gateway, &first_key(gateway)).await
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.gateway.admin);
        client().get(url).header("cookie", &self.cookie)
    }

    pub(crate) async fn page(&self, path: &str) -> Answer {
        Answer::of(self.get(path)).await
    }

    /// Follows the link of this page whose address contains `piece`, and returns the linked page.
    async fn follow(&self, page: &Answer, piece: &str) -> Answer {
        let links = page.body.split("href=\"").skip(1);
        let mut links = links.filter_map(|rest| rest.split('"').next());
        let link = links.find(|link| link.contains(piece));
        let link = link.unwrap_or_else(|| panic!("no link with {piece}: {}", page.body));
        let link = link.replace("&#38;", "&").replace("&amp;", "&");
        let next = self.page(&link).await;
        assert_eq!(next.status, 200, "{link}");
        next
    }

    /// Reads the token that every form has to carry from a page, as a browser does.
    async fn token(&self) -> String {
        let page = self.page("/console/status").await;
        let mark = "name=\"token\" value=\"";
        let at = page.body.find(mark).expect("a form with a token") + mark.len();
        page.body[at..].split('"').next().unwrap().to_owned()
    }

    /// Returns a form that has not been sent yet.
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let url = format!("http://{}{path}", self.gateway.admin);
        let request = client().post(url).header("cookie", &self.cookie);
        request.form(fields)
    }

    /// Sends a form with its token.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token().await;
        let fields: Vec<_> = fields.iter().copied().chain([("token", &*token)]).collect();
        Answer::of(self.form(path, &fields)).await
    }
}

fn first_key(gateway: &Gateway) -> String {
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    key.trim().to_owned()
}

async fn sign_in(gateway: &Gateway, key: &str, cookie: Option<&str>) -> Answer {
    let url = format!("http://{}/console/sign-in", gateway.admin);
    let mut request = client().post(url).form(&[("key", key)]);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    Answer::of(request).await
}

/// Makes a key that may read but not change anything.
async fn viewer_key(gateway: &Gateway) -> String {
    let draft = json!({"name": "looker", "role": "viewer"});
    let made = admin(gateway, Method::POST, "admin-keys", &draft).await;
    made.json()["key"].as_str().unwrap().to_owned()
}

/// Makes some calls, so that the pages show something: served calls, refused calls, calls with markup.
async fn make_calls(gateway: &Gateway) {
    /// Refusals of one address are counted together, so each run uses another address.
    static ADDRESSES: AtomicU8 = AtomicU8::new(1);
    let last = ADDRESSES.fetch_add(1, Ordering::Relaxed);
    let stranger = client_from([127, 0, 77, last].into());
    let demo = gateway.demo();
    let call = |caller: reqwest::Client, method: &str, password: &str| {
        let form = [
            ("class", "chat"),
            ("method", method),
            ("user", &demo.user),
            ("password", password),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("destination", "34600000000"),
            ("message", "<script>alert(1)</script>"),
        ];
        let form: Vec<_> = form.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let request = caller.post(gateway.url("/api/http/")).form(&form);
        Answer::of(request.header("user-agent", "<img src=x onerror=alert(1)>"))
    };
    for method in ["sendmessage", "getchats", "getchats", "getnothing"] {
        call(client(), method, &demo.password).await;
    }
    call(stranger, "getchats", "wrong").await;
}

/// Returns every page by name and path.
async fn pages(gateway: &Gateway) -> Vec<(&'static str, String)> {
    make_calls(gateway).await;
    let rows = admin(
        gateway,
        Method::GET,
        "journal?method=sendmessage",
        &json!(null),
    )
    .await;
    let row = rows.json()["rows"][0]["id"].as_str().unwrap().to_owned();
    let explain = "/console/explain?peer=203.0.113.7&access=demo&way=basic&method=sendmessage&headers=X-Forwarded-For:+10.0.0.1";
    [
        ("overview", "/console/"),
        ("overview-week", "/console/?window=7d"),
        ("health", "/console/health?window=1h"),
        ("accesses", "/console/accesses"),
        ("access-new", "/console/accesses/new"),
        ("access", "/console/accesses/demo"),
        ("journal", "/console/journal?since=1h"),
        ("journal-live", "/console/journal?live=1"),
        ("row", &format!("/console/journal/rows/{row}")),
        ("explain", explain),
        ("status", "/console/status"),
        ("replicas", "/console/replicas"),
        ("nothing", "/console/nothing"),
    ]
    .map(|(name, path)| (name, path.to_owned()))
    .into()
}

#[track_caller]
fn browse(program: &str, environment: &[(&str, String)]) {
    let Some(said) = run(program, &[], environment) else {
        return;
    };
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("ok "), "{program}: {said}");
    println!("{program}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_viewer_and_scriptless_browser_complete_their_tasks() {
    let gateway = Gateway::start();
    let environment = [
        ("CONSOLE_URL", format!("http://{}", gateway.admin)),
        ("CONSOLE_KEY", first_key(&gateway)),
        ("CONSOLE_VIEWER", viewer_key(&gateway).await),
    ];
    make_calls(&gateway).await;
    browse("console_story.js", &environment);
}

/// Returns the environment for the tour through the pages.
fn tour(gateway: &Gateway, pages: &[(&str, String)]) -> Vec<(&'static str, String)> {
    let pictures = repository().join("target/screenshots");
    std::fs::create_dir_all(&pictures).unwrap();
    vec![
        ("CONSOLE_URL", format!("http://{}", gateway.admin)),
        ("CONSOLE_KEY", first_key(gateway)),
        ("CONSOLE_PAGES", json!(pages).to_string()),
        ("CONSOLE_PICTURES", pictures.display().to_string()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_self_contained_at_three_widths_light_and_dark() {
    let gateway = Gateway::configured("[log]\nlevel = \"info\"\n", &[]);
    let mut environment = tour(&gateway, &pages(&gateway).await);
    environment.push(("CONSOLE_VIEWER", viewer_key(&gateway).await));
    let file = gateway.folder.path().join("chatgate.toml");
    environment.push(("CONSOLE_CONFIGURATION", file.display().to_string()));
    // More rows than one page of the journal shows.
    for _ in 0..12 {
        make_calls(&gateway).await;
    }
    browse("console_tour.js", &environment);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_are_accessible_and_self_contained_too() {
    let gateway = Gateway::start();
    admin(&gateway, Method::DELETE, "accesses/demo", &json!(null)).await;
    let pages = [
        ("fresh-overview", "/console/"),
        ("fresh-accesses", "/console/accesses"),
        ("fresh-journal", "/console/journal"),
    ]
    .map(|(name, path)| (name, path.to_owned()));
    browse("console_tour.js", &tour(&gateway, &pages));
}

/// Returns the size of a text after gzip, as a proxy in front would send it.
fn compressed(text: &[u8]) -> usize {
    use std::io::Write;
    let mut gzip = std::process::Command::new("gzip")
        .arg("-6")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let text = text.to_owned();
    let writing = std::thread::spawn(move || input.write_all(&text).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    output.stdout.len()
}

#[tokio::test]
async fn every_page_stays_within_its_size_limit_and_has_no_inline_code() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let mut heaviest = 0;
    for (name, path) in pages(&gateway).await {
        let page = visitor.page(&path).await;
        let mut weight = compressed(page.body.as_bytes());
        let mut assets = 0;
        for piece in page.body.split(['"', '\'']) {
            if piece.starts_with("/console/assets/") {
                let asset = visitor.page(piece).await;
                assert_eq!(asset.status, 200, "{piece}");
                assert!(asset.header("cache-control").contains("immutable"));
                weight += compressed(asset.body.as_bytes());
                assets += 1;
            }
        }
        assert!(assets >= 5, "{name} loads {assets} assets");
        assert!(weight <= PAGE_BYTES_MAX, "{name}: {weight} bytes");
        assert!(
            !page.body.contains("<style") && !page.body.contains(" style="),
            "{name}"
        );
        assert!(
            !page.body.contains("<script>") && !page.body.contains(" onclick"),
            "{name}"
        );
        heaviest = heaviest.max(weight);
    }
    println!("the heaviest page with all that it loads: {heaviest} bytes compressed");
}
