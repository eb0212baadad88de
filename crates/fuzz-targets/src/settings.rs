//! Small languages: environment files, options of the log driver, lifecycle policies, credentials.

use longshore_planner::lifecycle::{Candidate, Policy};
use longshore_types::Timestamp;

use crate::input::{FIELD, Input};

/// A kind by number, and its text: an environment file, a pattern or a format for lines that begin an event, or the
/// authorization of a client of the registry.
///
/// Holds: a variable stands in its file as it is; what the control plane takes for a pattern a node compiles; credentials
/// written again are the same.
pub fn settings(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => environment(input.rest()),
        1 => pattern("awslogs-datetime-format", &input.rest_text()),
        2 => pattern("awslogs-multiline-pattern", &input.rest_text()),
        _ => {
            let text = input.rest_text();
            if let Some((user, password)) = longshore_registry::basic_credentials(&text) {
                assert!(!user.contains(':') && user.len() + password.len() < text.len());
            }
        }
    }
}

fn environment(file: &[u8]) {
    let Ok(variables) = longshore_api::fuzzing::environment_file(file) else { return };
    for (name, value) in variables {
        assert!(!name.is_empty() && !name.contains(['=', ' ', '\t', '\n', '\0']), "{name:?}");
        assert!(!value.contains(['\n', '\0']), "{value:?}");
        let line = format!("{name}={value}").into_bytes();
        assert!(file.windows(line.len()).any(|window| window == line), "{name}={value}");
    }
}

fn pattern(option: &str, text: &str) {
    let usual =
        [("awslogs-group", "g"), ("awslogs-region", "us-east-1"), ("awslogs-stream-prefix", "p"), (option, text)];
    let options = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match longshore_api::fuzzing::log_options(options.into()) {
        // As the node's `Joiner` does.
        Ok(Some(pattern)) => assert!(regex::Regex::new(&pattern).is_ok(), "{pattern}"),
        Ok(None) => assert!(text.is_empty()),
        Err(error) => assert!(!error.message.is_empty()),
    }
}

/// A lifecycle policy, and images: days since the push and the pull, tags, whether it is part of another.
///
/// Holds: parts never expire; an image expires once; neither the order of images nor a second look changes anything.
pub fn lifecycle(data: &[u8]) {
    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const TAGS: [&str; 8] = ["prod", "prod-1", "v1", "v2.0", "latest", "beta", "a-b", "x"];
    let mut input = Input::new(data);
    let text = input.text(FIELD);
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(why) => return assert!(!why.is_empty()),
    };
    let digests: Vec<String> = (0..32).map(|n| format!("sha256:{n:02}")).collect();
    let mut images = Vec::new();
    for digest in &digests {
        if input.is_empty() {
            break;
        }
        let ago = |days: u16| Timestamp(NOW.0 - i64::from(days) * 43_200_000);
        let (pushed_at, pulled) = (ago(input.number()), input.byte());
        let (tags, kind) = (input.byte(), input.byte());
        let tags = (0..8).filter(|bit| tags >> bit & 1 == 1).map(|bit| TAGS[bit]).collect();
        let pulled_at = (pulled > 0).then(|| ago(pulled.into()));
        images.push(Candidate { digest, tags, pushed_at, pulled_at, is_part: kind & 7 == 7 });
    }
    let expired = policy.evaluate(&images, NOW);
    for (n, image) in expired.iter().enumerate() {
        assert!(images.iter().any(|known| known.digest == image.digest && !known.is_part), "a part expires");
        assert!(expired[..n].iter().all(|other| other.digest != image.digest), "{} expires twice", image.digest);
    }
    let mut reversed = images.clone();
    reversed.reverse();
    assert_eq!(policy.evaluate(&reversed, NOW), expired, "the order counts");
    images.retain(|image| expired.iter().all(|gone| gone.digest != image.digest));
    assert_eq!(policy.evaluate(&images, NOW), [], "of what was left, more expires");
}
