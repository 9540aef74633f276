//! What all examples share: arguments, a program around them, a web server, the messages between page and actor, and
//! the supervisor of those actors.

pub(crate) mod arguments;
pub(crate) mod lobby;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod signal;
