//! The rules of a supervisor without actors, and then with them.

mod actors;
mod random;
mod rules;
