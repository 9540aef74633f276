//! What all examples share: arguments, a web server, the messages between page and actor.

pub(crate) mod arguments;
pub(crate) mod server;
pub(crate) mod signal;
