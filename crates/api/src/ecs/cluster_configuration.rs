//! A cluster's configuration: how sessions of ExecuteCommand are logged. It is kept and shown and does nothing else, for there are
//! no sessions yet; it is not refused, because common infrastructure modules always set it. Keys of KMS are refused by name.

use super::error;
use super::unsupported::{IsSet, refuse};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_types::ecs::SessionLogging;

pub fn read(given: wire::ClusterConfiguration) -> Result<Option<SessionLogging>, AwsError> {
    refuse!(given; managed_storage_configuration);
    let Some(sessions) = given.execute_command_configuration.filter(|c| *c != Default::default()) else {
        return Ok(None);
    };
    refuse!(sessions; kms_key_id);
    let logging = sessions.logging.unwrap_or_else(|| "DEFAULT".to_owned());
    if !matches!(logging.as_str(), "NONE" | "DEFAULT" | "OVERRIDE") {
        return Err(error::invalid(format!("Invalid value '{logging}' for logging.")));
    }
    if sessions.log_configuration.is_set() != (logging == "OVERRIDE") {
        return Err(error::invalid("logConfiguration is for logging OVERRIDE, which needs one."));
    }
    let target = sessions.log_configuration.unwrap_or_default();
    refuse!(target; cloud_watch_encryption_enabled, s3_encryption_enabled);
    Ok(Some(SessionLogging {
        logging,
        log_group: target.cloud_watch_log_group_name,
        bucket: target.s3_bucket_name,
        key_prefix: target.s3_key_prefix,
    }))
}

pub fn view(kept: &SessionLogging) -> wire::ClusterConfiguration {
    let target = (kept.logging == "OVERRIDE").then(|| wire::ExecuteCommandLogConfiguration {
        cloud_watch_log_group_name: kept.log_group.clone(),
        s3_bucket_name: kept.bucket.clone(),
        s3_key_prefix: kept.key_prefix.clone(),
        ..Default::default()
    });
    let sessions = wire::ExecuteCommandConfiguration {
        logging: Some(kept.logging.clone()),
        log_configuration: target,
        ..Default::default()
    };
    wire::ClusterConfiguration { execute_command_configuration: Some(sessions), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(change: impl FnOnce(&mut wire::ExecuteCommandConfiguration)) -> wire::ClusterConfiguration {
        let mut sessions = wire::ExecuteCommandConfiguration::default();
        change(&mut sessions);
        wire::ClusterConfiguration { execute_command_configuration: Some(sessions), ..Default::default() }
    }

    fn to_group(name: &str) -> Option<wire::ExecuteCommandLogConfiguration> {
        Some(wire::ExecuteCommandLogConfiguration {
            cloud_watch_log_group_name: Some(name.to_owned()),
            ..Default::default()
        })
    }

    #[test]
    fn what_is_read_is_shown_again() {
        let word = |word: &str| sessions(|s| s.logging = Some(word.to_owned()));
        let group =
            sessions(|s| (s.logging, s.log_configuration) = (Some("OVERRIDE".to_owned()), to_group("/aws/ecs/web")));
        for given in [word("NONE"), word("DEFAULT"), group] {
            assert_eq!(read(given.clone()).expect("it is right").as_ref().map(view), Some(given));
        }
        assert_eq!(read(sessions(|_| {})), Ok(None));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |change: fn(&mut wire::ExecuteCommandConfiguration)| {
            read(sessions(change)).expect_err("it is wrong").message
        };
        assert!(refused(|s| s.kms_key_id = Some("k".to_owned())).contains("kmsKeyId"));
        assert!(refused(|s| s.logging = Some("SOME".to_owned())).contains("SOME"));
        assert!(refused(|s| s.logging = Some("OVERRIDE".to_owned())).contains("logConfiguration"));
        assert!(refused(|s| s.log_configuration = to_group("g")).contains("logConfiguration"));
    }
}
