//! Builds from Dockerfiles, with commands run for real: busybox in a chroot on an overlay.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use longshore_image::build::{
    BuildError, BuildEvent, BuildOptions, MountSource, OutputStream, RunFuture, RunMount, RunRequest, RunStep,
};
use longshore_image::{Image, ImageStore, PullOptions, PushOptions};

use crate::registry::Registry;
use crate::support::{Layer, TestImage, gzip, names, store, with_overlay};

/// Runs commands as root in a chroot.
#[derive(Default)]
struct Chroot {
    runs: AtomicUsize,
    /// Of these, without a network.
    offline: AtomicUsize,
}

impl RunStep for Chroot {
    fn run<'a>(&'a self, request: RunRequest<'a>) -> RunFuture<'a> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.offline.fetch_add(usize::from(request.is_offline), Ordering::Relaxed);
        Box::pin(async move {
            let output = with_overlay(request.lower, request.upper, request.work, |root| {
                let (root, cwd) = (root.to_owned(), request.cwd.to_owned());
                request.mounts.iter().for_each(|mount| show(&root, mount));
                let mounted = root.clone();
                let mut command = Command::new(&request.argv[0]);
                command.args(&request.argv[1..]).env_clear().stdin(Stdio::null());
                command.envs(request.env.iter().map(|pair| pair.split_once('=').expect("NAME=value")));
                // SAFETY: only system calls between fork and exec.
                unsafe {
                    command.pre_exec(move || {
                        rustix::process::chroot(&root)?;
                        rustix::process::chdir(&cwd)?;
                        Ok(())
                    });
                }
                // The command's root is another one than ours.
                let inside = root_path(request.mounts);
                let output = command.output();
                for target in inside.iter().rev() {
                    let at = mounted.join(target);
                    rustix::mount::unmount(at, rustix::mount::UnmountFlags::DETACH).expect("unmounted");
                }
                output
            })?;
            (request.output)(OutputStream::Stdout, &output.stdout);
            (request.output)(OutputStream::Stderr, &output.stderr);
            Ok(output.status.code().unwrap_or(255))
        })
    }
}

fn root_path(mounts: &[RunMount]) -> Vec<&str> {
    mounts.iter().map(|mount| mount.target.trim_start_matches('/')).collect()
}

/// Mounts as a runtime does. Targets of these tests lead through no link.
fn show(root: &Path, mount: &RunMount) {
    use rustix::mount::{MountFlags, mount as new_mount, mount_bind, mount_remount};
    let target = root.join(mount.target.trim_start_matches('/'));
    fs::create_dir_all(target.parent().expect("a parent")).expect("dirs");
    match &mount.source {
        MountSource::Path(source) => {
            if source.is_dir() {
                fs::create_dir_all(&target).expect("dir");
            } else {
                fs::File::options().create(true).append(true).open(&target).expect("file");
            }
            mount_bind(source, &target).expect("mounted");
            if mount.readonly {
                mount_remount(&target, MountFlags::BIND | MountFlags::RDONLY, c"").expect("read-only");
            }
        }
        MountSource::Tmpfs { .. } => {
            fs::create_dir_all(&target).expect("dir");
            new_mount("tmpfs", &target, "tmpfs", MountFlags::empty(), None).expect("mounted");
        }
    }
}

/// A context, a store, and what a build said.
struct Bench {
    tmp: tempfile::TempDir,
    store: ImageStore,
    runner: Chroot,
    said: Arc<Mutex<Vec<String>>>,
    options: BuildOptions,
}

impl Bench {
    fn new() -> Self {
        let tmp = tempfile::tempdir().expect("tmp");
        fs::create_dir(tmp.path().join("context")).expect("dir");
        let store = store(&tmp.path().join("images"));
        let said = Arc::new(Mutex::new(Vec::new()));
        let tell = said.clone();
        let options = BuildOptions {
            events: Some(Arc::new(move |event| {
                tell.lock().expect("said").push(match event {
                    BuildEvent::Step { number, total, text, cached, .. } => {
                        format!("{number}/{total} {text}{}", if cached { " (cached)" } else { "" })
                    }
                    BuildEvent::Output { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
                    BuildEvent::Warning(text) => format!("warning: {text}"),
                });
            })),
            ..BuildOptions::default()
        };
        Self { tmp, store, runner: Chroot::default(), said, options }
    }

    fn context(&self) -> PathBuf {
        self.tmp.path().join("context")
    }

    fn file(&self, name: &str, content: &str) -> &Self {
        let path = self.context().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("dirs");
        fs::write(path, content).expect("file");
        self
    }

    fn busybox(&self) -> &Self {
        fs::copy("/bin/busybox", self.context().join("busybox")).expect("busybox-static is installed");
        self
    }

    async fn build(&self, dockerfile: &str) -> Result<Arc<Image>, BuildError> {
        self.file("Dockerfile", dockerfile);
        self.store.build(&self.context(), &self.options, &self.runner).await
    }

    async fn built(&self, dockerfile: &str) -> Arc<Image> {
        self.build(dockerfile).await.unwrap_or_else(|e| panic!("{e}\n{}", self.said()))
    }

    async fn error(&self, dockerfile: &str) -> String {
        self.build(dockerfile).await.expect_err("must fail").to_string()
    }

    fn said(&self) -> String {
        self.said.lock().expect("said").join("\n")
    }

    fn look<T: Send>(&self, image: &Image, inside: impl FnOnce(&Path) -> T + Send) -> T {
        let writable = self.store.create_writable("look", image).expect("made");
        let result = with_overlay(&image.lower_dirs(), &writable.upper, &writable.work, inside);
        self.store.remove_writable("look").expect("removed");
        result
    }
}

const BUSYBOX: &str =
    "FROM scratch AS base\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_dockerfile_is_built() {
    let mut bench = Bench::new();
    bench.options.tags = vec!["demo/app:1".parse().expect("valid")];
    bench.options.args.insert("VERSION".into(), "2".into());
    bench.busybox().file("src/main.txt", "main").file("src/sub/other.txt", "other").file("extra.txt", "extra");
    let image = bench
        .built(&format!(
            r#"# syntax=docker/dockerfile:1
ARG BASE=base
{BUSYBOX}
FROM $BASE AS final
ARG VERSION=1
ARG UNSET
ENV NAME=app HOME=/home/$NAME \
    GREETING="hello world"
LABEL version=$VERSION "quoted key"='v'
WORKDIR /srv/$NAME
COPY src ./
COPY --chmod=750 --chown=5:6 extra.txt renamed.txt
RUN echo "$GREETING $VERSION in $(pwd)" > out.txt && rm sub/other.txt && ln -s out.txt link
RUN <<EOF
set -e
echo from a document > doc.txt
EOF
EXPOSE 80 53/udp
USER 1000:1000
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --retries=2 CMD wget -q localhost
ENTRYPOINT ["/bin/busybox"]
CMD ["httpd", "-f"]
"#
        ))
        .await;
    let config = &image.config;
    assert_eq!(
        config.env,
        [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NAME=app",
            "HOME=/home/",
            "GREETING=hello world"
        ],
        "a variable of the same ENV is not seen"
    );
    assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/srv/app", "1000:1000"));
    assert_eq!(config.exposed_ports, ["53/udp", "80/tcp"]);
    assert_eq!(config.labels["version"], "2");
    assert_eq!(config.labels["quoted key"], "v");
    assert_eq!(config.entrypoint, ["/bin/busybox"]);
    assert_eq!(config.cmd, ["httpd", "-f"]);
    assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
    assert_eq!(config.healthcheck.as_ref().expect("there").interval, 5_000_000_000);
    assert_eq!(image.created.as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(bench.store.resolve("demo/app:1").expect("tagged").id, image.id);
    bench.look(&image, |root| {
        let srv = root.join("srv/app");
        assert_eq!(names(&srv), ["doc.txt", "link", "main.txt", "out.txt", "renamed.txt", "sub"]);
        assert_eq!(names(&srv.join("sub")), [""; 0]);
        assert_eq!(fs::read_to_string(srv.join("out.txt")).expect("file"), "hello world 2 in /srv/app\n");
        assert_eq!(fs::read_to_string(srv.join("doc.txt")).expect("file"), "from a document\n");
        let meta = fs::metadata(srv.join("renamed.txt")).expect("file");
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o750, 5, 6));
    });
    assert!(bench.said().contains("RUN echo"), "{}", bench.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_cached_by_content_and_not_by_time() {
    let mut bench = Bench::new();
    // The time of what commands write is in their layers otherwise.
    bench.options.source_date_epoch = Some(1_000_000_000);
    bench.busybox().file("a.txt", "1");
    let dockerfile = format!("{BUSYBOX}COPY a.txt /a\nRUN cp /a /b\nCMD x");
    let first = bench.built(&dockerfile).await;
    assert_eq!(bench.runner.runs.load(Ordering::Relaxed), 2);
    // The same content with another time.
    bench.file("a.txt", "1");
    assert_eq!(bench.built(&dockerfile).await.id, first.id);
    assert_eq!(bench.runner.runs.load(Ordering::Relaxed), 2, "{}", bench.said());
    assert!(bench.said().contains("5/6 RUN cp /a /b (cached)"), "{}", bench.said());
    bench.file("a.txt", "2");
    let second = bench.built(&dockerfile).await;
    assert_eq!(bench.runner.runs.load(Ordering::Relaxed), 3);
    assert_eq!(first.chain[..2], second.chain[..2]);
    assert_ne!(first.chain[2], second.chain[2]);
    // A cache whose layers are gone is no cache.
    bench.store.gc(&[]).expect("collected");
    assert_eq!(bench.built(&dockerfile).await.id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_give_the_same_digest_on_another_machine_and_so_do_other_checkouts_with_a_date() {
    let dockerfile = "FROM scratch\nCOPY . /app\nWORKDIR /new\nCMD [\"/app/x\"]";
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut bench = Bench::new();
        bench.file("x", "1").file("d/y", "2").file("d/z", "3");
        symlink("y", bench.context().join("d/link")).expect("link");
        let here = bench.built(dockerfile).await.id;
        // Another machine that sees these very files.
        bench.store = store(&bench.tmp.path().join("other"));
        assert_eq!(bench.store.build(&bench.context(), &bench.options, &bench.runner).await.expect("built").id, here);
        bench.options.source_date_epoch = Some(1_000_000_000);
        ids.push(bench.built(dockerfile).await.id);
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_copy_from_each_other_and_unneeded_ones_are_not_built() {
    let mut bench = Bench::new();
    bench.busybox();
    let dockerfile = format!(
        "{BUSYBOX}FROM base AS unneeded\nRUN false\n\
         FROM base AS maker\nRUN mkdir -p /out/deep && echo made > /out/deep/file && chown 7:8 /out/deep/file && ln -s deep /out/link\n\
         FROM scratch\nCOPY --from=maker /out /result\nCOPY --from=2 /out/link/file /by-link\nCOPY --from=base bin/busybox /b\n"
    );
    let image = bench.built(&dockerfile).await;
    bench.look(&image, |root| {
        assert_eq!(names(root), ["b", "by-link", "result"]);
        assert_eq!(fs::read_to_string(root.join("by-link")).expect("file"), "made\n");
        assert_eq!(fs::read_link(root.join("result/link")).expect("link"), Path::new("deep"));
        let meta = fs::metadata(root.join("result/deep/file")).expect("file");
        assert_eq!((meta.uid(), meta.gid()), (7, 8), "files of another image keep their owner");
    });
    bench.options.target = Some("maker".into());
    assert_eq!(bench.built(&dockerfile).await.layers.len(), 3);
    bench.options.target = Some("none".into());
    assert_eq!(bench.error(&dockerfile).await, "there is no build stage `none`");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_delete_and_replace_is_gone_in_the_image_and_in_every_registry() {
    let (registry, bench) = (Registry::start().await, Bench::new());
    bench.busybox().file("tree/old/a", "a").file("tree/b", "b").file("tree/c", "c");
    let image = bench
        .built(&format!("{BUSYBOX}COPY tree /tree\nRUN rm /tree/b && rm -r /tree/old && mkdir /tree/old && echo n > /tree/old/new\nRUN true\n"))
        .await;
    assert_eq!(image.layers.len(), 4, "a command that changes nothing makes no layer");
    let check = |root: &Path| {
        assert_eq!(names(&root.join("tree")), ["c", "old"]);
        assert_eq!(names(&root.join("tree/old")), ["new"]);
    };
    bench.look(&image, check);
    let push = PushOptions { endpoint: Some(registry.endpoint()), ..PushOptions::default() };
    bench.store.push(image.id, "registry.example/built:1", push).await.expect("pushed");
    // Another implementation reads it too, and checks every digest.
    let (from, to) = (format!("docker://{}/built:1", registry.address), bench.tmp.path().join("saved.tar"));
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", &from]);
    let output = skopeo.arg(format!("docker-archive:{}:built:1", to.display())).output().expect("skopeo is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other = store(&bench.tmp.path().join("other"));
    let options = PullOptions { endpoint: Some(registry.endpoint()), ..PullOptions::default() };
    let pulled = other.pull("registry.example/built:1", options).await.expect("pulled");
    assert_eq!(pulled.id, image.id);
    let writable = other.create_writable("look", &pulled).expect("made");
    with_overlay(&pulled.lower_dirs(), &writable.upper, &writable.work, check);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_is_pulled_when_it_is_not_here() {
    let (registry, mut bench) = (Registry::start().await, Bench::new());
    let base = Layer::new()
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\n")
        .file("etc/group", "data:x:55:\n")
        .owned(tar::EntryType::Directory, "tmp", "", 0o1777, (0, 0), b"")
        .dir("usr")
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .archive();
    registry.add("base", "1", &TestImage::new(&[base], gzip));
    let dockerfile = "FROM registry.example/base:1\nCOPY --chown=web:data f /tmp/f\nCOPY --chown=web f /lib/g\nCOPY f /lib\nCOPY f /tmp\n";
    bench.file("f", "f");
    let error = bench.error(dockerfile).await;
    assert_eq!(error, "Dockerfile:1: image `registry.example/base:1` is not on this machine");
    let endpoint = registry.endpoint();
    bench.options.pull =
        Some(Arc::new(move |_| PullOptions { endpoint: Some(endpoint.clone()), ..PullOptions::default() }));
    let image = bench.built(dockerfile).await;
    assert_eq!(image.config.cmd, ["/bin/sh"], "inherited");
    bench.look(&image, |root| {
        let owner = |path: &str| fs::metadata(root.join(path)).map(|m| (m.uid(), m.gid())).expect(path);
        // The last COPY replaced /tmp/f.
        assert_eq!(owner("tmp/f"), (0, 0));
        assert_eq!(owner("usr/lib/g"), (33, 44));
        assert_eq!(names(&root.join("usr/lib")), ["f", "g"], "a link to a directory is a directory");
        assert!(fs::symlink_metadata(root.join("lib")).expect("there").is_symlink());
        assert_eq!(fs::metadata(root.join("tmp")).expect("there").permissions().mode() & 0o7777, 0o1777);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_follow_the_rules_for_files_directories_and_patterns() {
    let bench = Bench::new();
    bench
        .file("a.txt", "a")
        .file("b.txt", "b")
        .file("c.md", "c")
        .file("dir/x", "x")
        .file("dir/sub/y", "y")
        .file("skip/z", "z");
    bench.file(".dockerignore", "skip\n**/sub\n!dir/sub/keep\nDockerfile\n").file("dir/sub/keep", "k");
    let image = bench
        .built(
            "FROM scratch\nWORKDIR /w\nCOPY a.txt renamed\nCOPY a.txt into/\nCOPY *.txt many/\nCOPY dir tree\nCOPY dir/x tree\n\
             COPY [\"c.md\", \"/with space/c\"]\nCOPY . /all\nCOPY <<ONE <<'TWO' /docs/\n$HOME one\nONE\n$HOME two\nTWO\n",
        )
        .await;
    bench.look(&image, |root| {
        assert_eq!(names(&root.join("w")), ["into", "many", "renamed", "tree"]);
        assert_eq!(names(&root.join("w/into")), ["a.txt"]);
        assert_eq!(names(&root.join("w/many")), ["a.txt", "b.txt"]);
        assert_eq!(names(&root.join("w/tree")), ["sub", "x"]);
        assert_eq!(names(&root.join("w/tree/sub")), ["keep"], "only the exception");
        assert_eq!(names(&root.join("with space")), ["c"]);
        assert_eq!(names(&root.join("all")), [".dockerignore", "a.txt", "b.txt", "c.md", "dir"]);
        assert_eq!(fs::read_to_string(root.join("docs/ONE")).expect("file"), " one\n");
        assert_eq!(fs::read_to_string(root.join("docs/TWO")).expect("file"), "$HOME two\n");
    });
    assert!(
        bench
            .error("FROM scratch\n\nCOPY skip/z /")
            .await
            .starts_with("Dockerfile:3: `skip/z` is not in the build context")
    );
    assert!(bench.error("FROM scratch\nCOPY nope /").await.contains("`nope` is not in the build context"));
    assert!(bench.error("FROM scratch\nCOPY a.txt b.txt /x").await.contains("must be a directory"));
    assert!(bench.error("FROM scratch\nCOPY a.txt /x\nCOPY dir /x").await.contains("it is no directory"));
    assert!(
        bench
            .error("FROM scratch\nCOPY dir /x\nCOPY a.txt /a.txt/\nCOPY dir /y\nCOPY c.md /y/x/z")
            .await
            .contains("no directory")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_cannot_reach_outside_of_itself() {
    let bench = Bench::new();
    fs::write(bench.tmp.path().join("secret"), "secret").expect("file");
    symlink("../secret", bench.context().join("up")).expect("link");
    symlink(bench.tmp.path().join("secret"), bench.context().join("absolute")).expect("link");
    bench.file("d/plain", "x");
    symlink("/etc", bench.context().join("d/etc")).expect("link");
    for source in ["../secret", "up", "absolute", "d/etc/passwd"] {
        assert!(
            bench.error(&format!("FROM scratch\nCOPY {source} /x")).await.contains("is not in the build context"),
            "{source}"
        );
    }
    // Within a tree a link is copied as a link.
    let image = bench.built("FROM scratch\nCOPY d /d").await;
    bench.look(&image, |root| assert_eq!(fs::read_link(root.join("d/etc")).expect("link"), Path::new("/etc")));
    // A link of the image is followed within the image only.
    let image = bench.built("FROM scratch\nCOPY d /d\nCOPY d/plain /d/etc/passwd-x").await;
    bench.look(&image, |root| assert_eq!(names(&root.join("etc")), ["passwd-x"]));
    assert!(!Path::new("/etc/passwd-x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn add_extracts_local_archives() {
    let bench = Bench::new();
    fs::write(bench.context().join("a.tar.gz"), gzip(&Layer::new().file("in/file", "x").archive())).expect("file");
    bench.file("plain", "not an archive");
    let image = bench.built("FROM scratch\nADD a.tar.gz /to\nADD plain /to/\nCOPY a.tar.gz /copied/").await;
    bench.look(&image, |root| {
        assert_eq!(names(&root.join("to")), ["in", "plain"]);
        assert_eq!(names(&root.join("copied")), ["a.tar.gz"]);
        assert_eq!(fs::read_to_string(root.join("to/in/file")).expect("file"), "x");
    });
    let evil = Layer::new().file("../../escape", "x").archive();
    fs::write(bench.context().join("evil.tar"), evil).expect("file");
    assert!(bench.error("FROM scratch\nADD evil.tar /").await.contains("climbs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_name_their_line_and_leave_no_image() {
    let mut bench = Bench::new();
    bench.options.tags = vec!["demo/broken".parse().expect("valid")];
    bench.options.args.insert("TYPO".into(), "1".into());
    bench.busybox();
    let error = bench.error(&format!("{BUSYBOX}\nRUN echo to the log; exit 3\n")).await;
    assert_eq!(error, "Dockerfile:5: command failed with exit code 3: /bin/sh -c echo to the log; exit 3");
    assert!(bench.said().contains("to the log\n"));
    assert!(bench.store.resolve("demo/broken").is_none());
    bench.file(".wh.passwd", "");
    assert!(bench.error("FROM scratch\nCOPY .wh.passwd /etc/").await.contains("/etc/.wh.passwd cannot be in a layer"));
    assert_eq!(bench.error("FROM scratch\nENV A=\"${B:?must be set}\"").await, "Dockerfile:2: B: must be set");
    assert!(bench.error("FROM --platform=linux/s390x scratch").await.contains("platform linux/s390x is not supported"));
    bench.built("FROM scratch\nENV a=b").await;
    assert!(bench.said().contains("warning: build argument `TYPO` is not used"), "{}", bench.said());
    bench.store.flush().await;
    let session = &names(&bench.tmp.path().join("images/tmp"))[0];
    assert_eq!(names(&bench.tmp.path().join("images/tmp").join(session)), ["lock"], "nothing is left behind");
}

#[test]
fn builds_can_be_spawned() {
    fn sendable<T: Send>(_: &T) {}
    let bench = Bench::new();
    let (context, runner) = (bench.context(), Chroot::default());
    sendable(&bench.store.build(&context, &bench.options, &runner));
    sendable(&bench.store.pull("a", PullOptions::default()));
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_there_for_the_command_and_leave_nothing_behind() {
    let mut bench = Bench::new();
    bench.busybox().file("in/a", "from the context").file("in/hidden", "x").file(".dockerignore", "in/hidden\n");
    bench.options.secrets.insert("token".to_owned(), b"s3cret".to_vec());
    let dockerfile = format!(
        "{BUSYBOX}FROM base AS maker\nRUN mkdir -p /root /out && echo made > /out/made\n\
         FROM base\nRUN mkdir /root\n\
         RUN --mount=type=cache,target=/root/.cache/x --mount=type=tmpfs,target=/scratch \
             --mount=target=/src,source=in --mount=from=maker,source=/out/made,target=/one \
             --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=none \
             cat /run/secrets/token /src/a /one && test ! -e /src/hidden && test $TOKEN = s3cret && echo x > /scratch/x && \
             ! touch /src/b && echo more >> /root/.cache/x/log && cat /root/.cache/x/log && test ! -e /run/secrets/none\n"
    );
    let image = bench.built(&dockerfile).await;
    let said = bench.said();
    assert!(said.contains("s3cretfrom the contextmade\nmore\n"), "{said}");
    assert_eq!(names(&image.layers[0]), ["root"], "the last layer is still that of mkdir");
    assert_eq!(names(&image.layers[0].join("root")), [""; 0]);
    // Neither the secret nor the cache's content is part of what a step depends on; the context's is.
    bench.options.secrets.insert("token".to_owned(), b"other".to_vec());
    assert_eq!(bench.built(&dockerfile).await.id, image.id);
    assert!(bench.said().matches("(cached)").count() >= 4, "{}", bench.said());
    bench.file("in/a", "changed");
    bench.options.secrets.insert("token".to_owned(), b"s3cret".to_vec());
    bench.built(&dockerfile).await;
    assert!(bench.said().contains("s3cretchangedmade\nmore\nmore\n"), "the cache was kept: {}", bench.said());
    bench.options.secrets.clear();
    let required =
        "FROM scratch\nCOPY busybox /\nRUN --mount=type=secret,id=key,required=true [\"/busybox\", \"true\"]";
    assert_eq!(
        bench.error(required).await,
        "Dockerfile:3: secret `key` is required and was not given: use --secret id=key,src=FILE"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_begins_with_what_it_is_from_and_is_kept() {
    let bench = Bench::new();
    bench.busybox();
    let dockerfile = |word: &str| {
        format!(
            "{BUSYBOX}FROM base AS maker\nRUN mkdir /out && echo made > /out/log\nFROM base\n\
             RUN --mount=type=cache,from=maker,source=/out,target=/cache echo {word} >> /cache/log && cat /cache/log\n"
        )
    };
    bench.built(&dockerfile("one")).await;
    assert!(bench.said().contains("made\none\n"), "{}", bench.said());
    bench.built(&dockerfile("two")).await;
    assert!(bench.said().contains("made\none\ntwo\n"), "{}", bench.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_image_leaves_for_builds_on_top_runs_first_and_once() {
    let mut bench = Bench::new();
    bench.busybox().file("app", "1");
    bench.options.tags = vec!["local/base:1".parse().expect("valid")];
    let dockerfile = format!("{BUSYBOX}ONBUILD COPY app /app\nONBUILD RUN cp /app /copied\nONBUILD ENV A=${{B:-b}}\n");
    let base = bench.built(&dockerfile).await;
    assert_eq!(base.config.on_build, ["COPY app /app", "RUN cp /app /copied", "ENV A=${B:-b}"]);
    assert!(!base.layers[0].join("app").exists());
    bench.options.tags.clear();
    let image = bench.built("FROM local/base:1\nRUN test -f /copied && test $A = b\n").await;
    assert!(image.config.on_build.is_empty());
    assert_eq!(fs::read_to_string(image.layers[0].join("copied")).expect("made"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_network_is_another_step_than_one_with() {
    let bench = Bench::new();
    bench.busybox();
    let count = || (bench.runner.runs.load(Ordering::Relaxed), bench.runner.offline.load(Ordering::Relaxed));
    bench.built(&format!("{BUSYBOX}RUN echo")).await;
    let before = count();
    bench.built(&format!("{BUSYBOX}RUN --network=none echo")).await;
    assert_eq!(count(), (before.0 + 1, 1), "{}", bench.said());
    bench.built(&format!("{BUSYBOX}RUN --network=none echo")).await;
    assert_eq!(count(), (before.0 + 1, 1), "it is cached");
    bench.built(&format!("{BUSYBOX}RUN --network=default echo")).await;
    assert_eq!(count(), (before.0 + 1, 1), "as without the flag");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_here_document_may_name_its_interpreter() {
    let bench = Bench::new();
    bench.busybox();
    let image = bench.built(&format!("{BUSYBOX}RUN <<EOF\n#!/bin/busybox sh\necho $0 > /made\nEOF\n")).await;
    assert_eq!(names(&image.layers[0]), ["made"]);
}

/// Answers every request of HTTP with `body`, until the test's process ends. Returns the server's URL.
fn serve(body: Vec<u8>) -> String {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", server.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.expect("a client");
            let mut request = [0; 1024];
            let _ = std::io::Read::read(&mut connection, &mut request);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = std::io::Write::write_all(&mut connection, &[head.as_bytes(), &body].concat());
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_downloaded_and_checked() {
    let mut bench = Bench::new();
    let body = "{}";
    let url = format!("{}/v2/?a/b", serve(body.into()));
    let digest = longshore_image::Digest::of(body.as_bytes());
    let dockerfile = format!("FROM scratch\nADD --checksum={digest} {url} /to/file\nADD --chmod=644 {url} /file2\n");
    let image = bench.built(&dockerfile).await;
    let path = image.layers[1].join("to/file");
    assert_eq!(fs::read_to_string(&path).expect("downloaded"), body);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(image.layers[0].join("file2")).expect("there").permissions().mode() & 0o777, 0o644);
    bench.options.no_cache = true;
    let other = longshore_image::Digest::of(b"other");
    let error = bench.error(&format!("FROM scratch\nADD --checksum={other} {url} /file")).await;
    assert!(error.starts_with("Dockerfile:2: ") && error.contains("as --checksum says"), "{error}");
    let error = bench.error(&format!("FROM scratch\nADD {url} /dir/")).await;
    assert!(error.contains("does not say what the file"), "{error}");
    let error = bench.error("FROM scratch\nADD http://127.0.0.1:1/x /x").await;
    assert!(error.starts_with("Dockerfile:2: cannot download http://127.0.0.1:1/x: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_on_a_stage_has_the_arguments_of_that_stage() {
    let mut bench = Bench::new();
    bench.options.args.insert("GIVEN".into(), "given".into());
    bench.busybox();
    let image = bench
        .built(&format!(
            "{BUSYBOX}FROM base AS first\nARG GIVEN\nARG DEFAULT=default\nFROM first\nARG DEFAULT\n\
             RUN test \"$GIVEN $DEFAULT\" = 'given default'\nLABEL both=\"$GIVEN $DEFAULT\"\n"
        ))
        .await;
    assert_eq!(image.config.labels["both"], "given default");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_directory_that_is_made_belongs_to_the_user() {
    let bench = Bench::new();
    bench.file("passwd", "web:x:33:44::/:/bin/sh\n");
    let image = bench
        .built(
            "FROM scratch\nUSER nobody-yet\nWORKDIR /early\nCOPY passwd /etc/\nUSER web\nWORKDIR /srv/app\n\
             USER 7:8\nWORKDIR /opt\n",
        )
        .await;
    bench.look(&image, |root| {
        let owner = |path: &str| fs::metadata(root.join(path)).map(|m| (m.uid(), m.gid())).expect(path);
        assert_eq!([owner("early"), owner("opt")], [(0, 0), (7, 8)], "a name without a number is nobody's");
        assert_eq!([owner("srv"), owner("srv/app")], [(33, 44); 2], "parents too");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_finds_what_is_brought_back_in_an_ignored_directory() {
    let bench = Bench::new();
    bench.file("vendor/keep", "k").file("vendor/drop", "d").file("empty/drop", "d").file("a", "a");
    bench.file(".dockerignore", "vendor\nempty\nDockerfile\n.dockerignore\n!vendor/keep\n");
    let image = bench.built("FROM scratch\nCOPY * /x/\nCOPY vendo[r] /y/\nCOPY . /z/\n").await;
    bench.look(&image, |root| {
        assert_eq!(names(&root.join("x")), ["a", "keep"]);
        assert_eq!(
            (names(&root.join("y")), names(&root.join("z"))),
            (vec!["keep".into()], vec!["a".into(), "vendor".into()])
        );
    });
    for source in ["empty", "empt[y]"] {
        let error = bench.error(&format!("FROM scratch\nCOPY {source} /x/")).await;
        assert!(error.contains(&format!("`{source}` is not in the build context")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downloaded_archive_is_another_step_than_a_local_one() {
    let bench = Bench::new();
    let archive = Layer::new().file("in", "x").archive();
    fs::write(bench.context().join("a.tar"), &archive).expect("file");
    let url = serve(archive);
    bench.built("FROM scratch\nADD --chmod=755 a.tar /x").await;
    let image = bench.built(&format!("FROM scratch\nADD --chmod=755 {url}/a.tar /x")).await;
    bench.look(&image, |root| assert!(root.join("x").is_file()));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_onto_directories_give_what_is_below_the_top_its_rights() {
    let bench = Bench::new();
    bench.file("one/sub/deep/a", "a").file("two/sub/deep/b", "b");
    fs::set_permissions(bench.context().join("two/sub/deep"), fs::Permissions::from_mode(0o711)).expect("mode");
    let image = bench
        .built("FROM scratch\nCOPY --chmod=700 one /to\nCOPY --chown=3:4 two /to\nCOPY one /kept\nCOPY --chown=1:2 --chmod=750 one /kept\n")
        .await;
    bench.look(&image, |root| {
        let rights =
            |path: &str| fs::metadata(root.join(path)).map(|m| (m.mode() & 0o7777, m.uid(), m.gid())).expect(path);
        assert_eq!(rights("to"), (0o700, 0, 0), "the directory that was there keeps its own");
        assert_eq!(rights("to/sub"), (0o755, 3, 4));
        assert_eq!(rights("to/sub/deep"), (0o711, 3, 4));
        assert_eq!(rights("to/sub/deep/a"), (0o700, 0, 0));
        assert_eq!((rights("kept"), rights("kept/sub/deep")), ((0o755, 0, 0), (0o750, 1, 2)));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_files_keep_their_dates_unless_one_is_given() {
    let mut bench = Bench::new();
    bench.busybox().file("site/index.html", "1").file("a.txt", "a");
    let date = |path: &str, seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::open(bench.context().join(path)).and_then(|file| file.set_modified(time)).expect("dated");
    };
    date("site/index.html", 1_700_000_000);
    date("site", 1_700_000_001);
    date("a.txt", 1_700_000_002);
    let dockerfile = format!(
        "{BUSYBOX}RUN /bin/busybox touch -d @1600000000 /made\nFROM scratch\nWORKDIR /srv\nCOPY site www\nADD a.txt /a.txt\n\
         COPY --from=base /made /made\nCOPY <<HERE /here\nx\nHERE\n"
    );
    bench.file("Dockerfile", "");
    date("Dockerfile", 1_700_000_003);
    let times = |bench: &Bench, image: &Image| {
        bench.look(image, |root| {
            ["srv", "srv/www", "srv/www/index.html", "a.txt", "made"]
                .map(|path| fs::metadata(root.join(path)).expect(path).mtime())
        })
    };
    let image = bench.built(&dockerfile).await;
    assert_eq!(times(&bench, &image), [0, 1_700_000_001, 1_700_000_000, 1_700_000_002, 1_600_000_000]);
    // Dates are no reason to copy again.
    date("site/index.html", 1_700_000_009);
    assert_eq!(bench.built(&dockerfile).await.id, image.id);
    bench.options.source_date_epoch = Some(1_000_000_000);
    let image = bench.built(&dockerfile).await;
    assert_eq!(times(&bench, &image), [1_000_000_000; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_extracted_into_what_the_image_has() {
    let (registry, mut bench) = (Registry::start().await, Bench::new());
    let base = Layer::new()
        .dir("home")
        .owned(tar::EntryType::Directory, "home/node", "", 0o700, (1000, 1000), b"")
        .owned(tar::EntryType::Directory, "tmp", "", 0o1777, (0, 0), b"")
        .dir("usr")
        .dir("usr/lib")
        .file("usr/lib/old", "old")
        .symlink("lib", "usr/lib")
        .symlink("usr/absolute", "/usr/lib")
        .archive();
    registry.add("base", "1", &TestImage::new(&[base], gzip));
    let endpoint = registry.endpoint();
    bench.options.pull =
        Some(Arc::new(move |_| PullOptions { endpoint: Some(endpoint.clone()), ..PullOptions::default() }));
    let outside = bench.tmp.path().join("outside");
    fs::create_dir(&outside).expect("dir");
    let outside_time = fs::metadata(&outside).expect("there").modified().expect("a time");
    let archive = Layer::new()
        .owned(tar::EntryType::Directory, "./", "", 0o700, (5, 5), b"")
        .file("home/swapped/x", "x")
        .symlink("home/swapped", outside.to_str().expect("ascii"))
        .file("home/node/.profile", "p")
        .file("tmp/t", "t")
        .file("lib/x.so", "x")
        .hard_link("lib/y.so", "lib/x.so")
        .dir("lib/sub")
        .file("lib/sub/deep", "d")
        .file("absolute-is-the-image's", "")
        .file("made/by/name", "n")
        .dir("late")
        .archive();
    fs::write(bench.context().join("a.tar"), archive).expect("file");
    fs::write(bench.context().join("b.tar"), Layer::new().file("absolute/z", "z").archive()).expect("file");
    let image = bench.built("FROM registry.example/base:1\nADD a.tar /\nADD b.tar /usr\n").await;
    bench.look(&image, |root| {
        let rights =
            |path: &str| fs::metadata(root.join(path)).map(|m| (m.mode() & 0o7777, m.uid(), m.mtime())).expect(path);
        assert_eq!(rights("home/node"), (0o700, 1000, 1_000_000_000), "as in the image");
        assert_eq!(rights("tmp"), (0o1777, 0, 1_000_000_000));
        assert_eq!(rights(""), (0o755, 0, rights("").2), "the entry of the root is none of the image's");
        assert_eq!(fs::read_link(root.join("lib")).expect("still a link"), Path::new("usr/lib"));
        assert_eq!(names(&root.join("usr/lib")), ["old", "sub", "x.so", "y.so", "z"]);
        assert_eq!(rights("usr/lib/sub"), (0o755, 0, 1_000_000_000), "described by the archive");
        assert_eq!((rights("made"), rights("made/by")), ((0o755, 0, 0), (0o755, 0, 0)));
        assert!(fs::symlink_metadata(root.join("home/swapped")).expect("there").is_symlink());
    });
    assert_eq!(fs::metadata(&outside).expect("there").modified().expect("a time"), outside_time);
    assert_eq!(names(&outside), [""; 0]);
    // What the archive describes itself replaces what is there.
    let archive = Layer::new().dir("lib").file("lib/own", "o").archive();
    fs::write(bench.context().join("a.tar"), archive).expect("file");
    let image = bench.built("FROM registry.example/base:1\nADD a.tar /\n").await;
    bench.look(&image, |root| {
        assert_eq!(names(&root.join("lib")), ["own"]);
        assert_eq!(names(&root.join("usr/lib")), ["old"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn add_extracts_archives_of_bzip2_and_xz() {
    let bench = Bench::new();
    let archive = bench.context().join("a.tar");
    for (program, ending) in [("bzip2", "bz2"), ("xz", "xz")] {
        fs::write(&archive, Layer::new().file(ending, &"content ".repeat(100_000)).archive()).expect("file");
        let output = Command::new(program).arg(&archive).status().expect("is installed");
        assert!(output.success());
    }
    let image = bench.built("FROM scratch\nADD a.tar.bz2 /to\nADD a.tar.xz /to\n").await;
    bench.look(&image, |root| {
        assert_eq!(names(&root.join("to")), ["bz2", "xz"]);
        assert_eq!(fs::read_to_string(root.join("to/xz")).expect("file"), "content ".repeat(100_000));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_on_a_base_whose_layers_came_from_another_can_be_pushed() {
    let (registry, to, mut bench) = (Registry::start().await, Registry::start().await, Bench::new());
    let base = Layer::new().file("base", &"b".repeat(100_000)).archive();
    // The same content in another blob.
    registry.add("other", "1", &TestImage::new(std::slice::from_ref(&base), |bytes| bytes.to_vec()));
    registry.add("base", "1", &TestImage::new(std::slice::from_ref(&base), gzip));
    registry.add("third", "1", &TestImage::new(&[base], |bytes| zstd::encode_all(bytes, 1).expect("memory")));
    let options = PullOptions { endpoint: Some(registry.endpoint()), ..PullOptions::default() };
    for name in ["other", "third"] {
        bench.store.pull(&format!("registry.example/{name}:1"), options.clone()).await.expect("pulled");
    }
    bench.options.pull = Some(Arc::new(move |_| options.clone()));
    bench.file("f", "f");
    let push = PushOptions { endpoint: Some(to.endpoint()), ..PushOptions::default() };
    // One that is pulled for the build, and one that the store has for running already.
    for name in ["base", "third"] {
        let image = bench.built(&format!("FROM registry.example/{name}:1\nCOPY f /f\n")).await;
        bench.store.push(image.id, &format!("registry.example/{name}-built:1"), push.clone()).await.expect(name);
    }
    assert_eq!(registry.count("/blobs/"), 4, "the configuration, which all have in common, and each layer once");
}
