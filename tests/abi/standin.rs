//! A stand-in for SPDK's library, and C programs over it: each of SPDK's symbols, which says that it was reached and with what, and looks at
//! nothing.

use super::{
    data::Abi,
    releases::Releases,
    stubs::Prototype,
    table::{Kind, table},
    tools::{Language, Workshop, library, root},
};
use std::{fmt::Write, fs, path::Path};

/// What it returns, as far as the result has room for it; true where it is a truth value.
pub const ANSWER: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// A line of the table of entry points as C sees it.
pub struct Shape {
    /// Types, as they were measured.
    pub parameters: Vec<String>,
    /// Bytes of the result, 0 for none.
    pub size: usize,
    /// The value of a refusal, as C.
    pub refused: String,
    /// What the stand-in's answer is.
    pub answer: u64,
}

/// All of SPDK's entry points, and what they are.
pub fn shapes() -> Vec<(String, Kind, Shape)> {
    let (abi, releases) = (Abi::load(), Releases::load());
    let ours = table().into_iter().filter(|(_, entry)| entry.kind != Kind::Extension);
    ours.map(|(symbol, entry)| {
        let prototype = abi.prototype(&symbol).or_else(|| releases.prototype(&symbol));
        let prototype = Prototype::read(prototype.unwrap_or_else(|| panic!("{symbol} was not measured")));
        let size = size_of_result(&abi, prototype.result);
        let refused = match entry.refused.as_deref() {
            None => {
                assert_eq!(size, 0, "what {symbol} returns when it refuses");
                "0"
            }
            Some("NULL" | "false") => "0",
            Some(value) => value,
        };
        let whole = if prototype.result == "_Bool" { 1 } else { ANSWER };
        let mask = if size == 0 { 0 } else { u64::MAX >> (64 - 8 * size) };
        let shape = Shape {
            parameters: prototype.parameters.iter().map(|&type_| type_.to_owned()).collect(),
            size,
            refused: refused.to_owned(),
            answer: whole & mask,
        };
        (symbol, entry.kind, shape)
    })
    .collect()
}

fn size_of_result(abi: &Abi, type_: &str) -> usize {
    match type_ {
        "void" => 0,
        type_ if type_.starts_with("union ") => {
            let union_ = abi.records().find(|record| type_.ends_with(record.name)).unwrap();
            union_.size.try_into().unwrap()
        }
        type_ => bytes(type_),
    }
}

/// How many bytes a value of a type has that is no record.
pub fn bytes(type_: &str) -> usize {
    match type_ {
        "_Bool" | "char" | "unsigned char" => 1,
        "unsigned short" => 2,
        "int" | "unsigned int" => 4,
        type_ if type_.starts_with("enum ") && !type_.contains('*') => 4,
        _ => 8,
    }
}

/// Its text. What a register or the stack has beside a narrow argument is nobody's, and is left out.
pub fn text() -> String {
    let mut text = String::from(
        "#include <stdint.h>\n#include <stddef.h>\n\
         typedef void (*reached_fn)(const char *symbol, const uint64_t *arguments, size_t count);\n\
         static reached_fn g_reached;\n\
         void standin_tell(reached_fn reached);\nvoid standin_tell(reached_fn reached) { g_reached = reached; }\n\
         static void tell(const char *symbol, const uint64_t *arguments, size_t count) {\n\
         \tif (g_reached != NULL) { g_reached(symbol, arguments, count); }\n}\n",
    );
    for (symbol, _, shape) in shapes() {
        let count = shape.parameters.len();
        let parameters: Vec<_> = (0..count).map(|nth| format!("uint64_t a{nth}")).collect();
        let parameters = if count == 0 { String::from("void") } else { parameters.join(", ") };
        let told = shape.parameters.iter().enumerate();
        let told: String = told.map(|(nth, type_)| format!("(uint{}_t)a{nth}, ", 8 * bytes(type_))).collect();
        writeln!(
            text,
            "uint64_t {symbol}({parameters});\nuint64_t {symbol}({parameters}) {{ const uint64_t a[] = {{{told}0}}; \
             tell(\"{symbol}\", a, {count}); return UINT64_C({}); }}",
            // What is above a narrow result is nobody's either.
            if shape.size == 1 && shape.answer == 1 { 1 } else { ANSWER }
        )
        .unwrap();
    }
    text
}

/// Builds and runs the C program `tests/abi/NAME.c`, which has host and target in one thread, with a header of its own, for the test `test`.
/// What it wrote on stderr.
///
/// Over the stand-in this library is before that, as if preloaded. With `NVME_RDMA_MEMCHECK` in the environment it runs under memcheck.
pub fn run(test: &str, name: &str, (header, text): (&str, &str), over_standin: bool) -> String {
    let workshop = Workshop::new(test);
    fs::write(workshop.path(header), text).unwrap();
    for header in ["spdk", "spdk_internal"] {
        let from = root().join("include").join(header);
        std::os::unix::fs::symlink(from, workshop.path(header)).unwrap();
    }
    fs::copy(root().join("crates/target/include/nvme_rdma_target.h"), workshop.path("nvme_rdma_target.h"))
        .unwrap();
    let program = fs::read_to_string(root().join("tests/abi").join(name).with_extension("c")).unwrap();
    let ours = ["spdk_nvme_rdma", "spdk_env_rdma", "nvme_rdma_target", "softverbs"].map(library);
    let theirs = over_standin.then(|| workshop.shared("libspdk_nvme.so", &self::text()));
    let libraries: Vec<_> = theirs.into_iter().chain(ours).collect();
    let program = workshop.link(Language::C, "program", &program, &libraries);
    let mut command = match std::env::var_os("NVME_RDMA_MEMCHECK") {
        Some(_) => {
            let mut command = workshop.command(Path::new("valgrind"));
            command.args(["--quiet", "--fair-sched=yes", "--error-exitcode=99"]).arg(&program);
            command
        }
        None => workshop.command(&program),
    };
    let mut preloaded = library("softverbs").into_os_string();
    if over_standin {
        preloaded.push(":");
        preloaded.push(library("spdk_nvme_rdma"));
    }
    let output = command.env("LD_PRELOAD", preloaded).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}
