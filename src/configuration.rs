//! Codecs, header extensions and the settings of a peer connection.

/// Codecs, header extensions and feedback that are negotiated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaConfiguration {}
