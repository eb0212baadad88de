//! TestMetricFilter: which of some messages a pattern matches, and what it names in them. There are no metric filters yet.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{MetricFilterMatchRecord, TestMetricFilterInput, TestMetricFilterOutput};
use longshore_store::Snapshot;
use longshore_telemetry::logs::pattern::Pattern;

pub fn test_metric_filter(
    _: &Snapshot,
    _: &Cx,
    input: TestMetricFilterInput,
) -> Result<TestMetricFilterOutput, AwsError> {
    let pattern = Pattern::parse(&input.filter_pattern).map_err(|error| error::invalid(error.to_string()))?;
    let messages = (1..).zip(input.log_event_messages);
    let matches =
        messages.filter(|(_, message)| pattern.matches(message)).map(|(number, message)| MetricFilterMatchRecord {
            event_number: Some(number),
            extracted_values: Some(pattern.extract(&message)),
            event_message: Some(message),
        });
    Ok(TestMetricFilterOutput { matches: Some(matches.collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn matches_are_numbered_and_tell_what_the_pattern_names() {
        let fixture = Fixture::new();
        let test = |pattern: &str| {
            let input = TestMetricFilterInput {
                filter_pattern: pattern.to_owned(),
                log_event_messages: vec!["a 1".to_owned(), r#"{"n":2}"#.to_owned()],
            };
            let output = fixture.read(|state, cx| test_metric_filter(state, cx, input))?;
            let record = output.matches.unwrap_or_default().pop().expect("one matches");
            let values: Vec<_> = record.extracted_values.unwrap_or_default().into_iter().collect();
            Ok::<_, AwsError>((record.event_number.unwrap_or(0), values))
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(test("{ $.n = 2 }"), Ok((2, vec![pair("$.n", "2")])));
        assert_eq!(test("[x, y = 1]"), Ok((1, vec![pair("$x", "a"), pair("$y", "1")])));
        assert_eq!(test("a"), Ok((1, vec![])));
        assert!(test("{").is_err());
    }
}
