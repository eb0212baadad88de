//! One port, several protocols; compressed bodies; rates.

use crate::kit::Kit;
use anyhow::ensure;
use longshore_tests::http::{Answer, Connection};
use longshore_tests::wait;
use std::time::Duration;

const TARGET: &str = "AmazonEC2ContainerServiceV20141113";
/// `{"clusterName":"zipped"}`, by gzip.
const ZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\xce\x29\x2d\x2e\x49\x2d\xf2\x4b\xcc\x4d\x55\xb2\x52\xaa\xca\x2c\x28\x48\x4d\x51\xaa\x05\x00\x3a\x24\xea\xb5\x18\x00\x00\x00";

fn json(api: &mut Connection, operation: &str, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<Answer> {
    let target = format!("{TARGET}.{operation}");
    let mut all = vec![("X-Amz-Target", target.as_str()), ("Content-Type", "application/x-amz-json-1.1")];
    all.extend_from_slice(headers);
    api.request("POST", "/", &all, body)
}

fn cbor(api: &mut Connection, operation: &str, body: &[u8]) -> anyhow::Result<Answer> {
    let path = format!("/service/{TARGET}/operation/{operation}");
    api.request("POST", &path, &[("Smithy-Protocol", "rpc-v2-cbor"), ("Content-Type", "application/cbor")], body)
}

fn has(answer: &Answer, bytes: &[u8]) -> bool {
    answer.body.windows(bytes.len()).any(|window| window == bytes)
}

pub fn protocols_of_one_service_show_the_same_clusters(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |instance| {
        let mut api = Connection::open(instance.listen, "localhost")?;
        // {_ "clusterName": "cbor"}
        let made = cbor(&mut api, "CreateCluster", b"\xbf\x6bclusterName\x64cbor\xff")?;
        ensure!(made.status == 200 && has(&made, b"\x66ACTIVE"), "{}: {}", made.status, made.text());
        let zipped = json(&mut api, "CreateCluster", &[("Content-Encoding", "gzip")], ZIPPED)?;
        ensure!(zipped.status == 200, "{}: {}", zipped.status, zipped.text());
        for answer in [json(&mut api, "ListClusters", &[], b"{}")?, cbor(&mut api, "ListClusters", b"")?] {
            ensure!(has(&answer, b":cluster/cbor") && has(&answer, b":cluster/zipped"), "{}", answer.text());
        }
        let mut signed_for = |region: &str| {
            let credential = format!(
                "AWS4-HMAC-SHA256 Credential=any/20261122/{region}/ecs/aws4_request, SignedHeaders=host, Signature=x"
            );
            json(&mut api, "ListClusters", &[("Authorization", &credential)], b"{}")
        };
        let elsewhere = signed_for("eu-west-1")?;
        ensure!(elsewhere.status == 200 && !has(&elsewhere, b":cluster/cbor"), "{}", elsewhere.text());
        // As some SDKs sign for services that have no regions.
        let global = signed_for("aws-global")?;
        ensure!(has(&global, b"arn:aws:ecs:us-east-1:") && has(&global, b":cluster/cbor"), "{}", global.text());
        let nowhere = signed_for("us-east-11")?;
        ensure!(
            nowhere.status == 400 && nowhere.text().contains("valid region, not 'us-east-11'"),
            "{}",
            nowhere.text()
        );
        let wrong = cbor(&mut api, "DeleteCluster", b"\xa1\x67cluster\x64nope")?;
        ensure!(wrong.status == 400 && has(&wrong, b"#ClusterNotFoundException"), "{}", wrong.text());
        let cut = json(&mut api, "CreateCluster", &[("Content-Encoding", "gzip")], &ZIPPED[..20])?;
        ensure!(cut.status == 400 && cut.text().contains("SerializationException"), "{}", cut.text());
        let other = json(&mut api, "CreateCluster", &[("Content-Encoding", "br")], b"{}")?;
        ensure!(other.status == 415 && other.text().contains("br is not supported"), "{}", other.text());
        Ok(())
    })
}

pub fn rates_are_kept_when_asked_for(kit: &Kit) -> anyhow::Result<()> {
    kit.on_with("none", &["--throttle", "aws"], |instance| {
        let mut api = Connection::open(instance.listen, "localhost")?;
        let mut create =
            |name: &str| json(&mut api, "CreateCluster", &[], format!("{{\"clusterName\":\"{name}\"}}").as_bytes());
        let mut refused = None;
        // The bucket holds 20; a slow machine may earn a few more on the way.
        for i in 0..1_000 {
            let answer = create(&format!("c{i}"))?;
            if answer.status != 200 {
                refused = Some(answer);
                break;
            }
        }
        let Some(refused) = refused else { anyhow::bail!("a thousand calls were let pass") };
        let said = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
        ensure!(refused.status == 400 && refused.text() == said, "{}: {}", refused.status, refused.text());
        wait::until("a retry is let pass", Duration::from_secs(10), || match create("retried") {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.text()),
            Err(error) => Err(error.to_string()),
        })
    })
}
