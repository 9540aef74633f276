use proptest::prelude::*;

use super::*;

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    digits.map(|pair| byte(pair).unwrap()).collect()
}

/// Structures of Chromium 156, which are those of the specification's examples.
const L1T3: &str = "800001800214eaa860414d1410208427013f00ef";
const L2T3: &str = "c10001800514853abfaaa18f04304302a02a006001001b934515e082704608c0c787004321651111543276809f8077813f80ef80";
const L2T3_KEY: &str = "c00001800514853aaaa8018004004002a02a0060010015d34514174d144c700874321651118543276809f8077813f80ef8";

/// Layers, what a frame is to each decode target, and how far back it refers.
type Line = (u8, u8, &'static str, &'static [u16]);

fn structure_of(hex: &str) -> Structure {
    let mut reader = DependencyReader::default();
    reader.read(&bytes_of(hex), false).unwrap();
    reader.known.unwrap().structure
}

fn uses(uses: Uses, targets: u32) -> String {
    let letter = |target| match uses.of(target) {
        Use::NotPresent => '-',
        Use::Discardable => 'D',
        Use::Switch => 'S',
        Use::Required => 'R',
    };
    (0..targets).map(letter).collect()
}

/// Compares the templates with the lines of a table.
fn assert_templates(structure: &Structure, lines: &[Line]) {
    for (index, (spatial, temporal, expected, references)) in (0..).zip(lines) {
        let id = (index + structure.id_offset) % 64;
        let template = structure.template(id).unwrap();
        let layers = (template.spatial, template.temporal);
        assert_eq!(layers, (*spatial, *temporal), "{index}");
        let told = uses(template.uses, structure.decode_targets);
        assert_eq!(told, *expected, "{index}");
        assert_eq!(template.references, *references, "{index}");
    }
    let behind = lines.len() as u8 + structure.id_offset;
    assert_eq!(structure.template(behind % 64), None);
}

/// AV1 RTP §5.1.
#[test]
fn the_structure_of_three_temporal_layers_is_that_of_the_specification() {
    let structure = structure_of(L1T3);
    assert_eq!((structure.decode_targets, structure.chains), (3, 1));
    assert_eq!(structure.target_layers(), [(0, 0), (0, 1), (0, 2)]);
    assert_templates(
        &structure,
        &[
            (0, 0, "SSS", &[]),
            (0, 0, "SSS", &[4]),
            (0, 1, "-DS", &[2]),
            (0, 2, "--D", &[1]),
            (0, 2, "--D", &[1]),
        ],
    );
}

/// AV1 RTP §5.3, full SVC with the largest decode target first.
#[test]
fn the_structure_of_nine_layers_is_read_as_the_specification_has_it() {
    let lines: &[Line] = &[
        (0, 0, "SSSSSSSSS", &[]),
        (0, 0, "RRRRRRSSS", &[12]),
        (0, 1, "RR-RR-SD-", &[6]),
        (0, 2, "R--R--D--", &[3]),
        (0, 2, "R--R--D--", &[3]),
        (1, 0, "SSSSSS---", &[1]),
        (1, 0, "RRRSSS---", &[12, 1]),
        (1, 1, "RR-SD----", &[6, 1]),
        (1, 2, "R--D-----", &[3, 1]),
        (1, 2, "R--D-----", &[3, 1]),
        (2, 0, "SSS------", &[1]),
        (2, 0, "SSS------", &[12, 1]),
        (2, 1, "SD-------", &[6, 1]),
        (2, 2, "D--------", &[3, 1]),
        (2, 2, "D--------", &[3, 1]),
    ];
    let protected_by = [2, 2, 2, 1, 1, 1, 0, 0, 0];
    let value = written(lines, 3, &protected_by, 60);
    let mut reader = DependencyReader::default();
    reader.read(&value, false).unwrap();
    let structure = &reader.known.as_ref().unwrap().structure;
    assert_eq!((structure.decode_targets, structure.chains), (9, 3));
    assert_eq!(structure.target_layers()[..3], [(2, 2), (2, 1), (2, 0)]);
    assert_templates(structure, lines);
    // Identifiers go on from 63 to 0.
    let frame = reader.read(&[0x01, 0, 2], false).unwrap();
    assert_eq!((frame.spatial, frame.temporal), (1, 0));
}

#[test]
fn upper_spatial_layers_refer_to_lower_ones() {
    let structure = structure_of(L2T3);
    assert_eq!((structure.decode_targets, structure.chains), (6, 2));
    let layers = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
    assert_eq!(structure.target_layers(), layers);
    assert_templates(
        &structure,
        &[
            (0, 0, "SSSRRR", &[8]),
            (0, 0, "SSSSSS", &[]),
            (0, 1, "-DS-RR", &[4]),
            (0, 2, "--D--R", &[2]),
            (0, 2, "--D--R", &[2]),
            (1, 0, "---SSS", &[8, 1]),
            (1, 0, "---SSS", &[1]),
            (1, 1, "----DS", &[4, 1]),
            (1, 2, "-----D", &[2, 1]),
            (1, 2, "-----D", &[2, 1]),
        ],
    );
}

#[test]
fn upper_spatial_layers_of_a_key_structure_refer_to_lower_ones_in_key_pictures_only() {
    let structure = structure_of(L2T3_KEY);
    assert_eq!((structure.decode_targets, structure.chains), (6, 2));
    assert_templates(
        &structure,
        &[
            (0, 0, "SSSSSS", &[]),
            (0, 0, "SSS---", &[8]),
            (0, 1, "-DS---", &[4]),
            (0, 2, "--D---", &[2]),
            (0, 2, "--D---", &[2]),
            (1, 0, "---SSS", &[1]),
            (1, 0, "---SSS", &[8]),
            (1, 1, "----DS", &[4]),
            (1, 2, "-----D", &[2]),
            (1, 2, "-----D", &[2]),
        ],
    );
}

#[test]
fn frames_of_chromium_are_read_with_the_structure_before_them() {
    let mut reader = DependencyReader::default();
    let mut read = |hex: &str| {
        let value = bytes_of(hex);
        let frame = reader.read(&value, false).unwrap();
        let bounds = (frame.begins_frame, frame.ends_frame);
        let layers = (frame.spatial, frame.temporal);
        (
            bounds,
            frame.number,
            layers,
            frame.references().collect::<Vec<_>>(),
        )
    };
    assert_eq!(read(L1T3), ((true, false), 1, (0, 0), vec![]));
    assert_eq!(read("400001"), ((false, true), 1, (0, 0), vec![]));
    assert_eq!(read("c30002"), ((true, true), 2, (0, 2), vec![1]));
    assert_eq!(read("c20003"), ((true, true), 3, (0, 1), vec![1]));
    assert_eq!(read("c40004"), ((true, true), 4, (0, 2), vec![3]));
    assert_eq!(read("810005"), ((true, false), 5, (0, 0), vec![1]));
}

/// Of VP9, where the upper spatial layers are not sent for want of bandwidth.
#[test]
fn a_frame_that_differs_from_its_template_says_how() {
    let mut reader = DependencyReader::default();
    reader.read(&bytes_of(L2T3), false).unwrap();
    let value = bytes_of("c300021a000800");
    let frame = reader.read(&value, false).unwrap();
    assert_eq!((frame.spatial, frame.temporal), (0, 2));
    assert_eq!(frame.references().collect::<Vec<_>>(), [1]);
}

#[test]
fn who_decodes_a_frame_with_a_switch_indication_can_go_on_with_its_target() {
    let mut reader = DependencyReader::default();
    {
        let key = bytes_of(L2T3_KEY);
        let frame = reader.read(&key, false).unwrap();
        assert!(opens(&frame, 0, 0) && opens(&frame, 1, 2));
        assert!(!opens(&frame, 2, 0), "there is no such target");
    }
    // The upper layer of the key picture, and the lowest one of a later picture.
    let frame = reader.read(&[0x85, 0, 2], false).unwrap();
    assert!(!opens(&frame, 0, 2) && opens(&frame, 1, 2));
    let frame = reader.read(&[0x81, 0, 5], false).unwrap();
    assert!(opens(&frame, 0, 2) && !opens(&frame, 1, 2));
}

fn opens(frame: &FrameDependencies<'_>, spatial: u8, temporal: u8) -> bool {
    frame.opens().any(|layers| layers == (spatial, temporal))
}

#[test]
fn a_target_that_is_not_sent_is_not_opened() {
    let mut reader = DependencyReader::default();
    reader.read(&bytes_of(L2T3_KEY), false).unwrap();
    // The lowest three of six targets are active, and the descriptor goes on to say so until another one says otherwise.
    let [inactive, active] = [
        [0x80, 0, 3, 0x40, 0b1110_0000],
        [0x80, 0, 3, 0x47, 0b1110_0000],
    ];
    let frame = reader.read(&inactive, false).unwrap();
    assert!(opens(&frame, 0, 2) && !opens(&frame, 1, 0));
    let frame = reader.read(&active, true).unwrap();
    assert!(!opens(&frame, 1, 0), "it came late");
    let frame = reader.read(&active, false).unwrap();
    assert!(opens(&frame, 1, 0));
}

#[test]
fn a_structure_that_comes_late_replaces_none_that_came_later() {
    let mut reader = DependencyReader::default();
    let spatial = |reader: &mut DependencyReader| {
        let frame = reader.read(&[0x85, 0, 11], false);
        frame.map(|frame| frame.spatial)
    };
    reader.read(&bytes_of(L2T3), true).unwrap();
    assert_eq!(spatial(&mut reader), Ok(1), "the first is better than none");
    reader.read(&bytes_of(L1T3), true).unwrap();
    assert_eq!(spatial(&mut reader), Ok(1));
    reader.learn(&bytes_of(L1T3));
    let unknown = DependencyError::UnknownTemplate { id: 5 };
    assert_eq!(spatial(&mut reader), Err(unknown));
}

#[test]
fn a_frame_without_a_structure_says_nothing() {
    let mut reader = DependencyReader::default();
    let error = reader.read(&[0xc0, 0, 1], false).unwrap_err();
    assert_eq!(error, DependencyError::NoStructure);
}

#[test]
fn every_cut_of_a_descriptor_is_refused() {
    for hex in [L1T3, L2T3, L2T3_KEY] {
        let value = bytes_of(hex);
        // What follows the chains are sizes, of which we have no need.
        for length in 0..12 {
            let cut = DependencyReader::default()
                .read(&value[..length], false)
                .map(drop);
            assert!(cut.is_err(), "{length}: {cut:?}");
        }
    }
}

#[test]
fn more_layers_than_there_can_be_are_refused() {
    // A structure whose templates are each of the next spatial layer, or of the next temporal one.
    for layers in [0b1010_1010, 0b0101_0101, 0b0000_0000] {
        let mut value = vec![0x80, 0, 1, 0x80, 0x00];
        value.extend([layers; 40]);
        let error = DependencyReader::default().read(&value, false).unwrap_err();
        assert_eq!(error, DependencyError::TooManyLayers);
    }
}

proptest! {
    /// Nothing that a stranger sends is a panic, and what is kept is no larger than what came.
    #[test]
    fn any_bytes_are_an_answer(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..255), 1..6),
        has_structure: bool,
    ) {
        let mut reader = DependencyReader::default();
        for mut value in values {
            if has_structure && value.len() > 3 {
                value[3] |= 0x80;
            }
            if let Ok(frame) = reader.read(&value, false) {
                prop_assert!(frame.spatial < 4 && frame.temporal < 8);
                prop_assert!(frame.references().count() < 8 * 255);
                let _any = opens(&frame, 1, 1);
            }
            if let Some(known) = &reader.known {
                prop_assert!(known.structure.size() <= 8 * 255);
            }
        }
    }

    /// A changed bit in a true descriptor.
    #[test]
    fn a_damaged_descriptor_is_an_answer(bit in 0..8 * 40_usize, template: u8) {
        let mut value = bytes_of(L2T3);
        value[bit / 8] ^= 0x80 >> (bit % 8);
        let mut reader = DependencyReader::default();
        let _damaged = reader.read(&value, false).map(drop);
        let _next = reader.read(&[template, 0, 2], false).map(drop);
    }
}

/// The descriptor of a key frame with this structure, its chains all beginning there.
fn written(lines: &[Line], chains: u32, protected_by: &[u32], id_offset: u8) -> Vec<u8> {
    let mut bits = Writer::default();
    bits.number(0b11, 2);
    bits.number(id_offset.into(), 6);
    bits.number(1, 16);
    bits.number(0b10000, 5);
    bits.number(id_offset.into(), 6);
    let targets = protected_by.len() as u32;
    bits.number(targets - 1, 5);
    for pair in lines.windows(2) {
        let [(spatial, temporal, ..), (next_spatial, next_temporal, ..)] = pair else {
            unreachable!()
        };
        let step = if next_spatial > spatial { 2 } else { 0 } + u32::from(next_temporal > temporal);
        bits.number(step, 2);
    }
    bits.number(3, 2);
    for letter in lines.iter().flat_map(|(_, _, uses, _)| uses.chars()) {
        bits.number("-DSR".find(letter).unwrap() as u32, 2);
    }
    for (_, _, _, references) in lines {
        for back in *references {
            bits.number(1, 1);
            bits.number(u32::from(back - 1), 4);
        }
        bits.number(0, 1);
    }
    bits.below(chains, targets + 1);
    protected_by.iter().for_each(|by| bits.below(*by, chains));
    for _ in 0..lines.len() as u32 * chains {
        bits.number(0, 4);
    }
    bits.number(0, 1);
    bits.bytes()
}

#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn number(&mut self, number: u32, bits: u32) {
        let bit = |at: u32| number >> at & 1 == 1;
        self.0.extend((0..bits).rev().map(bit));
    }

    /// `ns(n)`.
    fn below(&mut self, number: u32, values: u32) {
        let width = u32::BITS - values.leading_zeros();
        let short = (1 << width) - values;
        if number < short {
            self.number(number, width - 1);
        } else {
            self.number(number + short, width);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let bits = bits.iter().enumerate();
            bits.map(|(at, bit)| u8::from(*bit) << (7 - at)).sum()
        };
        self.0.chunks(8).map(byte).collect()
    }
}

impl Structure {
    /// References and templates, each of which took a bit at least.
    fn size(&self) -> usize {
        (0..64)
            .filter_map(|id| self.template(id))
            .map(|template| 1 + template.references.len())
            .sum()
    }
}
