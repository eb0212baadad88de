//! The built-in registry, through a stock client.

use crate::kit::{Kit, Network, definition, register, run_task, wait_status};
use anyhow::{Context, ensure};
use base64::Engine as _;
use longshore_tests::api::Api;
use longshore_tests::aws::Aws;
use longshore_tests::sample;
use serde_json::json;
use std::process::Command;

pub fn skopeo_push(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let aws = Aws::new(instance);
        let uri =
            aws.text(&["ecr", "create-repository", "--repository-name", "team/web"], "repository.repositoryUri")?;
        // What `aws ecr get-login-password` prints is the token's second half.
        let token = aws.text(&["ecr", "get-authorization-token"], "authorizationData[0].authorizationToken")?;
        let decoded = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token)?)?;
        let password = decoded.strip_prefix("AWS:").context("the token is AWS:<password>")?;

        // An image to push: what a build made, copied out of the registry as an archive.
        let built = sample::web(instance)?;
        let archive = format!("docker-archive:{}:web:1", instance.dir.join("web.tar").display());
        let policy = instance.dir.join("policy.json");
        std::fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
        let credentials = format!("AWS:{password}");
        let skopeo = |arguments: &[&str]| -> anyhow::Result<()> {
            let output =
                Command::new("skopeo").arg("--policy").arg(&policy).args(arguments).output().context("start skopeo")?;
            ensure!(
                output.status.success(),
                "skopeo {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(())
        };
        let source = format!("docker://{built}");
        skopeo(&["copy", "-q", "--src-tls-verify=false", "--src-creds", &credentials, &source, &archive])?;
        let target = format!("docker://{uri}:1");
        skopeo(&["copy", "-q", "--dest-tls-verify=false", "--dest-creds", &credentials, &archive, &target])?;
        let refused =
            skopeo(&["copy", "-q", "--dest-tls-verify=false", "--dest-creds", "AWS:wrong", &archive, &target]);
        ensure!(refused.is_err(), "a wrong password was taken");

        let tags = aws.call(&[
            "ecr",
            "describe-images",
            "--repository-name",
            "team/web",
            "--query",
            "imageDetails[].imageTags[]",
        ])?;
        ensure!(tags == json!(["1"]), "the tags: {tags}");
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        let definition = register(&mut api, &definition("pushed", &format!("{uri}:1"), &json!({})))?;
        let task = run_task(&mut api, &Network::default(&aws)?, &definition)?;
        let task = wait_status(&mut api, &task, "RUNNING")?;
        ensure!(
            task["containers"][0]["imageDigest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")),
            "{task}"
        );
        Ok(())
    })
}
