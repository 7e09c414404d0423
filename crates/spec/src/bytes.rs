//! Bounds-checked little-endian reads and writes at a byte offset.
//!
//! A read beyond the end is zero and a write beyond the end does nothing: the callers use constant offsets into arrays
//! of known size, so neither happens, and neither needs a panic to say so.

/// The `N` bytes at `offset`.
pub(crate) fn array<const N: usize>(data: &[u8], offset: usize) -> [u8; N] {
    data.get(offset..).and_then(|tail| tail.first_chunk::<N>()).copied().unwrap_or([0; N])
}

pub(crate) fn u16_at(data: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array(data, offset))
}

pub(crate) fn u32_at(data: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array(data, offset))
}

pub(crate) fn u64_at(data: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array(data, offset))
}

/// Copies `source` to `offset`.
pub(crate) fn put(data: &mut [u8], offset: usize, source: &[u8]) {
    if let Some(field) = data.get_mut(offset..).and_then(|tail| tail.get_mut(..source.len())) {
        field.copy_from_slice(source);
    }
}

/// `length` bytes at `offset`, empty when they are not all there.
pub(crate) fn field(data: &[u8], offset: usize, length: usize) -> &[u8] {
    data.get(offset..).and_then(|tail| tail.get(..length)).unwrap_or(&[])
}

/// A NUL-terminated string field (NQNs, TRSVCID of some targets): the text before the first NUL.
///
/// `None` without a terminator or when the text is not UTF-8.
pub(crate) fn terminated(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(field.get(..end)?).ok()
}

/// An ASCII field padded with spaces (Base 3.0.1: serial and model number): the text without the padding, cut at the
/// first byte that is not printable ASCII.
pub(crate) fn padded(field: &[u8]) -> &str {
    let end = field.iter().position(|byte| !(0x20..0x7f).contains(byte)).unwrap_or(field.len());
    field.get(..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("").trim()
}

/// Writes `text` into the field and fills the rest with `fill`; longer text is cut.
pub(crate) fn put_text(data: &mut [u8], offset: usize, length: usize, text: &str, fill: u8) {
    let Some(field) = data.get_mut(offset..).and_then(|tail| tail.get_mut(..length)) else { return };
    field.fill(fill);
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_little_endian_and_total() {
        let data = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u16_at(&data, 1), 0x0302);
        assert_eq!(u32_at(&data, 4), 0x0807_0605);
        assert_eq!(u64_at(&data, 0), 0x0807_0605_0403_0201);
        assert_eq!(u64_at(&data, 1), 0);
        assert_eq!(u16_at(&data, usize::MAX), 0);
    }

    #[test]
    fn text_fields() {
        assert_eq!(padded(b"  model 7   "), "model 7");
        assert_eq!(padded(b"abc\0\0\0"), "abc");
        assert_eq!(padded(&[0xff, 0xfe]), "");
        assert_eq!(terminated(b"nqn\0junk"), Some("nqn"));
        assert_eq!(terminated(b"no end"), None);
        assert_eq!(terminated(b"\xff\0"), None);
        let mut field = [0xaa; 6];
        put_text(&mut field, 1, 4, "longer", b' ');
        assert_eq!(&field, b"\xaalong\xaa");
        put_text(&mut field, 1, 4, "x", b' ');
        assert_eq!(&field, b"\xaax   \xaa");
    }
}
