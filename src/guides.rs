//! The guides, as they stand in the repository under `guides/`. Every Rust block in them is
//! compiled by the tests.

/// From nothing to a server that echoes a browser's camera and microphone.
///
/// The guides name each other by file for who reads them in the repository; the first definition of a
/// link counts, so those given here make them links of this documentation.
pub mod introduction {
    /// [negotiation]: negotiation
    /// [forwarding]: forwarding
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/intro.md")]
    pub mod intro {}

    /// [intro]: intro
    /// [forwarding]: forwarding
    /// [connectivity]: super::advanced::connectivity
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/negotiation.md")]
    pub mod negotiation {}

    /// [negotiation]: negotiation
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/forwarding.md")]
    pub mod forwarding {}
}

/// One subject each, for who has come so far.
pub mod advanced {
    /// [negotiation]: super::introduction::negotiation
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/connectivity.md")]
    pub mod connectivity {}
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
