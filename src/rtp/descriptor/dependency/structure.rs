//! What a stream says once about the frames that it is made of (AV1 RTP §A.8.2).

use super::DependencyError;
use super::bits::Bits;

/// The frames that a stream may have. As large as the header extension that it came in, at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Structure {
    pub(super) id_offset: u8,
    pub(super) decode_targets: u32,
    /// How many chains there are; each is a line of frames without which some decode target cannot go on.
    pub(super) chains: u32,
    templates: Vec<Template>,
    /// The highest spatial and temporal layer of each decode target.
    target_layers: Vec<(u8, u8)>,
}

/// What frames have in common that name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    pub(super) uses: Uses,
    /// How many frames before this one those stand that it refers to.
    pub(super) references: Vec<u16>,
}

/// What a frame is to each decode target, two bits for each, the first target's lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses(u64);

/// What a frame is to a decode target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    NotPresent,
    Discardable,
    /// Who has decoded it can go on with the target from there.
    Switch,
    Required,
}

impl Structure {
    pub(super) fn read(bits: &mut Bits<'_>) -> Result<Self, DependencyError> {
        let id_offset = bits.number(6)? as u8;
        let decode_targets = bits.number(5)? + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            template.uses = Uses::read(bits, decode_targets)?;
        }
        for template in &mut templates {
            while bits.flag()? {
                template.references.push(bits.number(4)? as u16 + 1);
            }
        }
        let chains = pass_chains(bits, decode_targets, templates.len())?;
        // Sizes of pictures may follow, which tell nothing that we need.
        let target_layers = (0..decode_targets)
            .map(|target| layers_of(&templates, target))
            .collect();
        Ok(Self {
            id_offset,
            decode_targets,
            chains,
            templates,
            target_layers,
        })
    }

    /// The template that a frame names.
    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        let index = id.wrapping_sub(self.id_offset) % MAX_TEMPLATES as u8;
        self.templates.get(usize::from(index))
    }

    /// The highest spatial and temporal layer of each decode target.
    pub(super) fn target_layers(&self) -> &[(u8, u8)] {
        &self.target_layers
    }
}

impl Uses {
    pub(super) fn read(bits: &mut Bits<'_>, decode_targets: u32) -> Result<Self, DependencyError> {
        let mut uses = 0;
        for target in 0..decode_targets {
            uses |= u64::from(bits.number(2)?) << (2 * target);
        }
        Ok(Self(uses))
    }

    pub(super) fn of(self, target: u32) -> Use {
        match self.0 >> (2 * target) & 3 {
            0 => Use::NotPresent,
            1 => Use::Discardable,
            2 => Use::Switch,
            _ => Use::Required,
        }
    }
}

/// `template_layers()`: each template is of the layer of the one before, of the next temporal or of the next spatial one.
fn read_layers(bits: &mut Bits<'_>) -> Result<Vec<Template>, DependencyError> {
    let mut templates = vec![Template::default()];
    let (mut spatial, mut temporal) = (0, 0);
    loop {
        match bits.number(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            _ => return Ok(templates),
        }
        let too_many = templates.len() == MAX_TEMPLATES;
        if too_many || spatial > MAX_SPATIAL || temporal > MAX_TEMPORAL {
            return Err(DependencyError::TooManyLayers);
        }
        templates.push(Template {
            spatial,
            temporal,
            ..Template::default()
        });
    }
}

/// `template_chains()`. Says how many chains there are. Which frames are of them is for receivers, who can lose some.
fn pass_chains(
    bits: &mut Bits<'_>,
    decode_targets: u32,
    templates: usize,
) -> Result<u32, DependencyError> {
    let chains = bits.below(decode_targets + 1)?;
    if chains > 0 {
        for _ in 0..decode_targets {
            bits.below(chains)?;
        }
        for _ in 0..templates {
            for _ in 0..chains {
                bits.number(4)?;
            }
        }
    }
    Ok(chains)
}

/// `decode_target_layers()`.
fn layers_of(templates: &[Template], target: u32) -> (u8, u8) {
    let used = |template: &&Template| template.uses.of(target) != Use::NotPresent;
    let used = || templates.iter().filter(used);
    let spatial = used().map(|template| template.spatial).max();
    let temporal = used().map(|template| template.temporal).max();
    (spatial.unwrap_or(0), temporal.unwrap_or(0))
}

/// Identifiers have six bits.
const MAX_TEMPLATES: usize = 64;

/// A layer of AV1 has two bits for the one, three for the other.
const MAX_SPATIAL: u8 = 3;
const MAX_TEMPORAL: u8 = 7;
