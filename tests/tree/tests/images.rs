//! The Dockerfiles of `packaging/`, without Docker: images are built from the files of a clone, and every path in a
//! Dockerfile exists there or is made by the stage before.

use std::fs;
use std::path::Path;

const DOCKERFILES: [&str; 2] = ["packaging/Dockerfile", "packaging/Dockerfile.serve"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A stage of a Dockerfile, up to the next `FROM`.
#[derive(Default)]
struct Stage {
    /// The image that the stage begins with.
    image: String,
    name: String,
    workdir: String,
    /// Every `RUN`.
    runs: Vec<String>,
    /// The sources of each `COPY`, with the stage that they come from; without one they come from the clone.
    copies: Vec<(Option<String>, String)>,
    /// Paths that a `COPY` makes.
    copied: Vec<String>,
    /// The program of the `ENTRYPOINT`.
    entrypoint: Option<String>,
}

fn stages(dockerfile: &str) -> Vec<Stage> {
    let lines = dockerfile.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines.replace("\\\n", " ").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [instruction, rest @ ..] = words.as_slice() else { continue };
        if let ("FROM", [image, name @ ..]) = (*instruction, rest) {
            let name = name.get(1).copied().unwrap_or_default();
            stages.push(Stage { image: (*image).to_owned(), name: name.to_owned(), ..Stage::default() });
            continue;
        }
        let stage = stages.last_mut().expect("a Dockerfile begins with FROM");
        match (*instruction, rest) {
            ("WORKDIR", [path]) => stage.workdir = (*path).to_owned(),
            ("RUN", _) => stage.runs.push(rest.join(" ")),
            ("COPY", [sources @ .., to]) => {
                let (from, sources) = match sources {
                    [from, sources @ ..] if from.starts_with("--from=") => (from.strip_prefix("--from="), sources),
                    sources => (None, sources),
                };
                let sources = sources.iter().filter(|source| !source.starts_with("--chown="));
                stage.copies.extend(sources.map(|path| (from.map(str::to_owned), (*path).to_owned())));
                stage.copied.push((*to).to_owned());
            }
            ("ENTRYPOINT", [program, ..]) => {
                stage.entrypoint = Some(program.trim_matches(['[', ']', '"', ',']).to_owned());
            }
            ("USER" | "ENV" | "EXPOSE" | "CMD", _) => {}
            _ => panic!("this test does not know: {line}"),
        }
    }
    stages
}

/// The packages that the builds of a stage name, with their programs: `beach` for `beach-cli`.
fn programs(stage: &Stage) -> Vec<String> {
    let builds = stage.runs.iter().filter(|run| run.starts_with("cargo build"));
    let packages = builds.map(|build| {
        let words: Vec<&str> = build.split(' ').collect();
        assert!(words.contains(&"--release") && words.contains(&"--locked"), "{build}");
        let package = words.iter().position(|word| *word == "-p").and_then(|at| words.get(at + 1));
        *package.expect("a build names its package")
    });
    let folders = ["core", "runtime-tokio", "cli", "tests", "tests/tree", "bench"];
    let manifests: Vec<String> = folders.iter().map(|folder| read(&format!("{folder}/Cargo.toml"))).collect();
    let names = packages.map(|package| {
        let named = |manifest: &&String| manifest.lines().any(|line| line == format!("name = \"{package}\""));
        let manifest = manifests.iter().find(named).unwrap_or_else(|| panic!("no package {package}"));
        let (_, program) = manifest.split_once("[[bin]]\nname = \"").expect("the package has a program");
        program.split('"').next().expect("a name").to_owned()
    });
    names.collect()
}

#[test]
fn an_image_is_built_from_all_files_of_a_clone_and_no_others() {
    let entries = |path| -> Vec<String> {
        let text = read(path);
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let mut left_out: Vec<String> = entries(".gitignore")
        .iter()
        .map(|entry| {
            let path = entry.strip_prefix('/').expect("an entry of .gitignore begins at the root");
            assert!(!path.contains(['*', '?', '[', '!']), "{path}: both files have plain paths, which mean the same");
            path.to_owned()
        })
        .collect();
    left_out.push(".git".to_owned());
    let mut ignored = entries(".dockerignore");
    left_out.sort();
    ignored.sort();
    assert_eq!(ignored, left_out, ".dockerignore is .gitignore and .git");
}

#[test]
fn every_path_that_a_dockerfile_copies_exists_or_is_made_before() {
    for dockerfile in DOCKERFILES {
        let stages = stages(&read(dockerfile));
        assert!(stages.iter().any(|stage| !programs(stage).is_empty()), "{dockerfile} builds nothing");
        for (at, stage) in stages.iter().enumerate() {
            for (from, path) in &stage.copies {
                let Some(from) = from else {
                    assert!(root().join(path).exists(), "{dockerfile}: {path} is not in the tree");
                    continue;
                };
                let earlier = stages[..at].iter().find(|earlier| earlier.name == *from);
                let earlier = earlier.unwrap_or_else(|| panic!("{dockerfile}: no stage {from}"));
                let built =
                    programs(earlier).into_iter().map(|name| format!("{}/target/release/{name}", earlier.workdir));
                let made = earlier.runs.iter().any(|run| run.starts_with(&format!("mkdir {path} ")));
                assert!(made || built.into_iter().any(|built| built == *path), "{dockerfile}: {from} makes no {path}");
            }
        }
        let last = stages.last().expect("a stage");
        let program = last.entrypoint.as_ref().expect("an ENTRYPOINT");
        let copied = |to: &String| to == "/" || Path::new(to).ends_with(program);
        assert!(last.copied.iter().any(copied), "{dockerfile}: {program} is not in the image");
    }
}

#[test]
fn both_stages_of_an_image_have_the_libraries_of_one_debian() {
    for dockerfile in DOCKERFILES {
        let stages = stages(&read(dockerfile));
        let release = |stage: &Stage| {
            let words = stage.image.split(['-', ':']).map(str::to_owned).collect::<Vec<_>>();
            words.into_iter().find(|word| !["rust", "debian", "slim", "1"].contains(&word.as_str()))
        };
        let releases: Vec<_> = stages.iter().filter(|stage| stage.image != "scratch").map(release).collect();
        assert!(releases.iter().all(|each| each.is_some() && *each == releases[0]), "{dockerfile}: {releases:?}");
    }
}
