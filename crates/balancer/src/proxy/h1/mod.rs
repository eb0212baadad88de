//! HTTP/1.1 as it is spoken with targets: what of it needs no socket.
//!
//! A request and its response live in the task of the client's connection, so nothing is handed over between tasks and
//! a connection that waits in the pool has no buffers. That is why this is not the engine that serves clients.

pub(super) mod decode;
pub(super) mod encode;
pub(super) mod response;
