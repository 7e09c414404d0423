//! What was measured of all of SPDK's releases that the library serves, and of the programs that come with them.

use serde_json::Value;
use std::{collections::BTreeMap, fs};

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

    /// The prototype of a symbol in the last release that declares it.
    pub fn prototype(&self, symbol: &str) -> Option<&str> {
        groups(&self.0["prototypes"][symbol]).last()?["canonical"].as_str()
    }

    /// The header of a symbol that is not in those which `Abi` was measured of.
    pub fn header(&self, symbol: &str) -> Option<&str> {
        self.0["headers"][symbol].as_str()
    }

    /// The C types of a symbol, and the releases that declare it so.
    pub fn prototypes(&self, symbol: &str) -> Vec<(&str, Vec<&str>)> {
        groups(&self.0["prototypes"][symbol])
            .map(|group| (group["canonical"].as_str().unwrap(), releases(group)))
            .collect()
    }

    /// The values of an enumerator, and the releases that have it so.
    pub fn enumerator(&self, name: &str) -> Vec<(i64, Vec<&str>)> {
        groups(&self.0["enumerators"][name])
            .map(|group| (group["value"].as_i64().unwrap(), releases(group)))
            .collect()
    }

    /// The structures and unions that are not in all releases what they are in the last one, and what they are in the earlier ones.
    pub fn records(&self) -> impl Iterator<Item = (&str, Vec<Layout<'_>>)> {
        let records = self.0["records"].as_object().unwrap();
        records.iter().map(|(name, value)| (name.as_str(), groups(value).map(Layout::of).collect()))
    }

    /// Which of SPDK's programs and libraries import a symbol.
    pub fn needed_by(&self, symbol: &str) -> Vec<&str> {
        strings(&self.0["needed_by"][symbol])
    }
}

/// A structure or union of some releases.
pub struct Layout<'a> {
    pub releases: Vec<&'a str>,
    pub size: u64,
    /// Fields with names, by them: their first bit, and how many there are. Those of nested records are called `outer.inner`.
    pub fields: BTreeMap<String, (u64, u64)>,
}

impl<'a> Layout<'a> {
    fn of(group: &'a Value) -> Self {
        let place = |place: &Value| (place[0].as_u64().unwrap(), place[1].as_u64().unwrap());
        let fields = group["fields"].as_object().unwrap();
        Self {
            releases: releases(group),
            size: group["size"].as_u64().unwrap(),
            fields: fields.iter().map(|(name, value)| (name.clone(), place(value))).collect(),
        }
    }
}

fn groups(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The releases that a fact is of.
fn releases(group: &Value) -> Vec<&str> {
    if group["releases"] == "all" { RELEASES.to_vec() } else { strings(&group["releases"]) }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}
