//! What any toolchain does of fuzzing: each kind's corpus, and then inputs that are made of it.
//!
//! The same number of inputs on any machine; each is made of the seed and its number alone. `FUZZ_SEED` is the seed (a fresh one
//! unless it is given), `FUZZ_INPUTS` the number of inputs of each kind, `FUZZ_KIND` the only kind, `FUZZ_FILE` the only input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use fuzz::{
    KINDS, Kind,
    mutate::{Random, mutate},
};
use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Panics so far, those included that the C face caught.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn corpus(kind: &Kind) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    files.sort();
    files
}

/// Where an input is while it runs, so that it is still there if the process ends with it.
struct Current {
    file: File,
    path: PathBuf,
    /// Milliseconds, and which input.
    slowest: (u128, String),
}

impl Current {
    fn new(kind: &Kind) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", kind.name));
        Self { file: File::create(&path).unwrap(), path, slowest: (0, String::new()) }
    }

    fn run(&mut self, kind: &Kind, input: &[u8], what: &str) {
        let begin = Instant::now();
        self.file.set_len(input.len() as u64).unwrap();
        self.file.write_all_at(input, 0).unwrap();
        let before = PANICS.load(Ordering::Relaxed);
        let ended = catch_unwind(AssertUnwindSafe(|| (kind.run)(input)));
        let milliseconds = begin.elapsed().as_millis();
        if milliseconds > self.slowest.0 {
            self.slowest = (milliseconds, what.to_owned());
        }
        if ended.is_err() || PANICS.load(Ordering::Relaxed) != before {
            let path = self.path.with_extension("found");
            fs::write(&path, input).unwrap();
            panic!(
                "{}: {what} is a finding; it is in {}\nagain: FUZZ_KIND={} FUZZ_FILE={} cargo test -p nvme-rdma-fuzz --test stable",
                kind.name,
                path.display(),
                kind.name,
                path.display()
            );
        }
    }
}

fn run(kind: &Kind, seed: u64) {
    let begin = Instant::now();
    let mut current = Current::new(kind);
    if let Some(file) = std::env::var_os("FUZZ_FILE") {
        // From the folder of the package, where cargo runs its tests, or from the workspace's.
        let input = fs::read(&file).or_else(|_| fs::read(Path::new("..").join(&file))).unwrap();
        return current.run(kind, &input, "the file");
    }
    let files = corpus(kind);
    assert!(!files.is_empty(), "{} has no corpus", kind.name);
    for (path, input) in &files {
        assert!(input.len() <= 8192, "{} is too long for a corpus", path.display());
        current.run(kind, input, &path.display().to_string());
    }
    let inputs = number("FUZZ_INPUTS").unwrap_or(kind.inputs);
    let files: Vec<Vec<u8>> = files.into_iter().map(|(_, input)| input).collect();
    for number in 0..inputs {
        let input = mutate(&files, kind.words, kind.length, &mut Random::of(seed, number));
        current.run(kind, &input, &format!("input {number} of seed {seed}"));
    }
    let milliseconds = begin.elapsed().as_millis();
    let (longest, which) = &current.slowest;
    let name = kind.name;
    eprintln!(
        "{name}: {} of the corpus, {inputs} made, {milliseconds} ms; {longest} ms for {which}",
        files.len()
    );
    fs::remove_file(&current.path).unwrap();
}

/// One after the other: there is one RDMA in a process.
#[test]
fn any_bytes_do_no_harm() {
    let seed = number("FUZZ_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) & 0xffff_ffff);
    eprintln!("FUZZ_SEED={seed}; an input that ends the process stays in {}", env!("CARGO_TARGET_TMPDIR"));
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        others(panic);
    }));
    let only = std::env::var("FUZZ_KIND").ok();
    let kinds: Vec<&Kind> =
        KINDS.iter().filter(|kind| only.as_deref().is_none_or(|only| only == kind.name)).collect();
    assert!(
        !kinds.is_empty(),
        "FUZZ_KIND is none of {:?}",
        KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>()
    );
    kinds.into_iter().for_each(|kind| run(kind, seed));
}
