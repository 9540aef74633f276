//! What a message is, without what it carries.

use std::fmt::{self, Debug, Write};

/// The name of a message's variant, and behind a slash that of the enum inside it, if there is one.
pub(super) fn kind_of(message: &impl Debug) -> String {
    let mut beginning = Beginning(String::new());
    // It ends with an error once it has enough.
    let _enough = write!(beginning, "{message:?}");
    let text = beginning.0;
    let outer = word(&text);
    let inside = &text[outer.len()..];
    let inner = FIELDS
        .iter()
        .find_map(|field| Some(inside.split_once(field)?.1))
        .or_else(|| inside.strip_prefix('('))
        .map_or("", word);
    if inner.starts_with(char::is_uppercase) {
        format!("{outer}/{inner}")
    } else {
        outer.to_owned()
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|it: char| !it.is_alphanumeric() && it != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Takes the first bytes of what is written, and spares itself the rest.
struct Beginning(String);

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        if self.0.len() < ENOUGH {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// Fields that hold an enum of their own, which says more than the message does.
const FIELDS: [&str; 3] = ["command: ", "fact: ", "event: "];

/// Both names are within it.
const ENOUGH: usize = 160;

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by `Debug`")]
    enum Outer {
        Plain,
        Number(u32),
        Wrapped(Inner),
        Command { id: u32, command: Inner },
        Long { text: String },
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by `Debug`")]
    enum Inner {
        Plain,
        Some { id: u32 },
    }

    #[test]
    fn a_kind_is_the_variant_and_the_variant_within() {
        assert_eq!(kind_of(&Outer::Plain), "Plain");
        assert_eq!(kind_of(&Outer::Number(3)), "Number");
        assert_eq!(kind_of(&Outer::Wrapped(Inner::Plain)), "Wrapped/Plain");
        let command = Inner::Some { id: 7 };
        assert_eq!(kind_of(&Outer::Command { id: 1, command }), "Command/Some");
    }

    #[test]
    fn what_a_message_carries_is_not_read_to_its_end() {
        let text = "x".repeat(1_000_000);
        assert_eq!(kind_of(&Outer::Long { text }), "Long");
    }
}
