//! Who a container runs as: `uid[:gid]` or `name[:group]`, by the image's own `/etc/passwd` and `/etc/group`.

use super::resolve::{ResolveError, Root};

/// A resolved user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, the primary one first.
    pub groups: Vec<u32>,
    pub home: String,
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
    #[error(transparent)]
    Image(#[from] ResolveError),
}

/// Larger account files are cut off: they are an image's content, and we keep them in memory for a moment.
const FILE_MAX: u64 = 4 << 20;

/// Looks `user` up in the image; empty is root.
pub fn find(root: &Root, user: &str) -> Result<User, UserError> {
    let passwd = root.read("/etc/passwd", FILE_MAX)?.unwrap_or_default();
    let group = root.read("/etc/group", FILE_MAX)?.unwrap_or_default();
    resolve(user, &passwd, &group)
}

pub(crate) fn resolve(user: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok();
    let entry =
        passwd.lines().filter_map(Account::parse).find(|account| account.name == name || number == Some(account.uid));
    let (uid, mut gid, home, account) = match (&entry, number) {
        (Some(account), _) => (account.uid, account.gid, account.home, Some(account.name)),
        // A number need not be listed.
        (None, Some(uid)) => (uid, 0, "/", None),
        (None, None) => return Err(UserError::UnknownUser(name.to_owned())),
    };
    let mut groups = Vec::new();
    match group_name {
        Some(wanted) => {
            let listed = group.lines().filter_map(Group::parse).find(|group| group.name == wanted);
            gid = listed
                .map(|group| group.gid)
                .or_else(|| wanted.parse().ok())
                .ok_or_else(|| UserError::UnknownGroup(wanted.to_owned()))?;
        }
        // As with login: the groups that list the user, unless a group was asked for.
        None => {
            let member = |group: &Group| account.is_some_and(|name| group.members.split(',').any(|m| m == name));
            groups.extend(group.lines().filter_map(Group::parse).filter(member).map(|group| group.gid));
        }
    }
    // A process that drops its primary group must not gain access by it; so it is a supplementary one too.
    groups.retain(|group| *group != gid);
    groups.insert(0, gid);
    let home = if home.is_empty() { "/" } else { home };
    Ok(User { uid, gid, groups, home: home.to_owned() })
}

/// `name:password:uid:gid:comment:home:shell`
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name, uid, gid, home: fields.nth(1).unwrap_or("") })
    }
}

/// `name:password:gid:member,member`
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(Group { name, gid, members: fields.next().unwrap_or("") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# note\nbroken\napp:x:1000:1001::/home/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\napp:x:1001:\n";

    fn user(user: &str) -> User {
        resolve(user, PASSWD, GROUP).unwrap()
    }

    #[test]
    fn names_and_numbers_find_the_same_account() {
        let app = User { uid: 1000, gid: 1001, groups: vec![1001, 10, 50], home: "/home/app".into() };
        assert_eq!(user("app"), app);
        assert_eq!(user("1000"), app);
        assert_eq!(user("app:staff"), User { gid: 50, groups: vec![50], ..app.clone() });
        assert_eq!(user("1000:7"), User { gid: 7, groups: vec![7], ..app });
    }

    #[test]
    fn nobody_is_root_and_strange_numbers_are_fine() {
        assert_eq!(user(""), User { uid: 0, gid: 0, groups: vec![0, 10], home: "/root".into() });
        assert_eq!(user("4242"), User { uid: 4242, gid: 0, groups: vec![0], home: "/".into() });
        assert_eq!(resolve("0", "", "").unwrap(), User { home: "/".into(), groups: vec![0], ..User::default() });
    }

    #[test]
    fn unknown_names_are_named() {
        let text = |user: &str| resolve(user, PASSWD, GROUP).unwrap_err().to_string();
        assert_eq!(text("nope"), "unable to find user nope: no matching entries in passwd file");
        assert_eq!(text("app:nope"), "unable to find group nope: no matching entries in group file");
    }
}
