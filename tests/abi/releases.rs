//! What was measured of all of SPDK's releases that the library serves, and of the programs that come with them.

use serde_json::Value;
use std::fs;

/// Facts of `abi/releases.json`.
pub struct Releases(Value);

/// The releases, oldest first.
pub const RELEASES: [&str; 5] = ["24.09", "25.05", "25.09", "26.01", "26.05"];

impl Releases {
    pub fn load() -> Self {
        let path = super::tools::root().join("tests/abi/releases.json");
        Self(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    /// Every symbol that a release exports.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.0["exported"].as_object().unwrap().keys().map(String::as_str)
    }

    /// The releases that export a symbol, oldest first.
    pub fn exporting(&self, symbol: &str) -> Vec<&str> {
        strings(&self.0["exported"][symbol])
    }

    /// The prototype of a symbol that is not in the headers which `Abi` was measured of.
    pub fn prototype(&self, symbol: &str) -> Option<&str> {
        self.0["functions"][symbol]["canonical"].as_str()
    }

    pub fn header(&self, symbol: &str) -> Option<&str> {
        self.0["functions"][symbol]["header"].as_str()
    }

    /// Which of SPDK's programs and libraries import a symbol.
    pub fn needed_by(&self, symbol: &str) -> Vec<&str> {
        strings(&self.0["needed_by"][symbol])
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}
