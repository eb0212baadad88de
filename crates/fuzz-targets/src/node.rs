//! What a node reads of images and of the machine, and certificates of clients.

use longshore_runtime::fuzzing::{failure, mountinfo, user};

use crate::input::{FIELD, Input};

/// A `user` setting, `/etc/passwd`, `/etc/group`, and a mount table.
///
/// Holds: a number is itself unless the image lists it otherwise; the first group is the primary one.
pub fn accounts(data: &[u8]) {
    let mut input = Input::new(data);
    let name = input.text(FIELD);
    let (passwd, group) = (input.text(FIELD), input.text(FIELD));
    if let Some((uid, gid, groups)) = user(&name, &passwd, &group) {
        assert_eq!(groups.first(), Some(&gid));
        if let Ok(number) = name.parse::<u32>()
            && !passwd.split([':', '\n']).any(|field| field.trim().parse() == Ok(number) || field.trim() == name)
        {
            assert_eq!((uid, gid), (number, 0));
        }
    }
    mountinfo(&input.text(FIELD));
    failure(&input.rest_text());
}

/// A certificate, its chain and its key in PEM.
///
/// Holds: they are taken or refused by a text.
pub fn certificates(data: &[u8]) {
    let mut input = Input::new(data);
    let (body, chain, key) = (input.until(FIELD), input.until(FIELD), input.until(FIELD));
    let chain = (!chain.is_empty()).then_some(chain);
    if let Err(error) = longshore_api::fuzzing::certificate(body, chain, key) {
        assert!(!error.message.is_empty());
    }
}
