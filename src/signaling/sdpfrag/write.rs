//! From [`SdpFragment`] to text, in the order of RFC 8840 §9.2.

use std::fmt::{self, Display, Formatter};

use super::{FragmentMedia, IceAttributes, SdpFragment};

impl Display for SdpFragment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.ice_lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        write_list(f, "a=ice-options:", &self.ice_options)?;
        self.ice.write_credentials(f)?;
        if self.ice.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        write_list(f, "a=group:BUNDLE ", &self.bundle)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl Display for FragmentMedia {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m={}\r\na=mid:{}\r\n", self.line, self.mid)?;
        self.ice.write_credentials(f)?;
        for candidate in &self.candidates {
            write!(f, "a={candidate}\r\n")?;
        }
        if self.ice.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        Ok(())
    }
}

impl IceAttributes {
    fn write_credentials(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(username_fragment) = &self.username_fragment {
            write!(f, "a=ice-ufrag:{username_fragment}\r\n")?;
        }
        if let Some(password) = &self.password {
            write!(f, "a=ice-pwd:{password}\r\n")?;
        }
        Ok(())
    }
}

fn write_list(f: &mut Formatter<'_>, name: &str, words: &[String]) -> fmt::Result {
    if words.is_empty() {
        return Ok(());
    }
    write!(f, "{name}{}\r\n", words.join(" "))
}
