//! Which encoding a subscriber would have, and how many of its layers.

use crate::rtp::{LayerLimit, Rid};

/// Which encoding a subscription is to have of a publication that is sent in several (simulcast), and how many of the layers inside it (SVC).
///
/// Within a wish the choice follows what arrives and, unless it names one encoding, what the path to the subscriber takes. A name
/// that a publication has not got is no wish: where a slot is switched from one publication to another, name those of both alike. A publication
/// in one encoding without layers goes as it is, unless the wish is [`Off`](Self::Off).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerWish {
    /// The best that the path takes.
    #[default]
    Automatic,
    /// The best that the path takes, up to this one: for a picture that is shown small.
    UpTo(Rid),
    /// The best that the path takes, of what takes no more than so many bits per second; the lowest in any case.
    UpToBitrate(u64),
    /// The best that the path takes, of so many layers inside each encoding at most: for a picture that is shown small, or seldom looked at. A publication
    /// without layers goes as it is.
    UpToLayers(LayerLimit),
    /// This one with all its layers, whatever the path takes: others share what it leaves. While it pauses, the next lower one that arrives, or else the
    /// lowest.
    Only(Rid),
    /// None: the subscription stays, and nothing is sent on it.
    Off,
}
