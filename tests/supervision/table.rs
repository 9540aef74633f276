//! The table of the guide, held against the tests.

use std::fs;
use std::path::Path;

#[test]
fn every_row_of_the_guide_has_a_test() {
    let guide = fs::read_to_string("guides/advanced/supervision.md").unwrap();
    let (table, _) = guide.split_once("## Coming back").unwrap();
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        read_all(Path::new(folder), &mut sources);
    }
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let tests = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        let is_head = tests.trim().starts_with("test") && !tests.contains(".rs`");
        if is_head || tests.contains("---") {
            continue;
        }
        rows += 1;
        let names = tests.split('`').skip(1).step_by(2);
        let mut named = tests.contains("the same");
        for name in names {
            named = true;
            let exists = match name.strip_suffix('…') {
                _ if name.ends_with(".rs") => {
                    let beside = Path::new("tests/supervision").join(name);
                    Path::new(name).exists() || beside.exists()
                }
                Some(beginning) => sources.contains(&format!("fn {beginning}")),
                None => sources.contains(&format!("fn {name}(")),
            };
            assert!(exists, "{name} in {row}");
        }
        assert!(named, "no test: {row}");
    }
    assert!(rows > 35, "only {rows} rows found");
}

fn read_all(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
