//! The pure files stay pure, and rooms know only the rooms below them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Folders in which every file is pure, and pure files of rooms, beside every `machine.rs`.
const PURE: [&str; 25] = [
    "src/jsep",
    "src/rtp/",
    "src/srtp",
    "src/stats/assemble",
    "src/forwarder/allocation.rs",
    "src/forwarder/candidates.rs",
    "src/forwarder/layers.rs",
    "src/forwarder/publishing.rs",
    "src/forwarder/reconcile.rs",
    "src/forwarder/records.rs",
    "src/forwarder/reporting.rs",
    "src/forwarder/runtime.rs",
    "src/forwarder/subscribing.rs",
    "src/room/member.rs",
    "src/room/publications.rs",
    "src/room/speakers.rs",
    "src/rtp_transport/choice.rs",
    "src/rtp_transport/layers.rs",
    "src/signaling/broadcaster/session/etag.rs",
    "src/signaling/broadcaster/session/offer.rs",
    "src/signaling/sdpfrag",
    "src/supervision/intensity.rs",
    "src/supervision/life.rs",
    "src/supervision/policy.rs",
    "src/supervision/round.rs",
];

/// What a pure file never mentions.
const RUNTIME: [&str; 6] = [
    "tokio",
    "ractor::",
    "Instant::now",
    "SystemTime::now",
    "async fn",
    ".await",
];

#[test]
fn pure_files_know_neither_runtime_nor_actors_nor_the_clock() {
    let mut seen = 0;
    visit(Path::new("src"), &mut |path, text| {
        let name = path.to_string_lossy().replace('\\', "/");
        let is_listed = PURE.iter().any(|prefix| name.starts_with(prefix));
        let is_machine = path.file_name().is_some_and(|name| name == "machine.rs");
        if name.contains("/tests") || !(is_listed || is_machine) {
            return;
        }
        seen += 1;
        let rules = without_docs(without_tests(text));
        for word in RUNTIME {
            assert!(!rules.contains(word), "{name} mentions {word}");
        }
    });
    assert!(seen > 20, "only {seen} pure files found");
}

#[test]
fn rooms_do_not_know_the_rooms_above_them() {
    // From the top of the tree down; an import may only point down or sideways into pure code.
    let above = [
        (
            "src/udp",
            &["crate::ice", "crate::dtls", "crate::rtp_transport"][..],
        ),
        (
            "src/egress",
            &[
                "crate::ice",
                "crate::dtls",
                "crate::rtp_transport::",
                "crate::peer_connection::",
            ],
        ),
        ("src/ice", &["crate::rtp_transport", "crate::jsep"]),
        ("src/dtls", &["crate::rtp_transport", "crate::jsep"]),
        ("src/srtp", &["crate::rtp", "crate::dtls", "crate::jsep"]),
        ("src/peer_connection", &["crate::forwarder", "crate::room"]),
        ("src/forwarder", &["crate::room", "crate::signaling"]),
    ];
    for (folder, forbidden) in above {
        visit(Path::new(folder), &mut |path, text| {
            // A link in a text is no import.
            let rules = without_docs(without_tests(text));
            for word in forbidden {
                assert!(!rules.contains(*word), "{} imports {word}", path.display());
            }
        });
    }
}

fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]")
        .map_or(text, |(rules, _tests)| rules)
}

/// What an example does is its own affair.
fn without_docs(text: &str) -> String {
    let is_code = |line: &&str| !line.trim_start().starts_with("///");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

fn visit(dir: &Path, check: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, check);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            check(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
