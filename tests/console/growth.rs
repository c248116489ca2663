//! Pages and answers over many accesses have to be as long as over few.

use reqwest::Method;
use serde_json::Value;

use super::Visitor;
use crate::harness::{Answer, Gateway, admin, client, exported, import_accesses};

/// Enough accesses to fill every list.
const FEW: usize = 1000;
const MANY: usize = 2500;

/// Bytes by which an answer may grow because its figures have more digits.
const FIGURES: usize = 200;

const PAGES: [&str; 10] = [
    "/console/",
    "/console/?window=7d",
    "/console/health?window=7d",
    "/console/accesses",
    "/console/accesses?q=access-0",
    "/console/accesses?after=access-00500",
    "/console/access-names?access=access-0",
    "/console/journal",
    "/console/explain",
    "/console/status",
];

/// Returns the length of each page and answer.
async fn lengths(gateway: &Gateway, visitor: &Visitor<'_>) -> Vec<(String, usize)> {
    let mut lengths = Vec::new();
    for path in PAGES {
        let page = visitor.page(path).await;
        assert_eq!(page.status, 200, "{path}");
        lengths.push((path.to_owned(), page.body.len()));
    }
    let list = admin(gateway, Method::GET, "accesses", Value::Null).await;
    lengths.push(("the list of accesses".to_owned(), list.body.len()));
    let metrics = client().get(format!("http://{}/metrics", gateway.admin));
    let metrics = Answer::of(metrics).await;
    lengths.push(("the metrics".to_owned(), metrics.body.len()));
    lengths
}

#[tokio::test]
async fn pages_and_answers_do_not_grow_with_the_number_of_accesses() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let template = exported(&gateway).await;
    import_accesses(&gateway, &template, 0..FEW).await;
    let few = lengths(&gateway, &visitor).await;
    import_accesses(&gateway, &template, FEW..MANY).await;
    let many = lengths(&gateway, &visitor).await;
    for ((what, few), (_, many)) in few.iter().zip(&many) {
        assert!(
            *many <= few + few / 50 + FIGURES,
            "{what}: {few} bytes with {FEW} accesses, {many} with {MANY}"
        );
    }
    // An export contains all accesses.
    let exported = admin(&gateway, Method::GET, "export", Value::Null).await;
    let exported = exported.json()["accesses"].as_array().map(Vec::len);
    assert_eq!(exported, Some(MANY + 1));
}
