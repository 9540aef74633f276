use super::*;

const GUIDE: &str = include_str!("../../guides/advanced/limits.md");

/// As the guide writes numbers.
fn written(number: usize) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut groups = vec![&digits[..head]];
    groups.extend(
        (head..digits.len())
            .step_by(3)
            .map(|at| &digits[at..at + 3]),
    );
    groups.retain(|group| !group.is_empty());
    groups.join(",")
}

#[test]
fn the_guide_has_every_limit_with_its_default() {
    let parts = [
        ("peer", PeerLimits::default().table()),
        ("endpoint", EndpointLimits::default().table()),
    ];
    for (part, limits) in parts {
        for (name, default) in limits {
            let row = format!("| `{part}.{name}` | {} ", written(default));
            assert!(GUIDE.contains(&row), "no row «{row}…»");
        }
    }
}

#[test]
fn numbers_are_written_in_groups_of_three() {
    let written = [7, 256, 1024, 16_384, 2_097_152].map(written);
    assert_eq!(written, ["7", "256", "1,024", "16,384", "2,097,152"]);
}

#[test]
fn each_builder_takes_its_part_of_the_whole() {
    let limits = Limits::default()
        .peer(PeerLimits::default().transceivers(7))
        .endpoint(EndpointLimits::default().peers(8))
        .forwarder(ForwarderLimits::default().peers(9))
        .room(RoomLimits {
            participants: 10,
            ..RoomLimits::default()
        });
    assert_eq!(PeerLimits::from(&limits).transceivers, 7);
    assert_eq!(EndpointLimits::from(&limits).peers, 8);
    assert_eq!(ForwarderLimits::from(&limits).peers, 9);
    assert_eq!(RoomLimits::from(&limits).participants, 10);
}
