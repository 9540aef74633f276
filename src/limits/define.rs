//! How a struct of limits is written down: once.

/// Makes a struct of limits with its default, and a setter for each. What is said of a limit here is the documentation of both.
macro_rules! limits {
    (
        $(#[$outer:meta])*
        $Name:ident { $($(#[doc = $doc:literal])+ $limit:ident: $default:expr,)+ }
        $($(#[doc = $other_doc:literal])+ $other:ident: $Other:ty,)*
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $Name {
            $($(#[doc = $doc])+ pub $limit: usize,)+
            $($(#[doc = $other_doc])+ pub $other: $Other,)*
        }

        impl Default for $Name {
            fn default() -> Self {
                Self {
                    $($limit: $default,)+
                    $($other: <$Other>::default(),)*
                }
            }
        }

        impl $Name {
            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $limit(self, $limit: usize) -> Self {
                    Self { $limit, ..self }
                }
            )+
            $(
                $(#[doc = $other_doc])+
                #[must_use]
                pub fn $other(self, $other: $Other) -> Self {
                    Self { $other, ..self }
                }
            )*

            /// The limits by name, for the table of the guide to be held against.
            #[cfg(test)]
            pub(super) fn table(&self) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($limit), self.$limit),)+]
            }
        }
    };
}

pub(super) use limits;
