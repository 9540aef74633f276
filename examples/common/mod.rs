//! What all examples share: arguments, a program around them, a web server, the messages between page and actor.

pub(crate) mod arguments;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod signal;
