//! GetRandomPassword: from the kernel's randomness, not the request's seed.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{GetRandomPasswordInput, GetRandomPasswordOutput};
use longshore_store::Snapshot;

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub fn get_random_password(
    _: &Snapshot,
    _: &Cx,
    input: GetRandomPasswordInput,
) -> Result<GetRandomPasswordOutput, AwsError> {
    let length = usize::try_from(input.password_length.unwrap_or(32)).unwrap_or(0);
    let excluded = input.exclude_characters.unwrap_or_default();
    let kinds: Vec<Vec<char>> = [
        (LOWER, input.exclude_lowercase != Some(true)),
        (UPPER, input.exclude_uppercase != Some(true)),
        (DIGITS, input.exclude_numbers != Some(true)),
        (PUNCTUATION, input.exclude_punctuation != Some(true)),
        (" ", input.include_space == Some(true)),
    ]
    .into_iter()
    .filter(|(_, wanted)| *wanted)
    .map(|(letters, _)| letters.chars().filter(|c| !excluded.contains(*c)).collect::<Vec<char>>())
    .filter(|letters| !letters.is_empty())
    .collect();
    let all = kinds.concat();
    if all.is_empty() {
        return Err(error::invalid_parameter("The password would have no characters: all of them are excluded."));
    }
    let each = input.require_each_included_type != Some(false);
    if each && length < kinds.len() {
        return Err(error::invalid_parameter("The password length is too short based on the required types."));
    }
    let mut password: Vec<char> = Vec::with_capacity(length);
    if each {
        password.extend(kinds.iter().map(|letters| letters[below(letters.len())]));
    }
    while password.len() < length {
        password.push(all[below(all.len())]);
    }
    // The required ones must not stand at the beginning.
    for last in (1..password.len()).rev() {
        password.swap(last, below(last + 1));
    }
    Ok(GetRandomPasswordOutput { random_password: Some(password.into_iter().collect()) })
}

/// A number below `bound`, each as likely as the others.
fn below(bound: usize) -> usize {
    let bound = bound as u32;
    // Numbers of the last, incomplete round are drawn again.
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let number = getrandom::u32().expect("the kernel has randomness on every machine that runs containers");
        if number < limit {
            return (number % bound) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::testing::refusal;
    use crate::testing::Fixture;

    fn password(input: GetRandomPasswordInput) -> Result<String, AwsError> {
        let output = Fixture::new().read(|state, cx| get_random_password(state, cx, input))?;
        Ok(output.random_password.expect("it is made"))
    }

    #[test]
    fn each_included_kind_is_there_and_no_excluded_one() {
        for _ in 0..50 {
            let text =
                password(GetRandomPasswordInput { password_length: Some(4), ..Default::default() }).expect("made");
            for kind in [UPPER, LOWER, DIGITS, PUNCTUATION] {
                assert!(text.chars().any(|c| kind.contains(c)), "{text}");
            }
        }
        let plain = GetRandomPasswordInput {
            exclude_punctuation: Some(true),
            exclude_characters: Some("abc".to_owned()),
            password_length: Some(4096),
            ..Default::default()
        };
        let text = password(plain).expect("made");
        assert_eq!(text.chars().count(), 4096);
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() && !"abc".contains(c)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let short = GetRandomPasswordInput { password_length: Some(3), ..Default::default() };
        assert!(refusal(password(short)).contains("too short"));
        let none = GetRandomPasswordInput {
            exclude_lowercase: Some(true),
            exclude_uppercase: Some(true),
            exclude_numbers: Some(true),
            exclude_punctuation: Some(true),
            ..Default::default()
        };
        assert!(refusal(password(none)).contains("no characters"));
    }
}
