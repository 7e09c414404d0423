//! The measured ABI as values.

use serde_json::{Map, Value};
use std::fs;

/// What was measured of one release.
pub struct Abi(Value);

/// A struct or union.
pub struct Record<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub size: u64,
    pub align: u64,
    pub fields: Vec<Field<'a>>,
}

/// A member, or a nested record without a name.
pub struct Field<'a> {
    pub name: &'a str,
    pub bit_offset: u64,
    pub kind: FieldKind<'a>,
}

pub enum FieldKind<'a> {
    /// A bit-field of this many bits.
    Bits { bits: u64, type_: &'a str },
    /// A member of this type. Size is None if the array has no length.
    Plain { size: Option<u64>, type_: &'a str },
    /// A nested record.
    Nested { size: u64, fields: Vec<Field<'a>> },
}

impl Abi {
    pub fn load() -> Self {
        let path = super::tools::root().join("tests/abi/spdk-v26.05.json");
        Self(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    pub fn prototype(&self, name: &str) -> Option<&str> {
        self.0["functions"][name]["canonical"].as_str()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.0["functions"][name]["header"].as_str()
    }

    pub fn prototypes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.map("functions")
            .iter()
            .map(|(name, value)| (name.as_str(), value["canonical"].as_str().unwrap()))
    }

    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.map("records").iter().map(|(name, value)| Record {
            name,
            kind: value["kind"].as_str().unwrap(),
            size: value["size"].as_u64().unwrap(),
            align: value["align"].as_u64().unwrap(),
            fields: fields(&value["fields"]),
        })
    }

    pub fn enums(&self) -> impl Iterator<Item = (&str, Vec<(&str, i64)>)> {
        self.map("enums").iter().map(|(name, values)| {
            let values = values.as_object().unwrap().iter();
            (name.as_str(), values.map(|(name, value)| (name.as_str(), value.as_i64().unwrap())).collect())
        })
    }

    pub fn typedefs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.map("typedefs").iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
    }

    pub fn macros(&self) -> impl Iterator<Item = (&str, &str)> {
        self.map("macros").iter().map(|(name, value)| (name.as_str(), value["value"].as_str().unwrap()))
    }

    /// Makes the data wrong, for a test of the test.
    pub fn move_bit_field(&mut self, record: &str, field: &str) {
        let fields = self.0["records"][record]["fields"].as_array_mut().unwrap();
        let field = fields.iter_mut().find(|candidate| candidate["name"] == field).unwrap();
        field["bit_offset"] = (field["bit_offset"].as_u64().unwrap() - 1).into();
    }

    fn map(&self, key: &str) -> &Map<String, Value> {
        self.0[key].as_object().unwrap()
    }
}

fn fields(values: &Value) -> Vec<Field<'_>> {
    values
        .as_array()
        .unwrap()
        .iter()
        .map(|value| Field {
            name: value["name"].as_str().unwrap(),
            bit_offset: value["bit_offset"].as_u64().unwrap(),
            kind: if let Some(bits) = value["bits"].as_u64() {
                FieldKind::Bits { bits, type_: value["type"].as_str().unwrap() }
            } else if value.get("fields").is_some() {
                FieldKind::Nested { size: value["size"].as_u64().unwrap(), fields: fields(&value["fields"]) }
            } else {
                FieldKind::Plain { size: value["size"].as_u64(), type_: value["type"].as_str().unwrap() }
            },
        })
        .collect()
}
