//! What the fuzz targets reach of this crate and nobody else needs.

/// Who a `user` setting is by these files: user, group, and all groups.
pub fn user(user: &str, passwd: &str, group: &str) -> Option<(u32, u32, Vec<u32>)> {
    crate::rootfs::user::resolve(user, passwd, group).ok().map(|user| (user.uid, user.gid, user.groups))
}

/// Reads a mount table for control groups.
pub fn mountinfo(text: &str) -> bool {
    crate::cgroup::Hierarchies::parse(text).is_some()
}

/// Reads the line in which a payload says why it did not start.
pub fn failure(line: &str) -> String {
    crate::engine::Failure::parse(line).text
}
