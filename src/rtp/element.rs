//! Elements of header extensions, as they stand in a packet (RFC 8285 §4).

/// How the elements of a header extension are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementForm {
    /// There is no extension, or one of a kind that has no elements (RFC 3550 §5.3.1).
    None,
    /// Identifiers 1 to 14, values of 1 to 16 bytes (§4.2).
    OneByte,
    /// Identifiers 1 to 255, values of 0 to 255 bytes (§4.3).
    TwoByte,
}

impl ElementForm {
    /// The form that the first 16 bits of an extension announce.
    pub(super) fn of_profile(profile: u16) -> Self {
        match profile {
            ONE_BYTE_PROFILE => Self::OneByte,
            // The lower four bits are the application's (§4.3).
            _ if profile & 0xfff0 == TWO_BYTE_PROFILE => Self::TwoByte,
            _ => Self::None,
        }
    }
}

/// Walks over elements, skipping padding; ends at the first that does not fit.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    form: ElementForm,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(super) fn new(form: ElementForm, block: &'a [u8]) -> Self {
        Self { form, rest: block }
    }

    /// The identifier of the first element that reaches beyond the block, if any.
    pub(super) fn check(mut self) -> Result<(), u8> {
        while self.step()?.is_some() {}
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(u8, &'a [u8])>, u8> {
        loop {
            let Some((&head, rest)) = self.rest.split_first() else {
                return Ok(None);
            };
            if head == 0 {
                self.rest = rest;
                continue;
            }
            let (id, length, rest) = match self.form {
                ElementForm::None => return Ok(None),
                ElementForm::OneByte => {
                    let id = head >> 4;
                    // Both end the list, whatever their length (§4.2).
                    if id == 0 || id == ONE_BYTE_END {
                        self.rest = &[];
                        return Ok(None);
                    }
                    (id, usize::from(head & 0x0f) + 1, rest)
                }
                ElementForm::TwoByte => {
                    let (&length, rest) = rest.split_first().ok_or(head)?;
                    (head, usize::from(length), rest)
                }
            };
            let (value, rest) = rest.split_at_checked(length).ok_or(id)?;
            self.rest = rest;
            return Ok(Some((id, value)));
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.step().ok().flatten()
    }
}

/// Appends one element.
pub(super) fn write_element(form: ElementForm, id: u8, value: &[u8], into: &mut Vec<u8>) {
    // Callers chose the form by `fits_one_byte`; lengths are at most 255.
    let length = value.len() as u8;
    match form {
        ElementForm::None => return,
        ElementForm::OneByte => into.push(id << 4 | length.saturating_sub(1)),
        ElementForm::TwoByte => into.extend_from_slice(&[id, length]),
    }
    into.extend_from_slice(value);
}

/// Whether an element can be written in one-byte form.
pub(super) fn fits_one_byte(id: u8, length: usize) -> bool {
    (1..ONE_BYTE_END).contains(&id) && (1..=16).contains(&length)
}

/// Announces one-byte elements (§4.2).
pub(super) const ONE_BYTE_PROFILE: u16 = 0xbede;

/// Announces two-byte elements, application bits zero (§4.3).
pub(super) const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Identifier that ends a list of one-byte elements (§4.2).
const ONE_BYTE_END: u8 = 15;
