//! The seeds of a storm, and how a world that failed is run again.
//!
//! A storm is a test binary that takes its seeds from here. `STORM_SEEDS=first..last` names others than the usual ones, and
//! `make replay STORM=name SEED=n` is one of them alone, with all that it logs. A world is the same again only at the same commit, so a
//! failure names that too.

use std::{ops::Range, panic::AssertUnwindSafe, process::Command};

/// Whether somebody chose the seeds, and so wants to read what happens.
#[allow(dead_code)]
pub fn is_chosen() -> bool {
    std::env::var_os("STORM_SEEDS").is_some()
}

/// The seeds of this run: `usual`, or those that were chosen.
pub fn seeds(usual: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("STORM_SEEDS") else { return usual };
    let (first, last) = text.split_once("..").expect("STORM_SEEDS=first..last");
    let seeds = first.parse().expect("a number")..last.parse().expect("a number");
    assert!(!seeds.is_empty(), "STORM_SEEDS={text} is no seed at all");
    seeds
}

/// Runs the world of each seed. Panics with the command that replays it if one fails. `storm` is the name of the test binary.
pub fn each(storm: &str, seeds: Range<u64>, world: impl Fn(u64)) {
    for seed in seeds {
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| world(seed)));
        assert!(
            result.is_ok(),
            "seed {seed} of {storm} fails at {}: make replay STORM={storm} SEED={seed}",
            commit()
        );
    }
}

/// Where the sources are, in git's words.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "a commit that git does not tell".into();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|list| !list.is_empty());
    format!("commit {head}{}", if changed { " with changes that are not committed" } else { "" })
}
