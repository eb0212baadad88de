//! Makes what a task and its containers need before they are created: files, cgroups, overlay mounts, bundles.

use super::container::{Container, LogPipe};
use crate::capability::Capabilities;
use crate::cgroup::{CgroupError, Hierarchies, Limits};
use crate::engine::bundle::{self, Bundle, Flavour, Plan};
use crate::engine::{self, Output};
use crate::protocol::Stream;
use crate::rootfs::{disk, overlay, resolve, seed, user};
use crate::spec::{ContainerSpec, RuntimeChoice, TaskLimits, TaskSpec, is_kernel_path};
use crate::sys;
use crate::users::Users;
use rustix::mount::MountFlags;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Why a task or container cannot be made; texts start with ECS's name of the error.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("ResourceInitializationError: {0}")]
    Spec(String),
    #[error("ResourceInitializationError: {}", crate::chain(.inner))]
    Cgroup {
        #[from]
        inner: CgroupError,
    },
    #[error("ResourceInitializationError: kernel parameter {0}: {1}")]
    Sysctl(String, #[source] io::Error),
    #[error("ResourceInitializationError: mount the task's file system {0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    #[error("CannotCreateContainerError: {0} leads to {1:?}, which cannot be mounted: it is a place of the kernel")]
    KernelPath(String, PathBuf),
    #[error("CannotCreateContainerError: bind source path does not exist: {0}")]
    BindSource(PathBuf),
    #[error("CannotCreateContainerError: {what} {path}: {source}")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("CannotCreateContainerError: {}", crate::chain(.inner))]
    Overlay {
        #[from]
        inner: overlay::OverlayError,
    },
    #[error("CannotCreateContainerError: {}", crate::chain(.inner))]
    Image {
        #[from]
        inner: resolve::ResolveError,
    },
    #[error("CannotStartContainerError: {0}")]
    User(#[from] user::UserError),
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::File { what, path, source }
}

/// Reads and checks the spec in `directory`.
pub fn read_spec(directory: &Path) -> Result<TaskSpec, PrepareError> {
    let path = directory.join(crate::spec::SPEC_FILE);
    let bytes =
        std::fs::read(&path).map_err(|error| PrepareError::Spec(format!("read {}: {error}", path.display())))?;
    let spec: TaskSpec =
        serde_json::from_slice(&bytes).map_err(|error| PrepareError::Spec(format!("{}: {error}", path.display())))?;
    spec.validate().map_err(|error| PrepareError::Spec(error.to_string()))?;
    Ok(spec)
}

/// The task's files and its cgroup.
pub fn task(
    spec: &TaskSpec,
    directory: &Path,
    cgroups: &Hierarchies,
    users: Option<&Users>,
) -> Result<(), PrepareError> {
    files(spec, &directory.join(bundle::FILES), users)?;
    if let Some(disk) = &spec.disk {
        disk::mount(disk).map_err(|error| PrepareError::Disk(disk.image.clone(), error))?;
    }
    cgroups.group(spec.cgroup.as_str()).create(&Limits {
        cpu_millis: spec.limits.cpu_millis,
        memory_bytes: spec.limits.memory_bytes,
        pids: Some(spec.limits.pids.unwrap_or(TaskLimits::PIDS_DEFAULT)),
        ..Limits::default()
    })?;
    Ok(())
}

/// What containers may add to the task's files, in bytes, all of them together.
const FILES_GROWTH_BYTES: usize = 1 << 20;

/// Writes the files that containers see to a file system of their own at `place`: containers may write to them, and would
/// fill the one of the run directory, from which besides nothing may be executed on many machines.
fn files(spec: &TaskSpec, place: &Path, users: Option<&Users>) -> Result<(), PrepareError> {
    let mut files = vec![("hostname", format!("{}\n", spec.hostname).into_bytes(), 0o644)];
    let mut add =
        |name, text: &Option<String>| files.extend(text.iter().map(|text| (name, text.clone().into(), 0o644)));
    add("hosts", &spec.hosts);
    add("resolv.conf", &spec.resolv_conf);
    if spec.containers.iter().any(|container| container.init) {
        files.push(("init", engine::init_image(), 0o755));
    }
    let bytes = FILES_GROWTH_BYTES + files.iter().map(|(_, content, _)| content.len()).sum::<usize>();
    // The number of inodes bounds what extended attributes take, too.
    let options = CString::new(format!("size={bytes},nr_inodes=16,mode=755")).expect("digits hold no NUL");
    std::fs::create_dir_all(place)
        .and_then(|()| {
            Ok(rustix::mount::mount("tmpfs", place, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))?)
        })
        .map_err(file_error("mount", place))?;
    for (name, content, mode) in files {
        let path = place.join(name);
        std::fs::write(&path, content)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
            .and_then(|()| users.map_or(Ok(()), |users| users.give(&path)))
            .map_err(file_error("write", &path))?;
    }
    Ok(())
}

/// Bundles and the engine's files hold the containers' environment, and so secrets.
pub fn private_directory(path: &Path) -> Result<(), PrepareError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(file_error("make", path))
}

/// Network parameters are per namespace, and that is ours. Called when the interfaces are there.
pub fn network_parameters<'a>(containers: impl Iterator<Item = &'a ContainerSpec>) -> Result<(), PrepareError> {
    for (name, value) in
        containers.flat_map(|container| &container.sysctls).filter(|(name, _)| name.starts_with("net."))
    {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        sys::write_value(&path, value).map_err(|error| PrepareError::Sysctl(name.clone(), error))?;
    }
    Ok(())
}

/// Mounts the container's root, makes its cgroup and writes its bundle, once for all of its runs.
pub fn container(
    task: &TaskSpec,
    spec: &ContainerSpec,
    directory: &Path,
    cgroups: &Hierarchies,
    pause: Option<sys::Pid>,
    users: Option<&Users>,
) -> Result<Bundle, PrepareError> {
    for mount in spec.mounts.iter().filter(|mount| mount.volume && !mount.source.exists()) {
        std::fs::create_dir_all(&mount.source)
            .and_then(|()| users.map_or(Ok(()), |users| users.give(&mount.source)))
            .map_err(file_error("make the volume", &mount.source))?;
    }
    if let Some(missing) = spec.mounts.iter().find(|mount| !mount.source.exists()) {
        return Err(PrepareError::BindSource(missing.source.clone()));
    }
    let bundle = Bundle {
        id: spec.id.clone(),
        directory: directory.join("bundles").join(&spec.id),
        cgroup: format!("{}/{}", task.cgroup, spec.id),
        capabilities: Capabilities::resolve(&spec.capabilities_add, &spec.capabilities_drop)
            .and(Capabilities::available()),
        terminal: spec.terminal,
        init: spec.init,
        pause,
        users: users.map(|users| format!("/proc/{}/fd/{}", std::process::id(), users.namespace.as_raw_fd())),
        owner: users.map_or(0, |users| users.map.host_id),
        process_owner: 0,
    };
    let bundles = directory.join("bundles");
    private_directory(&bundles)?;
    if users.is_some() {
        // Mapped users go through it to their roots.
        std::fs::set_permissions(&bundles, std::fs::Permissions::from_mode(0o711))
            .map_err(file_error("open", &bundles))?;
    }
    let limits = Limits {
        cpu_shares: Some(spec.cpu_shares.unwrap_or(0).max(2)),
        memory_bytes: spec.memory_bytes,
        memory_reservation_bytes: spec.memory_reservation_bytes,
        confine_devices: true,
        ..Limits::default()
    };
    cgroups.group(bundle.cgroup.as_str()).create(&limits)?;
    let rootfs = bundle.rootfs();
    match users {
        Some(users) => {
            let layers = mapped_layers(users, &spec.layers, &bundle.directory.join("layers"))?;
            overlay::mount_for(users, &layers, &spec.upper, &spec.work, &rootfs)?;
        }
        None => overlay::mount(&spec.layers, &spec.upper, &spec.work, &rootfs)?,
    }
    let root = resolve::Root::open(&rootfs)?;
    for path in spec.mounts.iter().map(|mount| &mount.destination).chain(spec.tmpfs.iter().map(|tmpfs| &tmpfs.path)) {
        let real = root.real(path).map_err(file_error("look up", Path::new(path)))?;
        if is_kernel_path(&real) {
            return Err(PrepareError::KernelPath(path.clone(), real));
        }
    }
    let user = user::find(&root, &spec.user)?;
    for mount in spec.mounts.iter().filter(|mount| mount.seed) {
        seed::fill(&root, &mount.destination, &mount.source)
            .map_err(file_error("copy the image's files to the volume", &mount.source))?;
    }
    if !spec.cwd.is_empty() {
        root.make_directories(&spec.cwd, bundle.owner)?;
    }
    let mut bundle = bundle;
    bundle.process_owner = users.map_or(0, |users| users.on_host(user.uid));
    let flavour = match task.runtime {
        RuntimeChoice::Builtin => Flavour::Embedded,
        RuntimeChoice::External(_) => Flavour::External,
    };
    let shown = match users {
        Some(_) => Some(shown_mounts(spec, &bundle.directory.join("mounts"))?),
        None => None,
    };
    let spec = shown.as_ref().unwrap_or(spec);
    let plan = Plan {
        task,
        container: spec,
        bundle: &bundle,
        user: &user,
        files: &directory.join(bundle::FILES),
        root: &root,
        cgroups,
        limits: &limits,
    };
    bundle::write(&plan, flavour).map_err(file_error("write the bundle in", &bundle.directory))?;
    Ok(bundle)
}

/// What another run of a container needs, whose bundle and mounts are there.
pub fn again(bundle: &Bundle) -> Result<(), PrepareError> {
    let root = resolve::Root::open(&bundle.rootfs())?;
    bundle.check_places(&root).map_err(file_error("find the places of mounts in", &bundle.rootfs()))
}

/// Id-mapped mounts of the layers, below `place`.
fn mapped_layers(users: &Users, layers: &[PathBuf], place: &Path) -> Result<Vec<PathBuf>, PrepareError> {
    let mut mapped = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let at = place.join(index.to_string());
        std::fs::create_dir_all(&at)
            .and_then(|()| users.show(layer, &at))
            .map_err(file_error("map the owners of", layer))?;
        mapped.push(at);
    }
    Ok(mapped)
}

/// The spec with its bind mounts' sources where mapped users can reach them: below `place`.
fn shown_mounts(spec: &ContainerSpec, place: &Path) -> Result<ContainerSpec, PrepareError> {
    use rustix::fs::CWD;
    use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
    let mut shown = spec.clone();
    for (index, mount) in shown.mounts.iter_mut().enumerate() {
        let at = place.join(index.to_string());
        let show = || -> io::Result<()> {
            std::fs::create_dir_all(place)?;
            if mount.source.is_dir() {
                std::fs::create_dir_all(&at)?
            } else {
                std::fs::write(&at, "")?
            }
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(CWD, &mount.source, flags)?;
            Ok(move_mount(&tree, "", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
        };
        show().map_err(file_error("show", &mount.source))?;
        mount.source = at;
    }
    Ok(shown)
}

/// Fresh pipes, or a socket for the terminal, for the next run.
pub fn output(container: &mut Container, bundle: &Bundle) -> io::Result<Output> {
    if bundle.terminal {
        let path = bundle.console_socket();
        let _ = std::fs::remove_file(&path);
        let listener = super::listen(&path)?;
        container.console = Some(listener);
        return Ok(Output::Terminal);
    }
    let (stdout, stdout_write) = sys::pipe()?;
    let (stderr, stderr_write) = sys::pipe()?;
    if bundle.owner != 0 {
        // Programs open /dev/stdout, for which they must own it.
        for pipe in [&stdout_write, &stderr_write] {
            let owner = bundle.process_owner;
            rustix::fs::fchown(pipe, Some(rustix::fs::Uid::from_raw(owner)), None)?;
        }
    }
    container.pipes.push(LogPipe::new(stdout, Stream::Stdout)?);
    container.pipes.push(LogPipe::new(stderr, Stream::Stderr)?);
    let mut stdin = None;
    if container.spec.stdin_open {
        let (read, write) = sys::pipe()?;
        container.stdin = Some(write);
        stdin = Some(read);
    }
    Ok(Output::Pipes { stdin, stdout: stdout_write, stderr: stderr_write })
}

/// Takes the terminal that the runtime sent.
pub fn receive_terminal(listener: &UnixListener) -> io::Result<LogPipe> {
    let (stream, _) = listener.accept()?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 256];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(&stream, &mut [io::IoSliceMut::new(&mut name)], &mut control, flags)?;
    let sent = control.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    LogPipe::new(sent.ok_or_else(|| io::Error::other("the runtime sent no terminal"))?, Stream::Stdout)
}
