//! Codecs, header extensions and the settings of a peer connection.
//!
//! Stub of the contract: see the fields; builder and validation come with it.
