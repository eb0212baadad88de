//! Real clients. `skopeo` and `busybox` must be installed.

use std::path::Path;
use std::process::{Command, Output};

use longshore_registry::Digest;
use serde_json::json;

use crate::images::{CONFIG, INDEX, OCI, descriptor};
use crate::site::{PUSHER, Site};

/// Writes an image of nothing but busybox as an OCI layout.
fn busybox_layout(directory: &Path) {
    let root = directory.join("root/bin");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::copy("/bin/busybox", root.join("busybox")).unwrap();
    let tar = Command::new("tar").args(["-C", directory.join("root").to_str().unwrap(), "-c", "."]).output().unwrap();
    assert!(tar.status.success());
    let layer = tar.stdout;
    let diff_id = Digest::of(&layer).to_string();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/busybox", "true"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let config = serde_json::to_vec(&config).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI, "config": descriptor(CONFIG, &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let blobs = directory.join("layout/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for blob in [&layer, &config, &manifest] {
        std::fs::write(blobs.join(Digest::of(blob).hex()), blob).unwrap();
    }
    std::fs::write(directory.join("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(OCI, &manifest)] });
    std::fs::write(directory.join("layout/index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

async fn run(program: &str, arguments: Vec<String>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_busybox() {
    let site = Site::start().await;
    let scratch = tempfile::tempdir().unwrap();
    busybox_layout(scratch.path());
    let layout = format!("oci:{}", scratch.path().join("layout").display());
    let image = format!("docker://{}/team/app:v1", site.address);
    let credentials = format!("AWS:{PUSHER}");
    for format in ["oci", "v2s2"] {
        let push = [
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--dest-creds",
            &credentials,
            "--format",
            format,
            &layout,
            &image,
        ];
        run("skopeo", push.map(str::to_owned).to_vec()).await;
        let pulled = scratch.path().join(format!("pulled-{format}"));
        let target = format!("dir:{}", pulled.display());
        let pull =
            ["copy", "--insecure-policy", "--src-tls-verify=false", "--src-creds", &credentials, &image, &target];
        run("skopeo", pull.map(str::to_owned).to_vec()).await;
        let manifest = std::fs::read(pulled.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        for descriptor in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let digest = Digest::parse(descriptor["digest"].as_str().unwrap()).unwrap();
            assert_eq!(Digest::of(&std::fs::read(pulled.join(digest.hex())).unwrap()), digest);
        }
    }
    // To another repository: the layer is mounted or found there, and the image is the same.
    let copy = format!("docker://{}/app:copy", site.address);
    let between = [
        "copy",
        "--insecure-policy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--src-creds",
        &credentials,
        "--dest-creds",
        &credentials,
        &image,
        &copy,
    ];
    run("skopeo", between.map(str::to_owned).to_vec()).await;
    let (a, b) =
        (site.get("/v2/team/app/manifests/v1").await.expect(200), site.get("/v2/app/manifests/copy").await.expect(200));
    assert_eq!(a.body, b.body);

    let repository = format!("docker://{}/team/app", site.address);
    let list = ["list-tags", "--tls-verify=false", "--creds", &credentials, &repository];
    let listed = run("skopeo", list.map(str::to_owned).to_vec()).await;
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"v1\""));
    let delete = ["delete", "--tls-verify=false", "--creds", &credentials, &image];
    run("skopeo", delete.map(str::to_owned).to_vec()).await;
    site.get("/v2/team/app/manifests/v1").await.expect(404);
}
