//! Panics: those on purpose, and all others.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

static ON_PURPOSE: AtomicUsize = AtomicUsize::new(0);
static OTHERS: AtomicUsize = AtomicUsize::new(0);

/// Counts every panic of the process from now on, also one that an actor or a task catches.
pub(crate) fn watch() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let written = payload.downcast_ref::<String>().map(String::as_str);
        let said = written.or_else(|| payload.downcast_ref::<&str>().copied());
        if said.is_some_and(|said| said.contains(PURPOSE)) {
            ON_PURPOSE.fetch_add(1, Ordering::Relaxed);
        } else {
            OTHERS.fetch_add(1, Ordering::Relaxed);
            print(info);
        }
    }));
}

/// Panics.
pub(crate) fn on_purpose() -> ! {
    panic!("{PURPOSE}")
}

/// So many on purpose.
pub(crate) fn injected() -> usize {
    ON_PURPOSE.load(Ordering::Relaxed)
}

/// That there was no other.
pub(crate) fn expect_no_other() {
    assert_eq!(
        OTHERS.load(Ordering::Relaxed),
        0,
        "panics that nobody wanted"
    );
}

const PURPOSE: &str = "on purpose";
