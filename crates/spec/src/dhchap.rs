//! Hash functions and Diffie-Hellman groups of DH-HMAC-CHAP: identifiers, names and lengths (Base 2.0, 8.13.5).

use crate::opcode::codes;

codes! {
    /// A hash function.
    Digest {
        SHA256 = 0x01,
        SHA384 = 0x02,
        SHA512 = 0x03,
    }
}

codes! {
    /// A Diffie-Hellman group.
    DhGroup {
        NULL = 0x00,
        FFDHE2048 = 0x01,
        FFDHE3072 = 0x02,
        FFDHE4096 = 0x03,
        FFDHE6144 = 0x04,
        FFDHE8192 = 0x05,
    }
}

impl Digest {
    /// Every hash function.
    pub const ALL: [Digest; 3] = [Digest::SHA256, Digest::SHA384, Digest::SHA512];

    /// The hash function of this name.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Digest> {
        Digest::ALL.into_iter().find(|digest| digest.name().is_some_and(|own| own.as_bytes() == name))
    }

    /// Its name, if it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Digest::SHA256 => Some("sha256"),
            Digest::SHA384 => Some("sha384"),
            Digest::SHA512 => Some("sha512"),
            _ => None,
        }
    }

    /// How many bytes it gives; 0 if it is not known.
    #[must_use]
    pub const fn length(self) -> u8 {
        match self {
            Digest::SHA256 => 32,
            Digest::SHA384 => 48,
            Digest::SHA512 => 64,
            _ => 0,
        }
    }
}

impl DhGroup {
    /// Every group.
    pub const ALL: [DhGroup; 6] = [
        DhGroup::NULL,
        DhGroup::FFDHE2048,
        DhGroup::FFDHE3072,
        DhGroup::FFDHE4096,
        DhGroup::FFDHE6144,
        DhGroup::FFDHE8192,
    ];

    /// The group of this name.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<DhGroup> {
        DhGroup::ALL.into_iter().find(|group| group.name().is_some_and(|own| own.as_bytes() == name))
    }

    /// Its name, if it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            DhGroup::NULL => Some("null"),
            DhGroup::FFDHE2048 => Some("ffdhe2048"),
            DhGroup::FFDHE3072 => Some("ffdhe3072"),
            DhGroup::FFDHE4096 => Some("ffdhe4096"),
            DhGroup::FFDHE6144 => Some("ffdhe6144"),
            DhGroup::FFDHE8192 => Some("ffdhe8192"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_identifier() {
        for digest in Digest::ALL {
            assert_eq!(Digest::of_name(digest.name().unwrap().as_bytes()), Some(digest));
        }
        for group in DhGroup::ALL {
            assert_eq!(DhGroup::of_name(group.name().unwrap().as_bytes()), Some(group));
        }
        assert_eq!(Digest::ALL.map(Digest::length), [32, 48, 64]);
    }

    #[test]
    fn what_is_unknown_has_no_name() {
        assert_eq!((Digest(0).name(), Digest(4).name(), DhGroup(6).name()), (None, None, None));
        assert_eq!((Digest(0).length(), Digest(4).length()), (0, 0));
        for name in ["", "SHA256", "sha256 ", "sha1"] {
            assert_eq!(Digest::of_name(name.as_bytes()), None, "{name}");
        }
        for name in ["", "NULL", "ffdhe", "ffdhe1024"] {
            assert_eq!(DhGroup::of_name(name.as_bytes()), None, "{name}");
        }
    }
}
