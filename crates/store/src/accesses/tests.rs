//! Compares snapshots with a model, and checks the parts that they share.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn access(number: u16, user: u16) -> Access {
    Access::new(
        &format!("n{number}"),
        &format!("u{user}"),
        &format!("c{user}"),
    )
}

/// Returns all accesses in their order.
fn seen(accesses: &Accesses) -> Vec<Access> {
    accesses
        .iter()
        .map(|access| Access::clone(access))
        .collect()
}

#[track_caller]
fn check(accesses: &Accesses, model: &BTreeMap<String, Access>) {
    assert_eq!(seen(accesses), model.values().cloned().collect::<Vec<_>>());
    assert_eq!(accesses.len(), model.len());
    for (place, access) in model.values().enumerate() {
        let found = [
            accesses.named(&access.name),
            accesses.of_user(&access.user),
            accesses.of_client(&access.client_id),
            accesses.at(place as u64),
            accesses.at((place + 7 * model.len()) as u64),
        ];
        for found in found {
            assert_eq!(found.map(|access| &**access), Some(access));
        }
    }
    for name in ["", "n", "n1", "n44", "n5\u{7f}", "z"] {
        let after: Vec<_> = accesses.after(name).map(|access| &access.name).collect();
        let expected = model.keys().filter(|known| known.as_str() > name);
        assert_eq!(after, expected.collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Two accesses never have the same user at the same time, as in the store.
    #[test]
    fn a_changed_snapshot_matches_the_model_and_the_previous_one_is_intact(
        batches in prop::collection::vec(prop::collection::vec((0_u16..60, prop::option::of(0_u16..4)), 1..30), 1..30)
    ) {
        let (mut accesses, mut model) = (Accesses::default(), BTreeMap::new());
        for batch in batches {
            let changes: Vec<_> = batch.into_iter().map(|(number, user)| {
                let after = user.map(|user| access(number, number * 4 + user));
                (format!("n{number}"), after)
            }).collect();
            let before = (accesses.clone(), model.clone());
            for (name, after) in &changes {
                match after {
                    Some(access) => drop(model.insert(name.clone(), access.clone())),
                    None => drop(model.remove(name)),
                }
            }
            accesses = accesses.with(changes);
            check(&accesses, &model);
            check(&before.0, &before.1);
        }
    }
}

#[test]
fn a_large_snapshot_finds_every_access_and_can_be_emptied() {
    let count = 5000;
    let numbers = (0..count).map(|number| number * 7 % count);
    let accesses = numbers
        .map(|number| access(number, number))
        .collect::<Accesses>();
    let mut model = BTreeMap::new();
    for number in 0..count {
        model.insert(format!("n{number}"), access(number, number));
    }
    check(&accesses, &model);
    let gone = model.keys().map(|name| (name.clone(), None));
    let none = accesses.with(gone);
    check(&none, &BTreeMap::new());
    assert!(none.is_empty() && none.at(7).is_none());
    check(&accesses, &model);
}

#[test]
fn a_user_name_that_moves_to_another_access_finds_the_new_one() {
    let accesses = Accesses::from_iter([access(1, 1), access(2, 2)]);
    let passed = [access(1, 3), access(2, 1)];
    let passed = accesses.with(passed.map(|access| (access.name.clone(), Some(access))));
    assert_eq!(passed.of_user("u1").map(|access| &*access.name), Some("n2"));
    assert_eq!(passed.of_user("u3").map(|access| &*access.name), Some("n1"));
    assert!(passed.of_user("u2").is_none());
}

/// A change copies at most one part of each index and one piece of the names, or two pieces after a split.
#[test]
fn a_change_of_one_access_copies_at_most_two_parts_of_each_index() {
    let accesses = (0..20_000)
        .map(|number| access(number, number))
        .collect::<Accesses>();
    let changed = accesses.with([("n77".to_owned(), Some(access(77, 30_000)))]);
    let others = accesses.names.unshared(&changed.names);
    assert!(others <= 2, "{others} pieces");
    for (before, after) in [
        (&accesses.by_name, &changed.by_name),
        (&accesses.by_user, &changed.by_user),
        (&accesses.by_client_id, &changed.by_client_id),
    ] {
        let others = before.unshared(after);
        assert!(others <= 2, "{others} parts");
    }
}
