//! What the integration tests share.

// Each test file uses its own part of it, and picks the events it wants.
#![allow(dead_code, clippy::wildcard_enum_match_arm)]

pub(crate) mod adapting;
pub(crate) mod clients;
pub(crate) mod cut_short;
pub(crate) mod link;
pub(crate) mod owner;
pub(crate) mod poison;
pub(crate) mod session;
pub(crate) mod str0m_peer;
pub(crate) mod victim;

use std::time::Duration;

/// Loopback answers in milliseconds; a busy machine in a second or two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Asks again and again until `probe` has an answer, for what no event tells.
///
/// # Panics
///
/// When it has none within `deadline`.
pub(crate) async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let wait = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(deadline, wait)
        .await
        .unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}
