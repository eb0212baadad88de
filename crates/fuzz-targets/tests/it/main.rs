//! Every kept case of every target, once, as an ordinary test.

use std::fs;
use std::path::{Path, PathBuf};

use longshore_fuzz_targets::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Runs a target on its corpus and on what once failed. A case that fails is named by its file.
fn replay(name: &str) {
    let run = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name").1;
    let check = |case: &[u8], called: &str| {
        let result = std::panic::catch_unwind(|| run(case));
        assert!(result.is_ok(), "{called} fails: {}", case.escape_ascii());
    };
    let pack = fs::read(fuzz().join("corpus").join(name)).expect("a corpus of this name");
    let (mut rest, mut count) = (&pack[..], 0);
    // Each case after its length, see `cargo xtask fuzz`.
    while let Some((length, after)) = rest.split_first_chunk() {
        let (case, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        check(case, &format!("case {count} of {name}"));
        (rest, count) = (after, count + 1);
    }
    assert!(rest.is_empty() && count > 0, "the corpus of {name} is torn or empty");
    for entry in fs::read_dir(fuzz().join("regressions")).into_iter().flatten().flatten() {
        let (path, file) = (entry.path(), entry.file_name());
        if file.to_string_lossy().strip_prefix(name).is_some_and(|rest| rest.starts_with('-')) {
            check(&fs::read(&path).expect("a case"), &path.display().to_string());
        }
    }
}

macro_rules! replayed {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn each_target_is_replayed_and_has_a_program() {
            let replayed = [$(stringify!($name)),*];
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(replayed[..], names);
            for name in names {
                assert!(fuzz().join(format!("src/bin/{name}.rs")).is_file(), "fuzz/src/bin/{name}.rs");
            }
        }
    };
}

replayed!(
    accounts,
    answers,
    api,
    archive,
    certificates,
    dns,
    dns_config,
    dockerfile,
    entries,
    expansion,
    framing,
    identified,
    inflated,
    layer,
    lifecycle,
    log_files,
    log_filter,
    manifest,
    messages,
    patterns,
    policy,
    proxy,
    references,
    registry,
    response,
    rules,
    sessions,
    settings,
    signature,
    store,
    tokens,
    wire_cbor,
    wire_form,
    wire_json,
    wire_rest,
);
