//! Published signatures, judged by `chatgate jws-verify`.

use serde_json::Value;

use super::{chatgate, each, list, suite, text, verdict};

/// Vectors of the suite that contradict themselves (one key id for two keys, `ES521`, padding declared both right and wrong), so
/// that no strict verifier can satisfy them.
const CONTRADICTING: [u64; 8] = [346, 347, 350, 351, 367, 370, 372, 373];

struct Vector<'a> {
    id: u64,
    jwk: String,
    alg: &'a str,
    jws: String,
    is_valid: bool,
}

/// Returns the test vectors. Each group names its key, the public one if there is a public half; a key without an algorithm is used
/// for RS256.
fn vectors(suite: &Value) -> Vec<Vector<'_>> {
    let groups = list(suite, "testGroups").iter();
    let of_group = |group| {
        let key = Value::get(group, "public").unwrap_or(&group["private"]);
        list(group, "tests").iter().map(move |test| Vector {
            id: test["tcId"].as_u64().unwrap(),
            jwk: key.to_string(),
            alg: key["alg"].as_str().unwrap_or("RS256"),
            jws: test["jws"]
                .as_str()
                .map_or_else(|| test["jws"].to_string(), str::to_owned),
            is_valid: text(test, "result") == "valid",
        })
    };
    let all = groups.flat_map(of_group);
    all.filter(|vector| !CONTRADICTING.contains(&vector.id))
        .collect()
}

#[test]
fn published_signatures_get_the_verdict_of_their_suite() {
    let Some(suite) = suite("jws.json") else {
        return;
    };
    let vectors = vectors(&suite);
    let folder = tempfile::tempdir().unwrap();
    let wrong = each(&vectors, |index, vector| {
        let file = folder.path().join(format!("{index}.json"));
        std::fs::write(&file, &vector.jwk).unwrap();
        let file = file.to_str().unwrap();
        let command = [
            "jws-verify",
            "--jwk",
            file,
            "--alg",
            vector.alg,
            &vector.jws,
        ];
        let judged = verdict(&chatgate(&command));
        (judged != Ok(vector.is_valid)).then(|| format!("{}: {judged:?}", vector.id))
    });
    let valid = vectors.iter().filter(|vector| vector.is_valid).count();
    println!(
        "jws: {} vectors, {valid} valid, {} judged wrong",
        vectors.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
