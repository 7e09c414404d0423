//! Keys and values of a namespace (Key Value Command Set 1.0).
//!
//! What must hold: keys and values take no more memory than the namespace has.

use std::collections::BTreeMap;

use spec::identify::IDENTIFY_SIZE;
use spec::key_value::{
    KEY_MAX, Key, KeyValueNamespaceImage, STORE_ONLY_ADDS, STORE_ONLY_REPLACES, encode_keys,
};
use spec::{Command, Completion, KeyValueOpcode, Status};

use super::step::DataPointer;
use super::{Limits, Namespace, Step};

/// The longest value, as far as one command can transfer it.
const VALUE_MAX: u32 = 1 << 20;
/// What a pair takes besides its value.
const PAIR: u64 = 64;

/// The pairs of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pairs: BTreeMap<Key, Vec<u8>>,
    room: u64,
    used: u64,
}

fn value_limit(limits: &Limits) -> u32 {
    u32::try_from(limits.max_transfer()).unwrap_or(u32::MAX).min(VALUE_MAX)
}

impl Keys {
    /// No keys, in so many bytes.
    pub(super) fn new(room: u64) -> Self {
        Self { pairs: BTreeMap::new(), room, used: 0 }
    }

    /// The Identify Namespace data of the command set.
    pub(super) fn data(&self, group: u32, limits: &Limits) -> [u8; IDENTIFY_SIZE] {
        let mut image = KeyValueNamespaceImage::default();
        image.set_nsze(self.room).set_nuse(self.used).set_nmic(1).set_anagrpid(group);
        image.set_kvkml(KEY_MAX as u16).set_kvvml(value_limit(limits));
        image.0
    }

    /// A value is here.
    pub(super) fn store(&mut self, command: &Command, value: &[u8]) -> Result<Step, Status> {
        let key = command.key().ok_or(Status::INVALID_KEY_SIZE.with_dnr(true))?;
        let options = command.key_value_options();
        let old = self.pairs.get(&key).map(|value| PAIR + value.len() as u64);
        if old.is_some() && options & STORE_ONLY_ADDS != 0 {
            return Err(Status::KEY_EXISTS);
        }
        if old.is_none() && options & STORE_ONLY_REPLACES != 0 {
            return Err(Status::KEY_DOES_NOT_EXIST);
        }
        let used = self.used - old.unwrap_or(0) + PAIR + value.len() as u64;
        if used > self.room {
            return Err(Status::CAPACITY_EXCEEDED.with_dnr(true));
        }
        self.used = used;
        self.pairs.insert(key, value.to_vec());
        Ok(Step::Respond(Completion::new(0, command.cid(), Status::SUCCESS)))
    }
}

impl Namespace {
    /// The commands of the Key Value Command Set.
    pub(super) fn key_value(
        &mut self,
        limits: &Limits,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<Step, Status> {
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        let Some(keys) = &mut self.keys else { return Err(Status::INVALID_OPCODE.with_dnr(true)) };
        let key = command.key().ok_or(Status::INVALID_KEY_SIZE.with_dnr(true));
        let not_there = Status::KEY_DOES_NOT_EXIST;
        let size = command.cdw10();
        match KeyValueOpcode(command.opcode()) {
            KeyValueOpcode::STORE => {
                key?;
                if size > value_limit(limits) {
                    return Err(Status::INVALID_VALUE_SIZE.with_dnr(true));
                }
                let data = data?.expect(size.into())?;
                if size == 0 { keys.store(command, &[]) } else { Ok(data.fetch(size)) }
            }
            KeyValueOpcode::RETRIEVE => {
                let remote = data?.expect(size.into())?.remote()?;
                let value = keys.pairs.get(&key?).ok_or(not_there)?;
                let there = value.len().min(usize::try_from(size).unwrap_or(usize::MAX));
                let bytes = value.get(..there).unwrap_or_default().to_vec();
                let completion = completion.with_cdw0(value.len() as u32);
                if bytes.is_empty() {
                    return Ok(Step::Respond(completion));
                }
                // No more of the host's memory than that is touched.
                Ok(Step::SendBytes { bytes, remote, completion })
            }
            KeyValueOpcode::LIST => {
                let first = match command.key_length() {
                    0 => Key::default(),
                    _ => key?,
                };
                if size < 4 || u64::from(size) > limits.max_transfer() {
                    return Err(Status::INVALID_FIELD.with_dnr(true));
                }
                let remote = data?.expect(size.into())?.remote()?;
                let keys = keys.pairs.range(first..).map(|(key, _)| key);
                let bytes = encode_keys(keys, usize::try_from(size).unwrap_or(0));
                Ok(Step::SendBytes { bytes, remote, completion })
            }
            KeyValueOpcode::DELETE => {
                data?.none()?;
                let value = keys.pairs.remove(&key?).ok_or(not_there)?;
                keys.used -= PAIR + value.len() as u64;
                Ok(Step::Respond(completion))
            }
            KeyValueOpcode::EXIST => {
                data?.none()?;
                keys.pairs.contains_key(&key?).then_some(Step::Respond(completion)).ok_or(not_there)
            }
            _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
        }
    }
}
