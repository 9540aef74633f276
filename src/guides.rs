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
    /// [modifying]: super::advanced::modifying_a_session
    /// [perfect]: super::advanced::perfect_negotiation
    /// [transceivers]: super::advanced::mastering_transceivers
    /// [connectivity]: super::advanced::connectivity
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/negotiation.md")]
    pub mod negotiation {}

    /// [negotiation]: negotiation
    /// [perfect]: super::advanced::perfect_negotiation
    /// [rooms]: super::advanced::rooms
    #[doc = ""]
    #[doc = include_str!("../guides/introduction/forwarding.md")]
    pub mod forwarding {}
}

/// For whom the introduction is not enough.
pub mod advanced {
    /// [modifying]: modifying_a_session
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/mastering_transceivers.md")]
    pub mod mastering_transceivers {}

    /// [perfect]: perfect_negotiation
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/modifying_a_session.md")]
    pub mod modifying_a_session {}

    /// [modifying]: modifying_a_session
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/perfect_negotiation.md")]
    pub mod perfect_negotiation {}

    /// [negotiation]: super::introduction::negotiation
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/connectivity.md")]
    pub mod connectivity {}

    /// [bad]: bad_networks
    /// [connectivity]: connectivity
    /// [deploying]: super::deploying::bare
    /// [observe]: crate::observe::observe
    /// [perfect]: perfect_negotiation
    /// [stats]: crate::PeerConnection::get_stats
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/debugging.md")]
    pub mod debugging {}

    /// [debugging]: debugging
    /// [limits]: crate::peer_connection::MediaLimits
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/bad_networks.md")]
    pub mod bad_networks {}

    /// [media]: crate::limits::MediaLimits
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/limits.md")]
    pub mod limits {}

    /// [forwarding]: super::introduction::forwarding
    /// [perfect]: perfect_negotiation
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/rooms.md")]
    pub mod rooms {}

    /// [forwarding]: super::introduction::forwarding
    /// [rooms]: rooms
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/simulcast.md")]
    pub mod simulcast {}

    #[doc = include_str!("../guides/advanced/supervision.md")]
    pub mod supervision {}

    /// [broadcaster]: crate::signaling::broadcaster
    /// [deploying]: super::deploying::bare
    /// [encoder_media]: crate::signaling::broadcaster::encoder_media
    /// [perfect]: perfect_negotiation
    /// [simulcast]: simulcast
    #[cfg(feature = "signaling")]
    #[doc = ""]
    #[doc = include_str!("../guides/advanced/broadcasting.md")]
    pub mod broadcasting {}
}

/// From a program that runs to a server that others can reach.
pub mod deploying {
    /// [connectivity]: super::advanced::connectivity
    /// [debugging]: super::advanced::debugging
    #[doc = ""]
    #[doc = include_str!("../guides/deploying/bare.md")]
    pub mod bare {}
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
