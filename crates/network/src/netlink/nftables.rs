//! Elements of nftables sets and maps, changed in one transaction without a process: what a task's start costs.
//!
//! Chains and rules are text for `nft` ([`crate::nft`]), because they change seldom and a person reads them.

use super::message::{Message, text};
use super::socket::{NetlinkError, Socket};
use crate::ruleset::element::{Element, Value};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const GET_TABLE: u16 = (SUBSYSTEM << 8) | 1;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;

const TABLE_NAME: u16 = 1;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ITEM: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;

/// An attribute holds less than 64 KiB; an element takes 32 bytes.
const ELEMENTS_PER_MESSAGE: usize = 1024;

/// Removes and then adds elements of sets of `table` (family `ip`): all of them or none.
pub fn change_elements(
    socket: &mut Socket,
    table: &str,
    remove: &[Element],
    add: &[Element],
) -> Result<(), NetlinkError> {
    let mut messages = vec![];
    element_messages(&mut messages, DELETE_ELEMENT, 0, table, remove);
    element_messages(&mut messages, NEW_ELEMENT, libc::NLM_F_CREATE as u16, table, add);
    if messages.is_empty() {
        return Ok(());
    }
    socket.transact(&batch(BATCH_BEGIN), &messages, &batch(BATCH_END))
}

/// Whether there is a table of that name (family `ip`).
pub fn has_table(socket: &mut Socket, table: &str) -> Result<bool, NetlinkError> {
    let mut message = Message::new(GET_TABLE, 0, &family_header(libc::AF_INET as u8, 0));
    message.attr_str(TABLE_NAME, table);
    match socket.query(&message, false, |_| Some(())) {
        Ok(found) => Ok(!found.is_empty()),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Names of all tables (family `ip`).
pub fn tables(socket: &mut Socket) -> Result<Vec<String>, NetlinkError> {
    let message = Message::new(GET_TABLE, 0, &family_header(libc::AF_INET as u8, 0));
    socket.query(&message, true, |reply| Some(text(reply.attributes(FAMILY_HEADER_LEN).get(TABLE_NAME)?)))
}

fn batch(kind: u16) -> Message {
    Message::new(kind, 0, &family_header(libc::AF_UNSPEC as u8, SUBSYSTEM))
}

fn element_messages(messages: &mut Vec<Message>, kind: u16, flags: u16, table: &str, elements: &[Element]) {
    let same_set = elements.chunk_by(|left, right| left.set == right.set);
    for elements in same_set.flat_map(|run| run.chunks(ELEMENTS_PER_MESSAGE)) {
        let mut message = Message::new(kind, flags, &family_header(libc::AF_INET as u8, 0));
        message.attr_str(LIST_TABLE, table).attr_str(LIST_SET, &elements[0].set);
        message.nest(LIST_ELEMENTS, |list| {
            for element in elements {
                list.nest(LIST_ITEM, |item| write_element(item, element, kind == NEW_ELEMENT));
            }
        });
        messages.push(message);
    }
}

fn write_element(item: &mut Message, element: &Element, with_data: bool) {
    item.nest(ELEMENT_KEY, |key| {
        key.attr(DATA_VALUE, &element.key.octets());
    });
    let data = match element.value {
        Value::None => return,
        // A mark is a number in the machine's order, an address is bytes on the wire.
        Value::Mark(mark) => mark.to_ne_bytes(),
        Value::Address(address) => address.octets(),
    };
    if with_data {
        item.nest(ELEMENT_DATA, |value| {
            value.attr(DATA_VALUE, &data);
        });
    }
}

const FAMILY_HEADER_LEN: usize = 4;

fn family_header(family: u8, resource: u16) -> [u8; FAMILY_HEADER_LEN] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
