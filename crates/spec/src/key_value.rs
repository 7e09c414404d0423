//! Key-value namespaces (Key Value Command Set 1.0): keys in commands, the list of keys, and the Identify data of the command set.

use crate::bytes::{put, u16_at, u32_at, u64_at};
use crate::command::Command;
use crate::identify::{IDENTIFY_SIZE, fields, u8_at};
use crate::opcode::KeyValueOpcode;

/// The longest key.
pub const KEY_MAX: usize = 16;
/// Store: not if the key is not there yet.
pub const STORE_ONLY_REPLACES: u8 = 1 << 0;
/// Store: not if the key is there already.
pub const STORE_ONLY_ADDS: u8 = 1 << 1;

/// A key: 1 to 16 bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    bytes: [u8; KEY_MAX],
    length: u8,
}

impl Key {
    /// Of these bytes; none if they are too few or too many.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Self { bytes: [0; KEY_MAX], length: u8::try_from(bytes.len()).ok()? };
        key.bytes.get_mut(..bytes.len()).filter(|_| !bytes.is_empty())?.copy_from_slice(bytes);
        Some(key)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl Command {
    /// A command of the Key Value Command Set (3.3): `size` is of the value, or of the room for it or for keys.
    #[must_use]
    pub fn key_value(nsid: u32, opcode: KeyValueOpcode, key: &Key, size: u32, options: u8) -> Self {
        let mut command = Self::new(opcode.0);
        command.set_nsid(nsid);
        command.set_cdw10(size);
        command.set_cdw11(u32::from(key.length) | u32::from(options) << 8);
        let [low, high, more, most] = key.bytes.as_chunks::<4>().0 else { return command };
        command.set_cdw2(u32::from_le_bytes(*low));
        command.set_cdw3(u32::from_le_bytes(*high));
        command.set_cdw14(u32::from_le_bytes(*more));
        command.set_cdw15(u32::from_le_bytes(*most));
        command
    }

    /// The key of a command of the Key Value Command Set; none if its length is impossible.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        let mut bytes = [0; KEY_MAX];
        for (at, word) in [self.cdw2(), self.cdw3(), self.cdw14(), self.cdw15()].into_iter().enumerate() {
            put(&mut bytes, at.saturating_mul(4), &word.to_le_bytes());
        }
        Key::new(bytes.get(..usize::from(self.key_length()))?)
    }

    /// The length of its key.
    #[must_use]
    pub const fn key_length(&self) -> u8 {
        self.cdw11() as u8
    }

    /// Its options.
    #[must_use]
    pub const fn key_value_options(&self) -> u8 {
        (self.cdw11() >> 8) as u8
    }
}

/// Identify Namespace data of the Key Value Command Set, read (figure 27).
#[derive(Clone, Copy, Debug)]
pub struct KeyValueNamespaceView<'a>(pub &'a [u8; IDENTIFY_SIZE]);

/// Identify Namespace data of the Key Value Command Set, written.
#[derive(Clone, Debug)]
pub struct KeyValueNamespaceImage(pub [u8; IDENTIFY_SIZE]);

fields! { KeyValueNamespaceView, KeyValueNamespaceImage,
    /// Bytes that the namespace has room for.
    nsze set_nsze u64 u64_at 0;
    /// Bytes that are in use.
    nuse set_nuse u64 u64_at 16;
    /// Number of formats, zero-based.
    nkvf set_nkvf u8 u8_at 25;
    /// Multi-path and sharing: bit 0 several controllers may attach it.
    nmic set_nmic u8 u8_at 26;
    /// ANA group id.
    anagrpid set_anagrpid u32 u32_at 36;
    /// The longest key of the first format.
    kvkml set_kvkml u16 u16_at 72;
    /// The longest value of the first format.
    kvvml set_kvvml u32 u32_at 76;
    /// The most keys of the first format; 0 for no limit.
    mnks set_mnks u32 u32_at 80;
}

impl Default for KeyValueNamespaceImage {
    fn default() -> Self {
        Self([0; IDENTIFY_SIZE])
    }
}

/// The keys from `from` on as List has them (figure 17): how many there are, then each with its length, at a multiple of 4. As many as fit
/// into `room`.
#[must_use]
pub fn encode_keys<'a>(keys: impl Iterator<Item = &'a Key>, room: usize) -> Vec<u8> {
    let mut data = vec![0; 4.min(room)];
    let mut count = 0u32;
    for key in keys {
        let length = usize::from(key.length);
        let end = data.len().saturating_add(length.saturating_add(2)).next_multiple_of(4);
        if end > room {
            break;
        }
        data.extend_from_slice(&u16::from(key.length).to_le_bytes());
        data.extend_from_slice(key.bytes());
        data.resize(end, 0);
        count = count.saturating_add(1);
    }
    put(&mut data, 0, &count.to_le_bytes());
    data.resize(room, 0);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_memory() {
        let key = Key::new(b"0123456789abcdef").unwrap();
        let command = Command::key_value(7, KeyValueOpcode::STORE, &key, 99, STORE_ONLY_ADDS);
        let bytes = command.to_bytes();
        assert_eq!((&bytes[8..16], &bytes[56..64]), (&b"01234567"[..], &b"89abcdef"[..]));
        assert_eq!((bytes[0], command.nsid(), command.cdw10(), command.cdw11()), (1, 7, 99, 0x210));
        assert_eq!((command.key(), command.key_value_options()), (Some(key), 2));
        let short = Key::new(b"x").unwrap();
        let command = Command::key_value(7, KeyValueOpcode::EXIST, &short, 0, 0);
        assert_eq!((command.key_length(), command.key().unwrap().bytes()), (1, &b"x"[..]));
        assert_eq!((Key::new(b""), Key::new(&[0; 17])), (None, None));
        let mut long = Command::new(1);
        long.set_cdw11(17);
        assert_eq!((long.key(), Command::new(1).key()), (None, None));
    }

    #[test]
    fn a_list_has_what_fits() {
        let keys = [Key::new(b"ab").unwrap(), Key::new(b"cde").unwrap(), Key::new(b"f").unwrap()];
        let all = encode_keys(keys.iter(), 32);
        assert_eq!(all[..20], *b"\x03\0\0\0\x02\0ab\x03\0cde\0\0\0\x01\0f\0");
        assert_eq!((all.len(), encode_keys(keys.iter(), 12)[0], encode_keys(keys.iter(), 8)[0]), (32, 1, 1));
        assert_eq!((encode_keys(keys.iter(), 4), encode_keys(keys.iter(), 2)), (vec![0; 4], vec![0; 2]));
    }

    #[test]
    fn the_namespace_data_have_their_places() {
        let mut image = KeyValueNamespaceImage::default();
        image
            .set_nsze(1)
            .set_nuse(2)
            .set_nkvf(3)
            .set_nmic(4)
            .set_anagrpid(5)
            .set_kvkml(6)
            .set_kvvml(7)
            .set_mnks(8);
        let at = |place: usize| image.0[place];
        assert_eq!([0, 16, 25, 26, 36, 72, 76, 80].map(at), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
