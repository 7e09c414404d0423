//! C text made of the measured ABI: a program that checks our headers, and a header of its own.

use super::{
    data::{Abi, Field, FieldKind, Record},
    tools::headers,
};
use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

/// A program that fails to compile, or names what is wrong, if our headers differ; and how much it checks.
pub struct Checks {
    pub text: String,
    pub records: usize,
    pub enumerators: usize,
    pub macros: usize,
    pub bit_fields: usize,
    pub typedefs: usize,
}

impl fmt::Display for Checks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, enumerators, macros, bit_fields, typedefs, .. } = self;
        write!(
            formatter,
            "{records} records, {bit_fields} bit-fields, {enumerators} enumerators, {macros} macros, {typedefs} typedefs"
        )
    }
}

/// Names that must not be missing even if the rest is: a header that offers nothing would pass otherwise.
const PRELUDE: &str = r#"
#ifdef __cplusplus
#include <type_traits>
#define _Bool bool
#define CHECK(condition, text) static_assert(condition, text)
#define ALIGN(type) alignof(type)
#define SAME(one, other) std::is_same<one, other>::value
#define MEMBER(type, member) decltype(((type *)0)->member)
#else
#define CHECK(condition, text) _Static_assert(condition, text)
#define ALIGN(type) _Alignof(type)
#define SAME(one, other) __builtin_types_compatible_p(one, other)
#define MEMBER(type, member) __typeof__(((type *)0)->member)
#endif

static int g_wrong;
static volatile uint64_t g_ones = UINT64_MAX;

/* Whether exactly these bits of an object are set. */
static inline void
bits(const void *object, size_t size, size_t offset, size_t count, const char *name)
{
	const uint8_t *bytes = (const uint8_t *)object;
	for (size_t bit = 0; bit < size * 8; bit++) {
		int is = bytes[bit / 8] >> bit % 8 & 1;
		int should = bit >= offset && bit < offset + count;
		if (is != should) {
			printf("%s: bit %zu is %d\n", name, bit, is);
			g_wrong = 1;
			return;
		}
	}
}
"#;

/// Checks everything of the ABI that these headers offer.
pub fn checks(abi: &Abi, header_text: &str) -> Checks {
    let offered: BTreeSet<&str> =
        header_text.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_').collect();
    let mut checks = Checks {
        text: headers() + PRELUDE,
        records: 0,
        enumerators: 0,
        macros: 0,
        bit_fields: 0,
        typedefs: 0,
    };
    let mut body = String::new();
    for record in abi.records() {
        if header_text.contains(&format!("{} {} {{", record.kind, record.name)) {
            checks.record(&record, &mut body);
        }
    }
    for (name, values) in abi.enums() {
        if !header_text.contains(&format!("enum {name} {{")) {
            continue;
        }
        for (enumerator, value) in values {
            writeln!(checks.text, "CHECK((long long){enumerator} == {value}LL, \"{enumerator}\");").unwrap();
            checks.enumerators += 1;
        }
    }
    for (name, value) in abi.macros() {
        if !header_text.contains(&format!("#define {name} ")) {
            continue;
        }
        if value.starts_with('"') {
            writeln!(body, "\tif (strcmp({name}, {value})) {{ puts(\"{name}\"); g_wrong = 1; }}").unwrap();
        } else {
            writeln!(checks.text, "CHECK(({name}) == ({value}), \"{name}\");").unwrap();
            writeln!(checks.text, "CHECK(sizeof({name}) == sizeof({value}), \"type of {name}\");").unwrap();
        }
        checks.macros += 1;
    }
    for (name, canonical) in abi.typedefs() {
        if offered.contains(name) {
            writeln!(checks.text, "CHECK(SAME({name}, __typeof__({canonical})), \"{name}\");").unwrap();
            checks.typedefs += 1;
        }
    }
    writeln!(checks.text, "int main(void)\n{{\n{body}\treturn g_wrong;\n}}").unwrap();
    checks
}

impl Checks {
    fn record(&mut self, record: &Record<'_>, body: &mut String) {
        let type_ = format!("{} {}", record.kind, record.name);
        let Record { size, align, .. } = record;
        writeln!(self.text, "CHECK(sizeof({type_}) == {size}, \"size of {type_}\");").unwrap();
        writeln!(self.text, "CHECK(ALIGN({type_}) == {align}, \"alignment of {type_}\");").unwrap();
        self.fields(record, &type_, "", 0, &record.fields, body);
        self.records += 1;
    }

    fn fields(
        &mut self,
        record: &Record<'_>,
        type_: &str,
        path: &str,
        base: u64,
        fields: &[Field<'_>],
        body: &mut String,
    ) {
        for field in fields {
            let member = format!("{path}{}", field.name);
            let label = format!("{}.{member}", record.name);
            let offset = base + field.bit_offset;
            match &field.kind {
                FieldKind::Bits { bits, .. } => {
                    writeln!(
                        body,
                        "\t{{ {type_} object; memset(&object, 0, sizeof(object)); object.{member} = g_ones; \
                         bits(&object, sizeof(object), {offset}, {bits}, \"{label}\"); }}"
                    )
                    .unwrap();
                    self.bit_fields += 1;
                }
                FieldKind::Nested { size, fields } => {
                    if field.name.is_empty() {
                        self.fields(record, type_, path, offset, fields, body);
                    } else {
                        self.place(type_, &member, offset, &label);
                        self.size(type_, &member, *size, &label);
                        self.fields(record, type_, &format!("{member}."), offset, fields, body);
                    }
                }
                FieldKind::Plain { size, type_: of } => {
                    self.place(type_, &member, offset, &label);
                    if let Some(size) = size {
                        self.size(type_, &member, *size, &label);
                    }
                    // The types of nested members and of records without a name cannot be written down.
                    if size.is_some_and(|size| size != 0)
                        && !member.contains('.')
                        && !of.contains("(anonymous)")
                    {
                        writeln!(
                            self.text,
                            "CHECK(SAME(MEMBER({type_}, {member}), __typeof__({of})), \"type of {label}\");"
                        )
                        .unwrap();
                    }
                }
            }
        }
    }

    fn place(&mut self, type_: &str, member: &str, offset: u64, label: &str) {
        let offset = offset / 8;
        writeln!(self.text, "CHECK(offsetof({type_}, {member}) == {offset}, \"offset of {label}\");")
            .unwrap();
    }

    fn size(&mut self, type_: &str, member: &str, size: u64, label: &str) {
        writeln!(self.text, "CHECK(sizeof((({type_} *)0)->{member}) == {size}, \"size of {label}\");")
            .unwrap();
    }
}

/// A header with SPDK's layout, made of the data alone: what a program that was compiled against SPDK knows.
///
/// Every record is bytes of the right size and alignment, with its plain members at their offsets; functions have their
/// prototypes, enumerators and macros their values.
pub fn header(abi: &Abi) -> String {
    // A system header: what the compiler would warn of (records in packed ones) is how this is meant.
    let mut text = String::from(
        "#pragma once\n#pragma GCC system_header\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n",
    );
    for (name, values) in abi.enums() {
        let values: String = values.iter().map(|(name, value)| format!("{name} = {value}, ")).collect();
        writeln!(text, "enum {name} {{ {values}}};").unwrap();
    }
    for name in named_structs(abi) {
        writeln!(text, "struct {name};").unwrap();
    }
    let mut done = BTreeSet::new();
    let records: Vec<_> = abi.records().collect();
    // Records that hold others by value come after these.
    while done.len() < records.len() {
        let before = done.len();
        for record in &records {
            if !done.contains(record.name) && needs(&record.fields).iter().all(|name| done.contains(name)) {
                define(record, &mut text);
                done.insert(record.name);
            }
        }
        assert!(done.len() > before, "records that hold each other");
    }
    for (name, canonical) in abi.typedefs() {
        writeln!(text, "typedef __typeof__({canonical}) {name};").unwrap();
    }
    for (name, canonical) in abi.prototypes() {
        writeln!(text, "__typeof__({canonical}) {name};").unwrap();
    }
    text
}

/// Structs that prototypes and typedefs name: they are declared before, or each prototype would declare its own.
fn named_structs(abi: &Abi) -> BTreeSet<&str> {
    let types = abi.prototypes().chain(abi.typedefs()).map(|(_, canonical)| canonical);
    types
        .flat_map(|canonical| canonical.split("struct ").skip(1))
        .filter_map(|rest| rest.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_').next())
        .collect()
}

/// Which records a field holds by value.
fn needs<'a>(fields: &[Field<'a>]) -> Vec<&'a str> {
    let mut needed = Vec::new();
    for field in fields {
        match &field.kind {
            FieldKind::Plain { type_, .. } if !type_.contains('*') && !type_.contains("::") => {
                let name = type_.strip_prefix("struct ").or(type_.strip_prefix("union ")).unwrap_or_default();
                let name = name.split('[').next().unwrap_or_default();
                if !name.is_empty() {
                    needed.push(name);
                }
            }
            FieldKind::Nested { fields, .. } => needed.extend(needs(fields)),
            FieldKind::Plain { .. } | FieldKind::Bits { .. } => {}
        }
    }
    needed
}

/// A union of its members, each behind as many bytes as its offset: this needs nothing of the compiler's own layout.
fn define(record: &Record<'_>, text: &mut String) {
    let Record { name, kind, size, align, .. } = record;
    writeln!(text, "{kind} __attribute__((packed, aligned({align}))) {name} {{ union {{").unwrap();
    writeln!(text, "\tuint8_t bytes_of_{name}[{size}];").unwrap();
    let mut number = 0;
    members(&record.fields, 0, text, &mut number);
    writeln!(text, "}}; }};").unwrap();
    writeln!(text, "_Static_assert(sizeof({kind} {name}) == {size}, \"{name}\");").unwrap();
}

fn members(fields: &[Field<'_>], base: u64, text: &mut String, number: &mut u32) {
    for field in fields {
        let offset = base + field.bit_offset;
        let skip = offset / 8;
        *number += 1;
        let before = if skip == 0 { String::new() } else { format!("uint8_t skip_{number}[{skip}]; ") };
        match &field.kind {
            FieldKind::Plain { size: Some(size), type_ } if *size > 0 && !type_.contains("(anonymous)") => {
                let name = field.name;
                writeln!(text, "\tstruct __attribute__((packed)) {{ {before}__typeof__({type_}) {name}; }};")
                    .unwrap();
            }
            FieldKind::Bits { bits, type_ } if !field.name.is_empty() => {
                let (name, within) = (field.name, offset % 8);
                let gap =
                    if within == 0 { String::new() } else { format!("{type_} gap_{number} : {within}; ") };
                writeln!(
                    text,
                    "\tstruct __attribute__((packed)) {{ {before}{gap}{type_} {name} : {bits}; }};"
                )
                .unwrap();
            }
            FieldKind::Nested { fields, size } if field.name.is_empty() => {
                let _ = size;
                members(fields, offset, text, number);
            }
            FieldKind::Nested { fields, size } => {
                writeln!(
                    text,
                    "\tstruct __attribute__((packed)) {{ {before}union {{ uint8_t bytes_{number}[{size}];"
                )
                .unwrap();
                members(fields, 0, text, number);
                writeln!(text, "\t}} {}; }};", field.name).unwrap();
            }
            FieldKind::Plain { .. } | FieldKind::Bits { .. } => {}
        }
    }
}
