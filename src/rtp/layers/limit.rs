//! How much of a layered stream somebody is sent.

use std::fmt;
use std::str::FromStr;

/// How many layers of a stream go out at most: spatial ones, each of which doubles the picture as a rule, and temporal
/// ones, each of which doubles how often there is one.
///
/// The names are those of the browser's `scalabilityMode` (W3C webrtc-svc §6): who is to get a picture of half the size at the full rate, of what
/// a page sends as `L3T3`, is given `L2T3`.
///
/// ```
/// use ractor_webrtc::rtp::LayerLimit;
///
/// let slow: LayerLimit = "L3T1".parse().expect("a mode of the browser's");
/// assert_eq!(slow, LayerLimit::at_most(3, 1));
/// assert_eq!(LayerLimit::NONE.with_temporal(1).to_string(), "T1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerLimit {
    /// The highest of each that goes out.
    pub(super) highest: Layers,
}

/// A spatial and a temporal layer, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layers {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
}

impl LayerLimit {
    /// All layers go out.
    pub const NONE: Self = Self {
        highest: Layers::ALL,
    };

    /// So many spatial and temporal layers; the lowest of each always goes out, so that 0 means 1.
    pub const fn at_most(spatial: u8, temporal: u8) -> Self {
        Self::NONE.with_spatial(spatial).with_temporal(temporal)
    }

    /// The same with so many spatial layers; 0 means 1.
    #[must_use]
    pub const fn with_spatial(mut self, layers: u8) -> Self {
        self.highest.spatial = layers.saturating_sub(1);
        self
    }

    /// The same with so many temporal layers; 0 means 1.
    #[must_use]
    pub const fn with_temporal(mut self, layers: u8) -> Self {
        self.highest.temporal = layers.saturating_sub(1);
        self
    }
}

impl LayerLimit {
    /// The lower of both, in space and in time.
    pub(crate) fn but_at_most(self, other: Self) -> Self {
        Self {
            highest: self.highest.but_at_most(other.highest),
        }
    }

    /// The highest spatial and the highest temporal layer, counted from 0.
    pub(crate) fn highest(self) -> (u8, u8) {
        (self.highest.spatial, self.highest.temporal)
    }
}

impl Default for LayerLimit {
    fn default() -> Self {
        Self::NONE
    }
}

impl FromStr for LayerLimit {
    type Err = LayerLimitError;

    /// Reads `L2T3`, also with what browsers put behind it (`h`, `_KEY`, `_KEY_SHIFT`): that tells how layers refer to each other,
    /// which the stream tells by itself.
    fn from_str(mode: &str) -> Result<Self, LayerLimitError> {
        let error = || LayerLimitError::NotAMode {
            mode: mode.to_owned(),
        };
        let [b'L', spatial, b'T', temporal, rest @ ..] = mode.as_bytes() else {
            return Err(error());
        };
        let digits = [spatial, temporal];
        let known = matches!(rest, b"" | b"h" | b"_KEY" | b"_KEY_SHIFT");
        if !known || !digits.iter().all(|digit| (b'1'..=b'8').contains(digit)) {
            return Err(error());
        }
        let [spatial, temporal] = digits.map(|digit| digit - b'0');
        Ok(Self::at_most(spatial, temporal))
    }
}

impl fmt::Display for LayerLimit {
    /// The name of a mode, without what is not limited; `all` when nothing is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layers { spatial, temporal } = self.highest;
        if *self == Self::NONE {
            return f.write_str("all");
        }
        if spatial < Layers::ALL.spatial {
            write!(f, "L{}", spatial + 1)?;
        }
        if temporal < Layers::ALL.temporal {
            write!(f, "T{}", temporal + 1)?;
        }
        Ok(())
    }
}

/// What is wrong with the name of a [`LayerLimit`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerLimitError {
    /// Neither `L1T1` nor its like. What browsers call `S2T1` is a simulcast in one stream, whose pictures do not build on each other.
    #[error("{mode:?} is not a scalability mode such as L2T3")]
    NotAMode {
        /// The text.
        mode: String,
    },
}

impl Layers {
    pub(super) const ALL: Self = Self {
        spatial: u8::MAX,
        temporal: u8::MAX,
    };

    /// Whether these are no higher than those, neither in space nor in time.
    pub(super) fn are_within(self, highest: Self) -> bool {
        self.spatial <= highest.spatial && self.temporal <= highest.temporal
    }

    /// The lower of both, in space and in time.
    pub(super) fn but_at_most(self, highest: Self) -> Self {
        Self {
            spatial: self.spatial.min(highest.spatial),
            temporal: self.temporal.min(highest.temporal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_the_name_of_a_mode() {
        for mode in ["L1T1", "L1T3", "L3T3", "L8T8"] {
            assert_eq!(mode.parse::<LayerLimit>().unwrap().to_string(), mode);
        }
        for mode in ["L3T2_KEY", "L3T2h", "L3T2_KEY_SHIFT"] {
            assert_eq!(mode.parse(), Ok(LayerLimit::at_most(3, 2)));
        }
        assert_eq!(LayerLimit::NONE.to_string(), "all");
        assert_eq!(LayerLimit::NONE.with_spatial(2).to_string(), "L2");
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for mode in ["", "L1", "S2T1", "L0T1", "L1T9", "l1t1", "L1T1_", "L1T1KEY"] {
            assert!(mode.parse::<LayerLimit>().is_err(), "{mode}");
        }
    }

    #[test]
    fn the_lowest_layer_is_never_forbidden() {
        assert_eq!(LayerLimit::at_most(0, 0), LayerLimit::at_most(1, 1));
    }
}
