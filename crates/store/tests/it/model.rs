//! Random transactions against a plain map: rows, indexes, undo, failed commits, reopening.

use crate::{Rng, User, Users, id, memory_store, schema, user};
use longshore_store::engine::Failure;
use longshore_store::{Snapshot, Store, Tx};
use std::collections::BTreeMap;

type Model = BTreeMap<(String, u64), User>;

const ORGS: [&str; 3] = ["a", "a\0", "b"];
const TEAMS: [&str; 3] = ["red", "re", "blue"];
const TAGS: [&str; 3] = ["x", "y", "xy"];

fn check(snapshot: &Snapshot, model: &Model) {
    let users = snapshot.table::<Users>();
    let rows: Model = users.all().entries().map(|(key, row)| (key, User::clone(&row))).collect();
    assert_eq!(rows, *model);
    for org in ORGS {
        for team in TEAMS {
            let index_key = (org.to_string(), team.to_string());
            let got: Vec<_> = users.by_index(&Users::BY_TEAM, &index_key).keys().collect();
            let want = model.iter().filter(|(key, user)| key.0 == org && user.team == team);
            assert_eq!(got, want.map(|(key, _)| key.clone()).collect::<Vec<_>>());
        }
    }
    for tag in TAGS {
        let got: Vec<_> = users.by_index(&Users::BY_TAG, &tag.to_string()).entries().collect();
        let want: Vec<_> = model.iter().filter(|(_, user)| user.tags.iter().any(|t| t == tag)).collect();
        assert_eq!(got.len(), want.len());
        for ((key, row), (model_key, model_row)) in got.iter().zip(want) {
            assert_eq!((key, &**row), (model_key, model_row), "an index holds an old row");
        }
    }
}

fn random_ops(rng: &mut Rng, tx: &mut Tx, model: &mut Model) {
    for _ in 0..rng.below(8) {
        let key = id(ORGS[rng.below(3) as usize], rng.below(60));
        let tags: Vec<&str> = TAGS.into_iter().filter(|_| rng.below(2) == 0).collect();
        let row = user(TEAMS[rng.below(3) as usize], &tags);
        let mut users = tx.table_mut::<Users>();
        match rng.below(5) {
            0 => {
                let inserted = users.insert(key.clone(), row.clone());
                assert_eq!(inserted.is_ok(), !model.contains_key(&key));
                model.entry(key).or_insert(row);
            }
            1 => assert_eq!(users.put(key.clone(), row.clone()).as_deref(), model.insert(key, row).as_ref()),
            2 => {
                let updated = users.update(&key, |user| user.tags.clone_from(&row.tags));
                assert_eq!(updated.is_some(), model.contains_key(&key));
                model.entry(key).and_modify(|user| user.tags = row.tags);
            }
            3 => assert_eq!(users.remove(&key).as_deref(), model.remove(&key).as_ref()),
            _ => assert_eq!(users.get(&key).as_deref(), model.get(&key)),
        }
    }
    check(tx, model);
}

#[test]
fn any_sequence_of_transactions_behaves_like_a_map() {
    for seed in 1..=15u64 {
        let mut rng = Rng::new(seed);
        let (mut store, engine) = memory_store();
        let mut model = Model::new();
        for step in 0..150 {
            let failure = match rng.below(10) {
                0 => Failure::Lost,
                1 => Failure::KeptButReported,
                _ => Failure::None,
            };
            engine.fail(failure);
            let abort = rng.below(4) == 0;
            let mut after = model.clone();
            let mut tx_rng = Rng::new(seed * 1000 + step);
            let answer = store.write_blocking(move |tx| {
                random_ops(&mut tx_rng, tx, &mut after);
                if abort { Err(()) } else { Ok(after) }
            });
            if let Ok(Ok(after)) = answer {
                model = after;
            }
            check(&store.snapshot(), &model);
            if step % 50 == 49 {
                engine.fail(Failure::None);
                // One more write, so that what a failed commit may have left is put right.
                store
                    .write_blocking(|tx| Ok::<_, ()>(tx.table_mut::<Users>().put(id("b", 99), user("blue", &[]))))
                    .unwrap()
                    .unwrap();
                store.write_blocking(|tx| Ok::<_, ()>(tx.table_mut::<Users>().remove(&id("b", 99)))).unwrap().unwrap();
                drop(store);
                store = Store::with_engine(engine.clone(), schema()).unwrap();
                check(&store.snapshot(), &model);
            }
        }
    }
}
