//! AWS operations: one file each, `src/<service>/<operation>.rs`.
//!
//! A handler is a synchronous function of a transaction or a snapshot: it checks, decides through `planner`, writes
//! intent, and answers. It starts nothing: a committed transaction wakes whoever watches the tables it changed.
//! `view.rs` of each service is the only bridge from stored types to sent ones.

pub mod cx;
pub mod identity;
pub mod page;
pub mod routes;
pub mod settings;
pub mod throttle;
mod tokens;
pub mod vault;

pub mod acm;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod elbv2;
pub mod iam;
pub mod logs;
pub mod secretsmanager;
pub mod ssm;
pub mod sts;
pub mod tagging;

#[cfg(test)]
mod testing;

/// What the fuzz targets reach and nobody else needs.
#[doc(hidden)]
pub mod fuzzing {
    /// See `acm::certificate::read`.
    pub fn certificate(
        body: &[u8],
        chain: Option<&[u8]>,
        key: &[u8],
    ) -> Result<impl std::fmt::Debug, longshore_aws_model::AwsError> {
        crate::acm::certificate::read(body, chain, key, longshore_types::Timestamp(1_700_000_000_000))
    }

    /// The variables of an environment file.
    pub fn environment_file(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
        crate::ecs::environment_files::parse(bytes)
    }

    /// The expression of lines that begin an event, by the options of `awslogs`.
    pub fn log_options(
        options: std::collections::HashMap<String, String>,
    ) -> Result<Option<String>, longshore_aws_model::AwsError> {
        let given = longshore_aws_model::ecs::LogConfiguration {
            log_driver: Some("awslogs".to_owned()),
            options: Some(options.into_iter().collect()),
            ..Default::default()
        };
        crate::ecs::log_options::parse("app", given).map(|log| log.multiline)
    }
}

pub use cx::{Caller, Cx, Principal};
pub use routes::{Backend, Manifests, NoManifests, Routes};
pub use settings::Settings;
pub use throttle::Throttle;

/// Every operation that is served.
pub fn routes() -> Routes {
    [
        ecs::routes,
        ec2::routes,
        elbv2::routes,
        ecr::routes,
        logs::routes,
        iam::routes,
        sts::routes,
        ssm::routes,
        acm::routes,
        secretsmanager::routes,
        tagging::routes,
    ]
    .into_iter()
    .fold(Routes::default(), |routes, add| add(routes))
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
