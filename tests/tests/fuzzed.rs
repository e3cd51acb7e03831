//! The inputs of the fuzzers, without a fuzzer: the corpora that are committed, and each input that once failed.

use std::fs;
use std::path::{Path, PathBuf};

use beach_tests::fuzz::{LIVE, PARSERS, Target};

/// The inputs of a target in this folder, in the order of their names.
fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder).join(target);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.expect("the folder can be read").path()).collect();
    files.sort();
    files
}

fn replay(targets: &[(&str, Target)]) {
    for (name, target) in targets {
        let (seeds, crashes) = (inputs("seeds", name), inputs("crashes", name));
        assert!(seeds.len() >= 5, "the target {name} has a corpus of {} inputs", seeds.len());
        for file in seeds.iter().chain(&crashes) {
            // The name of the input stands above the panic's own words.
            println!("{}", file.display());
            target(&fs::read(file).expect("the input can be read"));
        }
    }
}

#[test]
fn what_fuzzers_found_for_the_decoders_passes() {
    replay(PARSERS);
}

#[test]
fn what_fuzzers_found_for_machines_and_terminals_passes() {
    replay(LIVE);
}

#[test]
fn every_folder_of_inputs_belongs_to_a_target() {
    let known: Vec<&str> = PARSERS.iter().chain(LIVE).map(|(name, _)| *name).collect();
    for folder in ["seeds", "crashes"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder);
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let name = entry.expect("the folder can be read").file_name().into_string().expect("a plain name");
            assert!(known.contains(&name.as_str()), "no target is named {name}");
        }
    }
}
