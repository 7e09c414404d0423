//! One library for programs that were built with any of the releases: what the earlier ones say of the C face, against the last one, whose
//! headers the library's follow.

use super::{
    data::{Abi, Field, FieldKind},
    releases::{Layout, RELEASES, Releases},
};
use std::collections::BTreeMap;

/// Structures that are not the same in all releases, and how the library tells what the program has.
const TOLD: &[(&str, &str)] = &[
    ("spdk_nvme_io_qpair_opts", "each entry is given its size"),
    ("spdk_nvme_transport_opts", "each entry is given its size"),
    ("spdk_nvme_transport_ops", "it is for SPDK's library alone"),
    ("spdk_nvme_trid_entry", "SPDK's library, where there is one, fills it in"),
];

/// All that the releases disagree about, and rules that nothing needs.
pub fn disagreements(abi: &Abi, releases: &Releases) -> Vec<String> {
    let mut found = Vec::new();
    for symbol in releases.symbols() {
        let types = releases.prototypes(symbol);
        let declaring: Vec<_> = types.iter().flat_map(|(_, releases)| releases.clone()).collect();
        if declaring != releases.exporting(symbol) {
            found.push(format!(
                "{symbol}: exported by {:?}, declared by {declaring:?}",
                releases.exporting(symbol)
            ));
        }
        // What is not there yet has no prototype of ours.
        let ours = abi.prototype(symbol);
        if types.len() != 1 || ours.is_some_and(|ours| ours != types[0].0) {
            found.push(format!("{symbol}: {types:?}, ours is {ours:?}"));
        }
    }
    for (name, value) in abi.enums().flat_map(|(_, values)| values) {
        let values = releases.enumerator(name);
        let [(only, having)] = &values[..] else {
            found.push(format!("{name}: {values:?}"));
            continue;
        };
        if *only != value || having.last() != RELEASES.last() {
            found.push(format!("{name}: {only} in {having:?}, ours is {value}"));
        }
    }
    let ours: BTreeMap<_, _> = abi.records().map(|record| (record.name, record)).collect();
    for (name, layouts) in releases.records() {
        let record = &ours[name];
        let mut places = BTreeMap::new();
        leaves(&record.fields, 0, "", &mut places);
        let differs: Vec<_> =
            layouts.iter().filter_map(|layout| differs(layout, record.size, &places)).collect();
        let is_told = TOLD.iter().any(|(told, _)| *told == name);
        if differs.is_empty() == is_told {
            found.push(format!("{name}: told of: {is_told}, different: {differs:?}"));
        }
    }
    found
}

/// What an earlier layout has elsewhere, if anything.
fn differs(layout: &Layout<'_>, size: u64, places: &BTreeMap<String, (u64, u64)>) -> Option<String> {
    let Layout { releases, size: its, fields } = layout;
    let moved: Vec<_> = fields
        .iter()
        .filter(|(name, place)| places.get(*name).is_some_and(|now| now != *place))
        .map(|(name, _)| name)
        .collect();
    (*its != size || !moved.is_empty()).then(|| format!("{releases:?}: {its} bytes, now {size}; {moved:?}"))
}

/// Where the fields with names are: their first bit, and how many there are. What is reserved may come to be anything.
fn leaves(fields: &[Field<'_>], base: u64, prefix: &str, places: &mut BTreeMap<String, (u64, u64)>) {
    for Field { name, bit_offset, kind } in fields {
        let begin = base + bit_offset;
        let bits = match kind {
            FieldKind::Nested { fields, .. } => {
                let prefix = if name.is_empty() { prefix.to_owned() } else { format!("{prefix}{name}.") };
                leaves(fields, begin, &prefix, places);
                continue;
            }
            FieldKind::Bits { bits, .. } => *bits,
            FieldKind::Plain { size, .. } => size.unwrap_or(0) * 8,
        };
        places.insert(format!("{prefix}{name}"), (begin, bits));
    }
}
