//! Layers: whatever an archive says, nothing outside of the directory changes.

use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};

use longshore_image::{Limits, unpack};

use crate::input::Input;

/// What is unpacked by a thread that can see nothing but a directory made for it, so that an escape is found rather than
/// suffered. Where it may not confine itself (without root), it runs as it is.
struct Sandbox {
    archives: mpsc::Sender<Vec<u8>>,
    done: mpsc::Receiver<Result<(), String>>,
}

fn sandbox() -> &'static Mutex<Sandbox> {
    static SANDBOX: OnceLock<Mutex<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let (archives, incoming) = mpsc::channel::<Vec<u8>>();
        let (finished, done) = mpsc::channel();
        std::thread::spawn(move || {
            let place = crate::scratch();
            let base = confine(place.path());
            while let Ok(archive) = incoming.recv() {
                let result = std::panic::catch_unwind(|| try_one(&base, &archive));
                let result = result.map_err(|_| "a panic".to_owned()).and_then(|result| result);
                if finished.send(result).is_err() {
                    return;
                }
            }
        });
        Mutex::new(Sandbox { archives, done })
    })
}

/// Makes `directory` this thread's root. Returns what it is called from now on.
fn confine(directory: &Path) -> PathBuf {
    let path = CString::new(directory.as_os_str().as_encoded_bytes()).expect("a path of ours");
    // SAFETY: plain calls on this thread's own view of the file system, which nobody else shares after the first.
    let is_confined = unsafe { libc::unshare(libc::CLONE_FS) == 0 && libc::chroot(path.as_ptr()) == 0 };
    if is_confined { PathBuf::from("/") } else { directory.to_owned() }
}

fn try_one(base: &Path, archive: &[u8]) -> Result<(), String> {
    let (root, outside) = (base.join("root"), base.join("outside"));
    for directory in [&root, &outside] {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir(directory).map_err(|error| error.to_string())?;
    }
    let secret = outside.join("secret");
    fs::write(&secret, "secret").map_err(|error| error.to_string())?;
    let before = fs::symlink_metadata(&outside).map_err(|error| error.to_string())?;
    let limits = Limits { layer_bytes_max: 1 << 20, layer_entries_max: 200, ..Limits::default() };
    let result = unpack(archive, &root, &limits);
    let names = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let meta = fs::symlink_metadata(&secret).map_err(|error| format!("the secret is gone: {error}"))?;
    let after = fs::symlink_metadata(&outside).map_err(|error| error.to_string())?;
    let told = [
        (names(base) == ["outside", "root"], "a name beside the root"),
        (names(&outside) == ["secret"], "a name outside of the root"),
        (fs::read(&secret).is_ok_and(|content| content == b"secret"), "content outside of the root"),
        (meta.is_file() && meta.nlink() == 1, "a link to a file outside of the root"),
        ((meta.mode(), meta.uid(), meta.gid()) == (0o100_644, meta_owner().0, meta_owner().1), "rights outside"),
        (
            (after.mode(), after.uid(), after.mtime()) == (before.mode(), before.uid(), before.mtime()),
            "the outside itself",
        ),
    ];
    for (holds, what) in told {
        if !holds {
            return Err(format!("{what} changed"));
        }
    }
    if let Ok(unpacked) = &result {
        assert!(unpacked.entries <= limits.layer_entries_max && unpacked.archive_bytes <= limits.layer_bytes_max);
        assert!(unpacked.implicit_dirs.iter().all(|directory| directory.is_relative()));
    }
    Ok(())
}

fn meta_owner() -> (u32, u32) {
    // SAFETY: no preconditions.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

fn run(archive: Vec<u8>) {
    let sandbox = sandbox().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    sandbox.archives.send(archive).expect("the sandbox lives");
    let result = sandbox.done.recv().expect("the sandbox answers");
    assert_eq!(result, Ok(()));
}

/// A layer as it comes: plain, gzip, zstd or nonsense.
///
/// Holds: nothing outside of the directory changes, limits are kept.
pub fn layer(data: &[u8]) {
    run(data.to_vec());
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "a/b",
    "a/b/c",
    "../outside/secret",
    "/outside/secret",
    "outside/secret",
    "..",
    ".",
    "a/../b",
    "./a",
    "a/",
    "",
    ".wh.a",
    "a/.wh.b",
    ".wh..wh..opq",
    "a/.wh..wh..opq",
    ".wh..",
    ".wh.",
    ".wh...",
    "a/.wh...",
    ".wh..wh.",
    "secret",
    "../outside",
    "/",
    "/outside",
    "a//b",
    "b/secret",
    "a/secret",
    "proc/self/root/outside/secret",
    "c",
    "c/d",
    ".wh.secret",
];

/// Entries in a form that a fuzzer can shuffle: kind, name, link, mode and content by number.
///
/// Holds: as for [`layer`].
pub fn entries(data: &[u8]) {
    let mut input = Input::new(data);
    let packing = input.byte();
    let mut archive = Vec::new();
    let mut count = 0;
    while !input.is_empty() && count < 64 {
        count += 1;
        let kinds = b"0000555122213467LKxgS";
        let kind = kinds[usize::from(input.byte()) % kinds.len()];
        let (name, link) = (name(&mut input), name(&mut input));
        let mode = u32::from(input.number()) & 0o7777;
        let length = usize::from(input.byte() % 32);
        let content = match kind {
            b'0' => input.bytes(length).to_vec(),
            b'L' | b'K' => [name.as_bytes(), b"\0"].concat(),
            b'x' | b'g' => pax(&mut input, &name, &link),
            _ => Vec::new(),
        };
        tar_entry(&mut archive, packing & 4 != 0, kind, (&name, &link), mode, &content);
    }
    archive.resize(archive.len() + 1024, 0);
    if packing & 3 == 1 {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let _ = encoder.write_all(&archive);
        archive = encoder.finish().unwrap_or_default();
    }
    run(archive);
}

/// Adds an entry to a tar archive: kind, name and link target, mode and content.
pub(crate) fn tar_entry(
    archive: &mut Vec<u8>,
    is_gnu: bool,
    kind: u8,
    (name, link): (&str, &str),
    mode: u32,
    content: &[u8],
) {
    let mut header = [0u8; 512];
    put(&mut header[..100], name.as_bytes());
    put(&mut header[100..108], format!("{mode:07o}\0").as_bytes());
    put(&mut header[108..116], b"0000000\0");
    put(&mut header[116..124], b"0000000\0");
    put(&mut header[124..136], format!("{:011o}\0", content.len()).as_bytes());
    put(&mut header[136..148], b"14600000000\0");
    header[156] = kind;
    put(&mut header[157..257], link.as_bytes());
    put(&mut header[257..265], if is_gnu { b"ustar  \0" } else { b"ustar\x0000" });
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header[148..156], format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn name(input: &mut Input<'_>) -> String {
    match input.byte() {
        number if number < 200 => NAMES[usize::from(number) % NAMES.len()].to_owned(),
        number => String::from_utf8_lossy(input.bytes(usize::from(number % 16))).into_owned(),
    }
}

fn pax(input: &mut Input<'_>, name: &str, link: &str) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..input.byte() % 4 {
        let text = match input.byte() % 6 {
            0 => format!("path={name}"),
            1 => format!("linkpath={link}"),
            2 => format!("SCHILY.xattr.{link}={name}"),
            3 => format!("size={}", input.byte()),
            4 => format!("uid={}", input.number()),
            _ => "SCHILY.xattr.trusted.overlay.opaque=y".to_owned(),
        };
        // The length counts itself.
        let digits = |length: usize| length.to_string().len();
        let bare = text.len() + 2;
        let length = bare + digits(bare + digits(bare));
        records.extend(format!("{length} {text}\n").into_bytes());
    }
    records
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}
