//! The agent on a scripted machine.

mod scripted;
mod secrets;
mod stop;
