//! DH-HMAC-CHAP: names and identifiers of hash functions and Diffie-Hellman groups.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    text::{c_array, c_bytes},
};
use libc::{EINVAL, c_char, c_int};
use spec::dhchap::{DhGroup, Digest};
use std::ptr;

/// Room for the longest name and its zero byte.
const ROOM: usize = 16;

/// Names as C strings, by identifier; one that has none is empty. Made by the compiler, which stops at a wrong index.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
static DIGESTS: [[u8; ROOM]; 4] = {
    let mut names = [[0; ROOM]; 4];
    let mut id = 0;
    while id < names.len() {
        if let Some(name) = Digest(id as u8).name() {
            names[id] = c_array(name);
        }
        id += 1;
    }
    names
};

/// As [`DIGESTS`].
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
static DHGROUPS: [[u8; ROOM]; 6] = {
    let mut names = [[0; ROOM]; 6];
    let mut id = 0;
    while id < names.len() {
        if let Some(name) = DhGroup(id as u8).name() {
            names[id] = c_array(name);
        }
        id += 1;
    }
    names
};

/// The identifier of a hash function (enum spdk_nvmf_dhchap_hash) by its name: "sha256", "sha384" or "sha512". -EINVAL if
/// it is not known.
///
/// # Safety
///
/// digest is NULL, which is not known, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_dhchap_get_digest_id(digest: *const c_char) -> c_int {
    pass_on_if_disabled!(spdk_nvme_dhchap_get_digest_id(digest));
    guard_plain("spdk_nvme_dhchap_get_digest_id", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let name = unsafe { c_bytes(digest) };
        name.and_then(Digest::of_name).map_or(-EINVAL, |digest| c_int::from(digest.0))
    })
}

/// The name of a hash function; NULL if it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_dhchap_get_digest_name(id: c_int) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_dhchap_get_digest_name(id));
    find(&DIGESTS, id)
}

/// How many bytes a hash function gives; 0 if it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_dhchap_get_digest_length(id: c_int) -> u8 {
    pass_on_if_disabled!(spdk_nvme_dhchap_get_digest_length(id));
    u8::try_from(id).map_or(0, |id| Digest(id).length())
}

/// The identifier of a Diffie-Hellman group (enum spdk_nvmf_dhchap_dhgroup) by its name: "null", "ffdhe2048", "ffdhe3072",
/// "ffdhe4096", "ffdhe6144" or "ffdhe8192". -EINVAL if it is not known.
///
/// # Safety
///
/// dhgroup is NULL, which is not known, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_dhchap_get_dhgroup_id(dhgroup: *const c_char) -> c_int {
    pass_on_if_disabled!(spdk_nvme_dhchap_get_dhgroup_id(dhgroup));
    guard_plain("spdk_nvme_dhchap_get_dhgroup_id", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let name = unsafe { c_bytes(dhgroup) };
        name.and_then(DhGroup::of_name).map_or(-EINVAL, |group| c_int::from(group.0))
    })
}

/// The name of a Diffie-Hellman group; NULL if it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_dhchap_get_dhgroup_name(id: c_int) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_dhchap_get_dhgroup_name(id));
    find(&DHGROUPS, id)
}

fn find(names: &'static [[u8; ROOM]], id: c_int) -> *const c_char {
    let name = usize::try_from(id).ok().and_then(|id| names.get(id)).filter(|name| name.first() != Some(&0));
    name.map_or(ptr::null(), |name| name.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::types::{spdk_nvmf_dhchap_dhgroup as CGroup, spdk_nvmf_dhchap_hash as CHash};
    use std::ffi::CStr;

    /// A name, as C reads it.
    fn named(name: *const c_char) -> Option<&'static str> {
        // SAFETY: the names are static C strings.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().unwrap())
    }

    fn digest_id(name: &CStr) -> c_int {
        // SAFETY: a C string.
        unsafe { spdk_nvme_dhchap_get_digest_id(name.as_ptr()) }
    }

    fn dhgroup_id(name: &CStr) -> c_int {
        // SAFETY: a C string.
        unsafe { spdk_nvme_dhchap_get_dhgroup_id(name.as_ptr()) }
    }

    #[test]
    fn hash_functions() {
        for (name, id, length) in [
            (c"sha256", CHash::SPDK_NVMF_DHCHAP_HASH_SHA256, 32),
            (c"sha384", CHash::SPDK_NVMF_DHCHAP_HASH_SHA384, 48),
            (c"sha512", CHash::SPDK_NVMF_DHCHAP_HASH_SHA512, 64),
        ] {
            let id = c_int::try_from(id.0).unwrap();
            assert_eq!(digest_id(name), id);
            assert_eq!(named(spdk_nvme_dhchap_get_digest_name(id)), Some(name.to_str().unwrap()));
            assert_eq!(spdk_nvme_dhchap_get_digest_length(id), length);
        }
        for id in [-1, 0, 4, 256, 257, c_int::MIN, c_int::MAX] {
            assert_eq!(named(spdk_nvme_dhchap_get_digest_name(id)), None, "{id}");
            assert_eq!(spdk_nvme_dhchap_get_digest_length(id), 0, "{id}");
        }
        assert_eq!([c"", c"SHA256", c"sha", c"sha2560"].map(digest_id), [-EINVAL; 4]);
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { spdk_nvme_dhchap_get_digest_id(ptr::null()) }, -EINVAL);
    }

    #[test]
    fn groups() {
        for (name, id) in [
            (c"null", CGroup::SPDK_NVMF_DHCHAP_DHGROUP_NULL),
            (c"ffdhe2048", CGroup::SPDK_NVMF_DHCHAP_DHGROUP_2048),
            (c"ffdhe3072", CGroup::SPDK_NVMF_DHCHAP_DHGROUP_3072),
            (c"ffdhe4096", CGroup::SPDK_NVMF_DHCHAP_DHGROUP_4096),
            (c"ffdhe6144", CGroup::SPDK_NVMF_DHCHAP_DHGROUP_6144),
            (c"ffdhe8192", CGroup::SPDK_NVMF_DHCHAP_DHGROUP_8192),
        ] {
            let id = c_int::try_from(id.0).unwrap();
            assert_eq!(dhgroup_id(name), id);
            assert_eq!(named(spdk_nvme_dhchap_get_dhgroup_name(id)), Some(name.to_str().unwrap()));
        }
        for id in [-1, 6, 256, c_int::MIN, c_int::MAX] {
            assert_eq!(named(spdk_nvme_dhchap_get_dhgroup_name(id)), None, "{id}");
        }
        assert_eq!([c"", c"NULL", c"ffdhe", c"ffdhe20480"].map(dhgroup_id), [-EINVAL; 4]);
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { spdk_nvme_dhchap_get_dhgroup_id(ptr::null()) }, -EINVAL);
    }
}
