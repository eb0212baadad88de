//! Staging labels: each is on one version at most, and whoever takes AWSCURRENT leaves AWSPREVIOUS to the one before.

use super::secrets::{CURRENT, PREVIOUS, versions};
use crate::Cx;
use longshore_store::Tx;

/// Puts labels on a version and takes them off others.
pub fn attach(tx: &mut Tx, cx: &Cx, name: &str, id: &str, labels: &[String]) {
    let holder = |tx: &Tx, label: &str| {
        versions(tx, cx, name).find(|version| version.stages.contains(label)).map(|version| version.id.clone())
    };
    for label in labels {
        let old = holder(tx, label).filter(|old| old != id);
        if let Some(old) = &old {
            detach(tx, cx, name, old, label);
        }
        change(tx, cx, name, id, |stages| {
            stages.insert(label.clone());
        });
        if let Some(old) = old.filter(|_| label == CURRENT) {
            if let Some(previous) = holder(tx, PREVIOUS) {
                detach(tx, cx, name, &previous, PREVIOUS);
            }
            change(tx, cx, name, &old, |stages| {
                stages.insert(PREVIOUS.to_owned());
            });
        }
    }
}

pub fn detach(tx: &mut Tx, cx: &Cx, name: &str, id: &str, label: &str) {
    change(tx, cx, name, id, |stages| {
        stages.remove(label);
    });
}

fn change(tx: &mut Tx, cx: &Cx, name: &str, id: &str, change: impl FnOnce(&mut std::collections::BTreeSet<String>)) {
    let key = (cx.scope.clone(), name.to_owned(), id.to_owned());
    tx.secret_versions().update(&key, |row| change(&mut row.stages));
}
