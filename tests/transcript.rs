//! Runs the transcript in docs/operating.md unchanged in a shell.

use std::process::Command;

use crate::harness::{Gateway, binary, repository};

/// Printed after each command of the script, so that the outputs can be told apart.
const MARK: &str = "=-=-=";

/// Returns the commands of the first transcript in a page, each with the output that the page shows.
fn transcript(page: &str) -> Vec<(String, String)> {
    let (_, rest) = page.split_once("```console\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((command.to_owned(), String::new())),
            None => {
                let said = &mut steps.last_mut().unwrap().1;
                said.push_str(line);
                said.push('\n');
            }
        }
    }
    steps
}

#[test]
fn the_transcript_of_the_operating_manual_prints_its_documented_output() {
    let page = std::fs::read_to_string(repository().join("docs/operating.md")).unwrap();
    let steps = transcript(&page);
    assert!(steps.len() > 10);
    let gateway = Gateway::start();
    // The first line sets this gateway's addresses; all other lines are run unchanged.
    let here = format!(
        "export GATE={} CHATGATE_ADMIN={} CHATGATE_DATA={}",
        gateway.url(""),
        gateway.admin,
        gateway.data().display()
    );
    assert!(steps[0].0.starts_with("export GATE="));
    let commands = std::iter::once(here.as_str())
        .chain(steps[1..].iter().map(|(command, _)| command.as_str()));
    let script: String = commands
        .map(|command| format!("{command}\necho {MARK}\n"))
        .collect();
    let folder = std::path::Path::new(binary()).parent().unwrap();
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var_os("PATH").unwrap().to_string_lossy()
    );
    let ran = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{:?}\n{complained}", ran.status);
    let mut printed: Vec<&str> = said.split(&format!("{MARK}\n")).collect();
    // Nothing follows the last mark.
    assert_eq!(printed.pop(), Some(""));
    assert_eq!(printed.len(), steps.len(), "some did not run\n{complained}");
    for ((command, expected), printed) in steps.iter().zip(printed) {
        assert_eq!(printed, expected, "$ {command}\n{complained}");
    }
}
