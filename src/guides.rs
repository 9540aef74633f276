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
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/negotiation.md")]
    pub mod negotiation {}

    /// [negotiation]: negotiation
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/forwarding.md")]
    pub mod forwarding {}
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
