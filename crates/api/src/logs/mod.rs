//! CloudWatch Logs: groups and streams in the store, events in `telemetry`.

mod absent;
mod create_log_group;
mod create_log_stream;
mod delete_log_group;
mod delete_log_stream;
mod deletion_protection;
mod describe_log_groups;
mod describe_log_streams;
mod error;
mod filter_log_events;
mod get_log_events;
mod ingest;
mod leftovers;
mod list_log_groups;
mod names;
pub mod permissions;
mod prune;
mod put_log_events;
mod retention;
pub(crate) mod tags;
mod test_metric_filter;
#[cfg(test)]
pub(crate) mod testing;

pub use ingest::{forget, ingest};
pub use leftovers::sweep;
pub use prune::prune;

use crate::Routes;
use longshore_aws_model::logs::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .call::<CreateLogGroup, _>(create_log_group::create_log_group)
        .call::<DeleteLogGroup, _>(delete_log_group::delete_log_group)
        .call::<DescribeLogGroups, _>(describe_log_groups::describe_log_groups)
        .read::<ListLogGroups>(list_log_groups::list_log_groups)
        .write::<PutLogGroupDeletionProtection>(deletion_protection::put_log_group_deletion_protection)
        .write::<PutRetentionPolicy>(retention::put_retention_policy)
        .write::<DeleteRetentionPolicy>(retention::delete_retention_policy)
        .call::<CreateLogStream, _>(create_log_stream::create_log_stream)
        .call::<DeleteLogStream, _>(delete_log_stream::delete_log_stream)
        .call::<DescribeLogStreams, _>(describe_log_streams::describe_log_streams)
        .call::<PutLogEvents, _>(put_log_events::put_log_events)
        .call::<GetLogEvents, _>(get_log_events::get_log_events)
        .call::<FilterLogEvents, _>(filter_log_events::filter_log_events)
        .write::<TagResource>(tags::tag_resource)
        .write::<UntagResource>(tags::untag_resource)
        .read::<ListTagsForResource>(tags::list_tags_for_resource)
        .write::<TagLogGroup>(tags::tag_log_group)
        .write::<UntagLogGroup>(tags::untag_log_group)
        .read::<ListTagsLogGroup>(tags::list_tags_log_group)
        .read::<DescribeMetricFilters>(absent::describe_metric_filters)
        .read::<DescribeSubscriptionFilters>(absent::describe_subscription_filters)
        .read::<TestMetricFilter>(test_metric_filter::test_metric_filter)
}
