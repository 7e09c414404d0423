//! Build script of the root package.

fn main() {}
