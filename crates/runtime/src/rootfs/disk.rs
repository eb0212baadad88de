//! A file system in a file, for a task whose disk has a size.
//!
//! The loop device is told to go with its last user, and the mount is in the supervisor's own mount namespace: both are
//! gone when the task's processes are, whatever died.

use crate::spec::Disk;
use crate::sys::check;
use rustix::mount::MountFlags;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const LOOP_CONTROL_GET_FREE: libc::c_ulong = 0x4c82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Somebody else may take the device that the kernel named free.
const ATTEMPTS: u32 = 16;

/// `struct loop_config`: descriptor, block size, `struct loop_info64`, reserved.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

pub fn mount(disk: &Disk) -> io::Result<()> {
    let image = File::options().read(true).write(true).open(&disk.image)?;
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    let mut attempt = 0;
    // The device must stay open until it is mounted, or it goes again.
    let (path, _device) = loop {
        attempt += 1;
        // SAFETY: takes a descriptor.
        let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CONTROL_GET_FREE) })?;
        let path = format!("/dev/loop{number}");
        let device = File::options().read(true).write(true).open(&path)?;
        // SAFETY: all zero is valid for this plain struct.
        let mut config: LoopConfig = unsafe { std::mem::zeroed() };
        config.fd = image.as_raw_fd() as u32;
        config.flags = LO_FLAGS_AUTOCLEAR;
        // SAFETY: the struct has the layout that this call reads.
        match check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &config) }) {
            Ok(_) => break (path, device),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    };
    // What the task deletes goes back to the host.
    let options = c"discard";
    Ok(rustix::mount::mount(path, &disk.mount_at, "ext4", MountFlags::NOATIME, Some(options))?)
}
