//! The image configuration: what a container of the image runs, and the layers it stands on.
//!
//! The JSON is Docker's, of which OCI's is a subset (`Healthcheck`, `Shell` and `OnBuild` are Docker's alone).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::manifest::Platform;

/// The whole configuration document, as stored in the blob that a manifest names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConfigFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: ImageConfig,
    pub rootfs: RootFs,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

impl ConfigFile {
    /// An image of nothing, for this machine.
    pub fn scratch() -> Self {
        let host = Platform::host();
        Self {
            created: None,
            author: None,
            architecture: host.architecture,
            os: host.os,
            variant: None,
            config: ImageConfig::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
        }
    }
}

/// The uncompressed digests of the layers, bottom first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub diff_ids: Vec<Digest>,
}

/// How one layer, or one line of configuration, came to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// What a container of the image runs unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `name`, `uid`, `name:group` or `uid:gid`; empty is root.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports such as `80/tcp`, sorted.
    #[serde(with = "set_of_keys", skip_serializing_if = "Vec::is_empty")]
    pub exposed_ports: Vec<String>,
    /// `NAME=value`, in order.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Mount points the image asks to be volumes, sorted.
    #[serde(with = "set_of_keys", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Absolute; empty is `/`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// A signal's name or number (`SIGQUIT`, `3`); absent is SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What the shell form of RUN, CMD and ENTRYPOINT is given to; empty is `/bin/sh -c`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Instructions for builds on top of this image.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

/// A health check of the image (Dockerfile HEALTHCHECK).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", args…]` or `["CMD-SHELL", command]`; empty inherits.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds between checks; 0 inherits.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Nanoseconds until a check counts as failed; 0 inherits.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Nanoseconds in which failures do not count; 0 inherits.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Nanoseconds between checks during the start period; 0 inherits.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy; 0 inherits.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes an empty list as `null`.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Go has no set: it writes a map to empty objects.
mod set_of_keys {
    use super::*;
    use serde::Serializer;
    use serde::ser::SerializeMap;

    pub fn serialize<S: Serializer>(keys: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(keys.len()))?;
        for key in keys {
            map.serialize_entry(key, &BTreeMap::<String, String>::new())?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        let map = Option::<BTreeMap<String, serde::de::IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_configuration_is_read_and_written_back() {
        let json = r#"{"architecture":"amd64","os":"linux","config":{"User":"app","ExposedPorts":{"80/tcp":{}},
            "Env":["PATH=/bin"],"Entrypoint":["/run"],"Cmd":null,"Volumes":null,"WorkingDir":"/srv","Labels":null,
            "StopSignal":"SIGQUIT","Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":3},
            "OnBuild":null,"Hostname":"ignored"},"rootfs":{"type":"layers","diff_ids":[]},"history":null}"#;
        let file: ConfigFile = serde_json::from_str(json).expect("readable");
        assert_eq!(file.config.exposed_ports, ["80/tcp"]);
        assert_eq!(file.config.cmd, Vec::<String>::new());
        assert_eq!(file.config.healthcheck.as_ref().expect("there").retries, 3);
        let again: ConfigFile = serde_json::from_str(&serde_json::to_string(&file).expect("json")).expect("readable");
        assert_eq!(again.config, file.config);
    }

    #[test]
    fn an_image_may_have_no_configuration_at_all() {
        let json = r#"{"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
        assert_eq!(serde_json::from_str::<ConfigFile>(json).expect("readable").config, ImageConfig::default());
    }
}
