//! The dependency descriptor (AV1 RTP, appendix A): which layers a frame is of and what it refers to, for any codec.

mod bits;
mod structure;

use self::bits::Bits;
use self::structure::{Structure, Use, Uses};

/// Reads the descriptors of one stream, which say once what all its frames have in common.
#[derive(Clone, Debug, Default)]
pub(in crate::rtp) struct DependencyReader {
    known: Option<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    structure: Structure,
    /// A bit for each decode target that the sender sends at present.
    active: u32,
}

/// What one packet says of its frame.
#[derive(Debug)]
pub(in crate::rtp) struct FrameDependencies<'a> {
    /// It brings the structure of what follows, of which nothing refers to what was before.
    pub(in crate::rtp) begins_sequence: bool,
    pub(in crate::rtp) begins_frame: bool,
    pub(in crate::rtp) ends_frame: bool,
    /// Counts frames of all layers.
    pub(in crate::rtp) number: u16,
    pub(in crate::rtp) spatial: u8,
    pub(in crate::rtp) temporal: u8,
    uses: Uses,
    references: Differences<'a>,
    known: &'a Known,
}

/// How far back frames stand: as the template says, or as the frame does.
#[derive(Debug)]
enum Differences<'a> {
    OfTemplate(&'a [u16]),
    Own(Vec<u16>),
}

/// Why a descriptor says nothing. The sender's fault, but for the second and the third, which a loss explains as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::rtp) enum DependencyError {
    #[error("dependency descriptor is cut off")]
    Truncated,
    #[error("dependency descriptor without a structure before it")]
    NoStructure,
    #[error("dependency descriptor names template {id}, which its structure has not")]
    UnknownTemplate { id: u8 },
    #[error("dependency structure has more layers or templates than there can be")]
    TooManyLayers,
}

/// The mandatory fields.
struct Head {
    begins_frame: bool,
    ends_frame: bool,
    template: u8,
    number: u16,
}

/// Which fields follow.
#[derive(Default)]
struct Extended {
    structure: bool,
    active: bool,
    uses: bool,
    references: bool,
    chains: bool,
}

impl DependencyReader {
    /// Takes over the structure that a descriptor brings, if it does. All that an unlimited stream needs to be read.
    pub(in crate::rtp) fn learn(&mut self, value: &[u8]) {
        if value.len() > SHORT_BYTES {
            // What says nothing teaches nothing.
            let _unreadable = self.read(value, false);
        }
    }

    /// What a descriptor says. One that came `late`, behind packets of later frames, changes nothing of how those are read.
    pub(in crate::rtp) fn read(
        &mut self,
        value: &[u8],
        late: bool,
    ) -> Result<FrameDependencies<'_>, DependencyError> {
        let mut bits = Bits::new(value);
        let head = Head::read(&mut bits)?;
        let extended = if value.len() > SHORT_BYTES {
            Extended::read(&mut bits)?
        } else {
            Extended::default()
        };
        if extended.structure {
            let structure = Structure::read(&mut bits)?;
            if !late || self.known.is_none() {
                self.known = Some(Known::new(structure));
            }
        }
        let known = self.known.as_mut().ok_or(DependencyError::NoStructure)?;
        if extended.active {
            let active = bits.number(known.structure.decode_targets)?;
            if !late {
                known.active = active;
            }
        }
        let known = &*known;
        let id = head.template;
        let template = known.structure.template(id);
        let template = template.ok_or(DependencyError::UnknownTemplate { id })?;
        let mut uses = template.uses;
        if extended.uses {
            uses = Uses::read(&mut bits, known.structure.decode_targets)?;
        }
        let mut references = Differences::OfTemplate(&template.references);
        if extended.references {
            references = Differences::Own(read_references(&mut bits)?);
        }
        if extended.chains {
            for _ in 0..known.structure.chains {
                bits.number(8)?;
            }
        }
        Ok(FrameDependencies {
            begins_sequence: extended.structure,
            begins_frame: head.begins_frame,
            ends_frame: head.ends_frame,
            number: head.number,
            spatial: template.spatial,
            temporal: template.temporal,
            uses,
            references,
            known,
        })
    }
}

impl Known {
    fn new(structure: Structure) -> Self {
        // The lowest bit is the first target's, here and where the sender says it.
        let active = u32::MAX >> (u32::BITS - structure.decode_targets);
        Self { structure, active }
    }
}

impl FrameDependencies<'_> {
    /// Who decodes this frame can go on with all frames of these spatial and temporal layers, and of lower ones. Only what the sender
    /// sends at present.
    pub(in crate::rtp) fn opens(&self) -> impl Iterator<Item = (u8, u8)> {
        let Known { structure, active } = self.known;
        let targets = (0..).zip(structure.target_layers());
        let is_open =
            move |target| active >> target & 1 == 1 && self.uses.of(target) == Use::Switch;
        targets
            .filter(move |(target, _)| is_open(*target))
            .map(|(_, layers)| *layers)
    }

    /// The numbers of the frames that it refers to.
    pub(in crate::rtp) fn references(&self) -> impl Iterator<Item = u16> {
        let differences = match &self.references {
            Differences::OfTemplate(differences) => differences,
            Differences::Own(differences) => &differences[..],
        };
        differences
            .iter()
            .map(|back| self.number.wrapping_sub(*back))
    }
}

impl Head {
    fn read(bits: &mut Bits<'_>) -> Result<Self, DependencyError> {
        Ok(Self {
            begins_frame: bits.flag()?,
            ends_frame: bits.flag()?,
            template: bits.number(6)? as u8,
            number: bits.number(16)? as u16,
        })
    }
}

impl Extended {
    fn read(bits: &mut Bits<'_>) -> Result<Self, DependencyError> {
        Ok(Self {
            structure: bits.flag()?,
            active: bits.flag()?,
            uses: bits.flag()?,
            references: bits.flag()?,
            chains: bits.flag()?,
        })
    }
}

/// `frame_fdiffs()`: each behind its size in half bytes.
fn read_references(bits: &mut Bits<'_>) -> Result<Vec<u16>, DependencyError> {
    let mut references = Vec::new();
    loop {
        let size = bits.number(2)?;
        if size == 0 {
            return Ok(references);
        }
        references.push(bits.number(4 * size)? as u16 + 1);
    }
}

/// So long are descriptors that say nothing of their own (AV1 RTP §A.8.2).
const SHORT_BYTES: usize = 3;

#[cfg(test)]
mod tests;
