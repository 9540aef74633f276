//! What of a publication a subscription may have: which encodings, and how many of the layers inside each.

use super::allocation::Demand;
use super::records::{Grant, SubscriptionRecord};
use super::wish::LayerWish;
use crate::rtp::{LayerLimit, LimitedRate, Rid, SimulcastLayer};
use crate::track::TrackId;

/// What a subscription may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    pub(super) subscription: TrackId,
    /// The lowest first. Never empty.
    pub(super) steps: Vec<Step>,
    /// The one that it has.
    pub(super) had: Option<usize>,
}

/// One of the things it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) grant: Grant,
    bits_per_second: u64,
    rank: Rank,
}

/// By encoding, then by size, then by how often there is a picture.
type Rank = (usize, u8, u8);

impl Candidates {
    /// None where nothing arrives, or nothing is known: what there is then, the route finds by itself.
    pub(super) fn of(
        subscription: TrackId,
        record: &SubscriptionRecord,
        layers: &[SimulcastLayer],
    ) -> Option<Self> {
        let granted = record.granted.as_ref();
        let granted = granted.and_then(|grant| rank_of(grant, layers));
        let encodings = allowed(&record.wish, layers);
        let bound = record.wish.layers();
        let lowest = *encodings.first()?;
        let steps = encodings
            .into_iter()
            .flat_map(|index| steps_of(index, &layers[index], bound, index > lowest));
        let mut steps: Vec<_> = match record.wish {
            LayerWish::Only(_) => steps.last().into_iter().collect(),
            LayerWish::Automatic
            | LayerWish::UpTo(_)
            | LayerWish::UpToBitrate(_)
            | LayerWish::UpToLayers(_)
            | LayerWish::Off => steps.collect(),
        };
        if let LayerWish::UpToBitrate(most) = record.wish {
            keep_within(&mut steps, most, granted);
        }
        let had = granted.map(|granted| {
            let below = steps.iter().rposition(|step| step.rank <= granted);
            below.unwrap_or(0)
        });
        Some(Self {
            subscription,
            steps,
            had,
        })
    }

    /// A higher step is not said to take less than a lower one, even where it does for a moment: rates waver, and whoever has it should not lose it for that.
    pub(super) fn demand(&self) -> Demand {
        let mut highest = 0;
        let rising = self.steps.iter().map(|step| {
            highest = step.bits_per_second.max(highest);
            highest
        });
        Demand {
            steps: rising.collect(),
            had: self.had,
        }
    }
}

impl LayerWish {
    /// How many layers of any encoding it allows.
    fn layers(&self) -> LayerLimit {
        match self {
            Self::UpToLayers(limit) => *limit,
            Self::Automatic | Self::UpTo(_) | Self::UpToBitrate(_) | Self::Only(_) | Self::Off => {
                LayerLimit::NONE
            }
        }
    }
}

/// Where a grant stands among these encodings.
fn rank_of(grant: &Grant, layers: &[SimulcastLayer]) -> Option<Rank> {
    let index = layers.iter().position(|it| it.rid == grant.rid)?;
    Some(rank(index, grant.limit))
}

fn rank(index: usize, limit: LayerLimit) -> Rank {
    let (spatial, temporal) = limit.highest();
    (index, spatial, temporal)
}

/// The encodings that arrive and are wished for, or else the lowest that arrives.
fn allowed(wish: &LayerWish, layers: &[SimulcastLayer]) -> Vec<usize> {
    let position = |rid: &Rid| layers.iter().position(|it| it.rid.as_ref() == Some(rid));
    let active = |end: usize| (0..end).filter(|index| layers[*index].active);
    let all = || active(layers.len());
    let mut allowed: Vec<_> = match wish {
        LayerWish::Automatic
        | LayerWish::UpToBitrate(_)
        | LayerWish::UpToLayers(_)
        | LayerWish::Off => all().collect(),
        LayerWish::UpTo(rid) => {
            active(position(rid).map_or(layers.len(), |index| index + 1)).collect()
        }
        LayerWish::Only(rid) => match position(rid) {
            Some(index) => active(index + 1).next_back().into_iter().collect(),
            None => all().collect(),
        },
    };
    if allowed.is_empty() {
        allowed.extend(all().next());
    }
    allowed
}

/// What there is of one encoding within the bound. Of a larger picture than the smallest no more than one temporal layer is left out: a small one that moves is
/// better than a large one that jerks.
fn steps_of(index: usize, layer: &SimulcastLayer, bound: LayerLimit, is_larger: bool) -> Vec<Step> {
    let within = |it: &&LimitedRate| it.limit.but_at_most(bound) == it.limit;
    let limited: Vec<_> = layer.limited.iter().filter(within).collect();
    let step = |limit, bits_per_second, rank| Step {
        grant: Grant {
            rid: layer.rid.clone(),
            limit,
        },
        bits_per_second,
        rank,
    };
    let Some(smallest) = limited.first().map(|it| it.limit.highest().0) else {
        let rank = rank(index, bound);
        return vec![step(bound, layer.bits_per_second, rank)];
    };
    let mut steps = Vec::new();
    for (place, it) in limited.iter().enumerate() {
        let (spatial, _) = it.limit.highest();
        let is_of_size = |other: &&LimitedRate| other.limit.highest().0 == spatial;
        let better = limited[place + 1..].iter().copied();
        let better = better.take_while(is_of_size).count();
        if better > 1 && (is_larger || spatial > smallest) {
            continue;
        }
        // Nothing more is there now; what comes later is within the bound as well.
        let is_all = place + 1 == limited.len();
        let limit = if is_all { bound } else { it.limit };
        steps.push(step(limit, it.bits_per_second, rank(index, it.limit)));
    }
    steps
}

/// Leaves out what takes more, and what is had not before it takes clearly more; the lowest stays.
fn keep_within(steps: &mut Vec<Step>, most: u64, granted: Option<Rank>) {
    let mut is_first = true;
    let has = granted.and_then(|granted| steps.iter().rposition(|it| it.rank <= granted));
    let has = has.map(|index| steps[index].rank);
    steps.retain(|step| {
        let slack = if has == Some(step.rank) { most / 5 } else { 0 };
        let fits = step.bits_per_second <= most.saturating_add(slack);
        std::mem::take(&mut is_first) || fits
    });
}

#[cfg(test)]
mod tests {
    use super::super::records::{Choice, Origin};
    use super::*;
    use crate::peer_connection::PeerId;
    use crate::track::{MediaKind, MediaStreamTrack};

    /// An encoding of these layers, each size of four times the rate, each temporal layer of as much as all below it.
    fn encoding(rid: Option<&str>, rate: u64, mode: &str) -> SimulcastLayer {
        let (spatial, temporal) = mode.parse::<LayerLimit>().unwrap().highest();
        let mut limited = Vec::new();
        for size in 0..=spatial {
            for often in 0..=temporal {
                let share =
                    4_u64.pow((spatial - size).into()) * 2_u64.pow((temporal - often).into());
                limited.push(LimitedRate {
                    limit: LayerLimit::at_most(size + 1, often + 1),
                    bits_per_second: rate / share,
                });
            }
        }
        SimulcastLayer {
            rid: rid.map(Rid::from),
            active: true,
            bits_per_second: rate,
            limited: if limited.len() > 1 {
                limited
            } else {
                Vec::new()
            },
        }
    }

    fn subscription(
        wish: LayerWish,
        granted: Option<(Option<&str>, LayerLimit)>,
    ) -> SubscriptionRecord {
        SubscriptionRecord {
            subscriber: PeerId::next(),
            track: MediaStreamTrack::new(MediaKind::Video, []),
            source: None,
            origin: Origin::Hand,
            is_attached: true,
            undecodable: None,
            wish,
            granted: granted.map(|(rid, limit)| Grant {
                rid: rid.map(Rid::from),
                limit,
            }),
            choice: Choice::Any,
            limit: LayerLimit::NONE,
        }
    }

    fn candidates(record: &SubscriptionRecord, layers: &[SimulcastLayer]) -> Candidates {
        Candidates::of(record.track.id(), record, layers).unwrap()
    }

    /// Names, limits and rates of what there is to have.
    fn steps(wish: LayerWish, layers: &[SimulcastLayer]) -> Vec<(String, u64)> {
        let found = candidates(&subscription(wish, None), layers);
        assert_eq!(found.had, None);
        let name = |step: &Step| {
            let rid = step.grant.rid.as_ref().map_or("", Rid::as_str);
            (format!("{rid} {}", step.grant.limit), step.bits_per_second)
        };
        found.steps.iter().map(name).collect()
    }

    fn named(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
        let named = expected.iter();
        named
            .map(|(name, rate)| ((*name).to_owned(), *rate))
            .collect()
    }

    #[test]
    fn sizes_come_before_rates_and_a_larger_picture_is_not_bought_with_jerks() {
        let camera = [encoding(None, 1600, "L3T3")];
        let expected = named(&[
            (" L1T1", 25),
            (" L1T2", 50),
            (" L1T3", 100),
            (" L2T2", 200),
            (" L2T3", 400),
            (" L3T2", 800),
            (" all", 1600),
        ]);
        assert_eq!(steps(LayerWish::Automatic, &camera), expected);
    }

    #[test]
    fn the_layers_inside_encodings_stand_between_them() {
        let camera = [
            encoding(Some("l"), 100, "L1T3"),
            encoding(Some("m"), 400, "L1T3"),
        ];
        let expected = named(&[
            ("l L1T1", 25),
            ("l L1T2", 50),
            ("l all", 100),
            ("m L1T2", 200),
            ("m all", 400),
        ]);
        assert_eq!(steps(LayerWish::Automatic, &camera), expected);
        let up_to = steps(LayerWish::UpTo("l".into()), &camera);
        assert_eq!(up_to, expected[..3]);
        let only = steps(LayerWish::Only("m".into()), &camera);
        assert_eq!(only, expected[4..]);
    }

    #[test]
    fn a_wish_for_fewer_layers_bounds_each_encoding_also_where_they_are_not_known() {
        let small = LayerWish::UpToLayers(LayerLimit::NONE.with_spatial(1));
        let expected = named(&[(" L1T1", 25), (" L1T2", 50), (" L1", 100)]);
        assert_eq!(
            steps(small.clone(), &[encoding(None, 1600, "L3T3")]),
            expected
        );
        let expected = named(&[(" L1", 1600)]);
        assert_eq!(steps(small, &[encoding(None, 1600, "L1T1")]), expected);
        let slow = LayerWish::UpToLayers(LayerLimit::at_most(2, 1));
        let expected = named(&[(" L1T1", 25), (" L2T1", 100)]);
        assert_eq!(steps(slow, &[encoding(None, 1600, "L3T3")]), expected);
    }

    #[test]
    fn a_wish_for_a_bitrate_takes_what_is_within_it_and_the_lowest_in_any_case() {
        let camera = [encoding(None, 1600, "L3T3")];
        let within = |most| steps(LayerWish::UpToBitrate(most), &camera).len();
        assert_eq!([0, 30, 200, 399, 400].map(within), [1, 1, 4, 4, 5]);
        // What it has grows.
        let limit = LayerLimit::at_most(2, 3);
        let record = subscription(LayerWish::UpToBitrate(340), Some((None, limit)));
        let found = candidates(&record, &camera);
        assert_eq!((found.steps.len(), found.had), (5, Some(4)));
    }

    #[test]
    fn what_it_has_is_found_again_when_layers_come_and_go() {
        let had = |limit, mode| {
            let record = subscription(LayerWish::Automatic, Some((None, limit)));
            let found = candidates(&record, &[encoding(None, 1600, mode)]);
            found.steps[found.had.unwrap()].grant.limit
        };
        let second = LayerLimit::at_most(2, 2);
        assert_eq!(had(second, "L3T3"), second);
        assert_eq!(had(second, "L1T3"), LayerLimit::NONE, "all that there is");
        assert_eq!(had(LayerLimit::NONE, "L2T2"), LayerLimit::NONE);
        let third = LayerLimit::at_most(2, 3);
        assert_eq!(had(third, "L3T2"), second);
    }

    #[test]
    fn a_step_that_takes_less_for_a_moment_counts_as_what_is_below_it() {
        let mut camera = encoding(None, 1600, "L2T2");
        camera.limited[2].bits_per_second = 10;
        let record = subscription(LayerWish::Automatic, None);
        let demand = candidates(&record, &[camera]).demand();
        assert_eq!(demand.steps, [200, 400, 400, 1600]);
    }

    #[test]
    fn nothing_is_to_be_had_of_what_does_not_arrive() {
        let mut camera = encoding(None, 1600, "L2T2");
        camera.active = false;
        let record = subscription(LayerWish::Automatic, None);
        let found = Candidates::of(record.track.id(), &record, &[camera]);
        assert_eq!(found, None);
        assert_eq!(Candidates::of(record.track.id(), &record, &[]), None);
    }
}
