//! What a page says, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ice::IceCandidate;
use crate::jsep::SessionDescription;
use crate::perfect_negotiation::SignalingMessage;

/// A text that should be a description, a candidate, or a message with either.
///
/// What is read is written, and read as the same again; no text becomes much longer by it.
pub(super) fn message(data: &[u8]) {
    same_again::<SessionDescription>(data);
    same_again::<IceCandidate>(data);
    same_again::<SignalingMessage>(data);
}

fn same_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(data) else {
        return;
    };
    let written = serde_json::to_vec(&read).expect("plain texts and numbers");
    // A control character takes six.
    assert!(written.len() <= 6 * data.len() + 256);
    let again: T = serde_json::from_slice(&written).expect("it was written by us");
    assert_eq!(again, read);
}
