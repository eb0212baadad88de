//! `--throttle aws`: each account's requests in a region take tokens from AWS's documented buckets, and are refused in each
//! service's own words when none is left. For those who want to see how their clients bear it.

mod bucket;
mod rates;

pub use bucket::{Bucket, Rate};

use longshore_aws_model::{AwsError, OperationSchema};
use longshore_types::Scope;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Beyond so many buckets the full ones are forgotten: a region is whatever a client signs for.
const BUCKETS_MAX: usize = 10_000;

/// Whose bucket it is: scope, service and group of operations.
type Key = (Scope, &'static str, &'static str);

/// The buckets of all accounts and regions.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: Mutex<HashMap<Key, (Rate, Bucket)>>,
}

impl Throttle {
    /// Takes the token of one request; `now` are milliseconds of a clock that only goes forward.
    pub fn take(&self, scope: &Scope, operation: &OperationSchema, now: u64) -> Result<(), AwsError> {
        let service = operation.service.name;
        let Some((group, rate)) = rates::of(service, operation.name) else {
            return Ok(());
        };
        // Whoever panicked left the numbers as good as any.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, (rate, bucket)| !bucket.is_full(*rate, now));
        }
        let key = (scope.clone(), service, group);
        let (rate, bucket) = buckets.entry(key).or_insert_with(|| (rate, Bucket::new(rate, now)));
        if bucket.take(*rate, now) { Ok(()) } else { Err(exceeded(service)) }
    }
}

/// What a service says to one request too many.
fn exceeded(service: &str) -> AwsError {
    match service {
        "ec2" => AwsError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
        "sts" => AwsError::new("Throttling", "Rate exceeded").with_status(400),
        _ => AwsError::new("ThrottlingException", "Rate exceeded").with_status(400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_aws_model::{Operation, ec2, ecs, iam};

    #[test]
    fn actions_of_a_group_share_a_bucket_and_accounts_and_regions_do_not() {
        let throttle = Throttle::default();
        let scope = |region: &str| Scope { account: "123456789012".into(), region: region.into() };
        let take = |region, operation, now| throttle.take(&scope(region), operation, now).map_err(|e| e.to_string());
        for _ in 0..10 {
            assert_eq!(take("us-east-1", ecs::CreateCluster::SCHEMA, 0), Ok(()));
            assert_eq!(take("us-east-1", ecs::DeleteCluster::SCHEMA, 0), Ok(()));
        }
        let refused = Err("ThrottlingException: Rate exceeded".to_owned());
        assert_eq!(take("us-east-1", ecs::UpdateCluster::SCHEMA, 999), refused);
        assert_eq!(take("us-east-1", ecs::ListClusters::SCHEMA, 999), Ok(()));
        assert_eq!(take("eu-west-1", ecs::UpdateCluster::SCHEMA, 999), Ok(()));
        assert_eq!(take("us-east-1", ecs::UpdateCluster::SCHEMA, 1_000), Ok(()));
        assert_eq!(take("us-east-1", ecs::UpdateCluster::SCHEMA, 1_000), refused);
    }

    #[test]
    fn ec2_has_its_own_words_and_iam_no_limit() {
        let throttle = Throttle::default();
        let scope = Scope { account: "123456789012".into(), region: "us-east-1".into() };
        let refused = (0..101).filter_map(|_| throttle.take(&scope, ec2::DescribeVpcs::SCHEMA, 0).err());
        let refused: Vec<_> = refused.map(|e| (e.status(None), e.code)).collect();
        assert_eq!(refused, [(503, "RequestLimitExceeded".into())]);
        assert!((0..10_000).all(|_| throttle.take(&scope, iam::GetRole::SCHEMA, 0).is_ok()));
    }
}
