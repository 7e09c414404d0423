//! Opal: what keeps a controller's data locked (TCG Storage Security Subsystem Class). A device stands for the TPer of a controller that has
//! Opal; the protocol is in `host::opal`.
//!
//! What must hold:
//! * a device does not keep its controller: without it each command is an error;
//! * one command at a time runs on a controller, whatever devices and threads there are, as all of them speak on one ComID. Another one
//!   is refused meanwhile, as it may come from a callback of this one's;
//! * what C points to lies in the device until its end, and nothing of it is borrowed while a command runs.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, guard_plain, next},
    error::{invalid, waited},
    handles::{self, Claim, Kind, Object, shared_by},
    types::{
        spdk_nvme_ctrlr, spdk_opal_d0_features_info, spdk_opal_dev, spdk_opal_lock_state,
        spdk_opal_locking_range, spdk_opal_locking_range_info, spdk_opal_user,
    },
};
use crate::host::{
    self, CopiedData,
    opal::{Association, Error, Link, LockState, PASSWORD_MAX, Password, Tper, User},
};
use libc::{EACCES, EBUSY, ECANCELED, ECONNRESET, EINVAL, EIO, ENXIO, EPROTO, c_char, c_int};
use parking_lot::Mutex;
use spec::{
    Command, Completion,
    identify::OACS_SECURITY,
    security,
    tcg::{
        COM_PACKET_SIZE, MethodStatus,
        discovery::{Discovery, code},
    },
};
use std::{
    ffi::CStr,
    ptr,
    sync::{
        Arc, Weak,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};
use zeroize::Zeroizing;

/// Ranges that a device remembers what was said of, the global one among them (SPDK_OPAL_MAX_LOCKING_RANGE).
const REMEMBERED: usize = 8;
/// The last range and the last user that there are names for.
const LAST_RANGE: u32 = spdk_opal_locking_range::OPAL_LOCKING_RANGE_10.0;
const LAST_USER: u32 = spdk_opal_user::OPAL_USER9.0;

/// A range of which nothing is known.
// SAFETY: it is made of integers, which can be 0.
const UNKNOWN: spdk_opal_locking_range_info = unsafe { std::mem::zeroed() };

/// What a handle of a device stands for.
struct Device {
    ctrlr: Weak<Ctrlr>,
    /// What log lines call the controller.
    label: String,
    com_id: u16,
    /// What spdk_opal_get_d0_features_info points to.
    features: Mutex<spdk_opal_d0_features_info>,
    /// What spdk_opal_get_locking_range_info points to.
    ranges: Mutex<[spdk_opal_locking_range_info; REMEMBERED]>,
    /// How many ranges there can be; negative if that is not known.
    max_ranges: AtomicI32,
}

impl Object for Device {
    type Handle = spdk_opal_dev;
    const KIND: Kind = Kind::OpalDevice;
    shared_by!(Arc);

    /// Each command begins anew.
    fn fail(&self) {}
}

/// Each command has the controller's lock for itself, so that others get their turn between two.
impl Link for Ctrlr {
    fn send(&self, what: &'static str, com_id: u16, data: &[u8]) -> Result<(), host::Error> {
        let length =
            u32::try_from(data.len()).map_err(|_| host::Error::Internal("a long message of Opal"))?;
        let command = Command::security_send(security::TCG, com_id, length);
        self.admin(|host| host.request_admin(what, command, CopiedData::Given(data))).map(|_| ())
    }

    fn receive(
        &self,
        what: &'static str,
        protocol: u8,
        specific: u16,
        length: u32,
    ) -> Result<Zeroizing<Vec<u8>>, host::Error> {
        let command = Command::security_receive(protocol, specific, length);
        let answer: Result<(Completion, host::Received), _> =
            self.admin(|host| host.request_admin(what, command, CopiedData::Room(length)));
        answer.map(|(_, received)| {
            let mut data = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0)));
            received.chunks(|_, chunk| data.extend_from_slice(chunk));
            data
        })
    }

    fn timeout(&self) -> Duration {
        self.admin(|host| host.options().admin_timeout)
    }

    fn association(&self) -> Association {
        Association(self.admin(|host| host.association()))
    }
}

impl Device {
    /// The device of a controller, if that has Opal; asks for it.
    fn find(ctrlr: &Arc<Ctrlr>) -> Result<Option<Self>, host::Error> {
        let length = u32::try_from(COM_PACKET_SIZE).unwrap_or(u32::MAX);
        let list = ctrlr.receive("Security Receive (protocols)", security::PROTOCOLS, 0, length)?;
        if !security::protocols(&list).contains(&security::TCG) {
            return Ok(None);
        }
        let what = "Security Receive (level 0 discovery)";
        let data = ctrlr.receive(what, security::TCG, security::LEVEL_0, length)?;
        let discovery = Discovery::new(&data);
        // ComID 0 is none (Core 3.3.4.3).
        let Some(com_id) = discovery.opal_com_id().filter(|com_id| *com_id != 0) else { return Ok(None) };
        Ok(Some(Self {
            ctrlr: Arc::downgrade(ctrlr),
            label: ctrlr.describe(),
            com_id,
            features: Mutex::new(features(discovery)),
            ranges: Mutex::new([UNKNOWN; REMEMBERED]),
            max_ranges: AtomicI32::new(-1),
        }))
    }

    /// Runs a command.
    fn command<T>(&self, entry: &str, work: impl FnOnce(Tper<'_>) -> Result<T, Error>) -> Result<T, c_int> {
        let label = &self.label;
        let ctrlr = self.ctrlr.upgrade();
        let gone = || {
            tracing::error!("{label}: {entry}: the device's controller was detached");
            -ENXIO
        };
        let ctrlr = ctrlr.ok_or_else(gone)?;
        let Some(left) = ctrlr.opal().try_lock() else {
            tracing::error!("{label}: {entry}: another command of Opal runs on this controller");
            return Err(-EBUSY);
        };
        if ctrlr.is_being_detached() {
            return Err(gone());
        }
        work(Tper::new(&*ctrlr, self.com_id, &left)).map_err(|error| self.failed(entry, error))
    }

    /// What a program gets for an error, which is said in a line.
    fn failed(&self, entry: &str, error: Error) -> c_int {
        let label = &self.label;
        let rc = match error {
            Error::Link(error) => {
                return waited::<()>(&format!("{label}: {entry}"), Err(error)).err().unwrap_or(-EIO);
            }
            Error::Status { status, .. } => c_int::from(status.0),
            Error::Answer { .. }
            | Error::Mismatch { .. }
            | Error::Other { .. }
            | Error::NoAnswer { .. }
            | Error::Long { .. } => -EPROTO,
            Error::NotReady { .. } => -ECANCELED,
            Error::Closed { .. } => -ECONNRESET,
            Error::Hidden { .. } => -EACCES,
            Error::LifeCycle(_) | Error::Request { .. } => -EINVAL,
        };
        tracing::error!("{label}: {entry}: {error}");
        rc
    }
}

/// The descriptors of the features that a program can ask for, as they came; of one that is not there all is 0.
fn features(discovery: Discovery<'_>) -> spdk_opal_d0_features_info {
    // SAFETY: it is made of integers, which can be 0.
    let mut info: spdk_opal_d0_features_info = unsafe { std::mem::zeroed() };
    for feature in discovery {
        let from = feature.descriptor;
        match feature.code {
            code::TPER => copy(&mut info.tper, from),
            code::LOCKING => copy(&mut info.locking, from),
            code::GEOMETRY => copy(&mut info.geo, from),
            code::SINGLE_USER_MODE => copy(&mut info.single_user, from),
            code::DATA_STORE => copy(&mut info.datastore, from),
            code::OPAL_1 => copy(&mut info.v100, from),
            code::OPAL_2 => copy(&mut info.v200, from),
            _ => {}
        }
    }
    info
}

/// What C sees as bytes.
trait Descriptor: Copy {}

impl Descriptor for super::types::spdk_opal_d0_tper_feat {}
impl Descriptor for super::types::spdk_opal_d0_locking_feat {}
impl Descriptor for super::types::spdk_opal_d0_geo_feat {}
impl Descriptor for super::types::spdk_opal_d0_single_user_mode_feat {}
impl Descriptor for super::types::spdk_opal_d0_datastore_feat {}
impl Descriptor for super::types::spdk_opal_d0_v100_feat {}
impl Descriptor for super::types::spdk_opal_d0_v200_feat {}

/// Copies as much of a descriptor as there is room for.
fn copy<T: Descriptor>(to: &mut T, from: &[u8]) {
    let length = from.len().min(size_of::<T>());
    // SAFETY: both have so many bytes and are apart; T is made of integers, for which all bytes will do.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), ptr::from_mut(to).cast::<u8>(), length) };
}

/// A password out of a C string.
///
/// # Safety
/// It is NULL or a C string.
unsafe fn password(entry: &str, text: *const c_char) -> Result<Password, c_int> {
    let bytes = if text.is_null() {
        &[]
    } else {
        // SAFETY: the caller vouches for the string.
        unsafe { CStr::from_ptr(text) }.to_bytes()
    };
    Password::new(bytes).ok_or_else(|| {
        let is = if text.is_null() { "NULL".to_owned() } else { format!("{} bytes", bytes.len()) };
        invalid(format!("{entry}: a password of 1 to {PASSWORD_MAX} bytes expected, it is {is}"))
    })
}

fn range(entry: &str, id: spdk_opal_locking_range) -> Result<u16, c_int> {
    let number = u16::try_from(id.0).ok().filter(|_| id.0 <= LAST_RANGE);
    number.ok_or_else(|| invalid(format!("{entry}: locking range {}, the last is {LAST_RANGE}", id.0)))
}

/// A range that is remembered.
fn remembered(entry: &str, id: spdk_opal_locking_range) -> Result<usize, c_int> {
    let index = usize::try_from(id.0).ok().filter(|index| *index < REMEMBERED);
    index.ok_or_else(|| invalid(format!("{entry}: locking range {}, of {REMEMBERED} from 0", id.0)))
}

fn signer(entry: &str, user: spdk_opal_user) -> Result<User, c_int> {
    match user {
        spdk_opal_user::OPAL_ADMIN1 => Ok(User::Admin1),
        user => numbered(entry, user).map(User::User),
    }
}

/// A user that is no administrator.
fn numbered(entry: &str, user: spdk_opal_user) -> Result<u16, c_int> {
    let number = u16::try_from(user.0).ok().filter(|_| (1..=LAST_USER).contains(&user.0));
    number.ok_or_else(|| invalid(format!("{entry}: user {}, expected 1 to {LAST_USER}", user.0)))
}

/// What a program gets for the end of a command.
fn ended(work: impl FnOnce() -> Result<(), c_int>) -> c_int {
    work().map_or_else(|rc| rc, |()| 0)
}

/// The Opal of a controller. Asks one that claims to have Security Receive which protocols it has and, if that of the TCG is among them, for
/// its level 0 discovery; waits for the answers, other admin callbacks may run meanwhile. NULL, after a line, if it has no Opal SSC 1.00 or
/// 2.00, or did not answer. A device does not keep its controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_dev_construct(ctrlr: *mut spdk_nvme_ctrlr) -> *mut spdk_opal_dev {
    entry!(spdk_opal_dev_construct(ctrlr), Ctrlr as share, ctrlr, ptr::null_mut(), |object| {
        let label = object.describe();
        if object.summary().view().oacs() & OACS_SECURITY == 0 {
            tracing::info!("{label}: no Opal: it has no Security Receive");
            return ptr::null_mut();
        }
        match Device::find(&object) {
            Ok(Some(device)) => handles::insert::<Device>(Arc::new(device)).unwrap_or(ptr::null_mut()),
            Ok(None) => {
                tracing::info!("{label}: no Opal among its security protocols");
                ptr::null_mut()
            }
            Err(error) => {
                tracing::error!("{label}: no Opal: {error}");
                ptr::null_mut()
            }
        }
    })
}

/// Frees a device, and what was pointed to in it.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_dev_destruct(dev: *mut spdk_opal_dev) {
    if let Claim::Foreign = handles::acquire::<Device>(dev)
        && let Some(answer) = next!(spdk_opal_dev_destruct(dev))
    {
        return answer;
    }
    guard_plain("spdk_opal_dev_destruct", (), || {
        // SAFETY: whoever uses a device takes a share of it first, under the lock that this takes, too.
        if unsafe { handles::remove::<Device>(dev) }.is_none() {
            handles::complain("spdk_opal_dev_destruct", dev.addr());
        }
    });
}

/// What level 0 discovery said of a device when that was made: each feature's descriptor as it came, so with the highest byte of a number
/// first. It is there until the device is freed.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_get_d0_features_info(
    dev: *mut spdk_opal_dev,
) -> *mut spdk_opal_d0_features_info {
    entry!(spdk_opal_get_d0_features_info(dev), Device as acquired, dev, ptr::null_mut(), |device| {
        device.features.data_ptr()
    })
}

/// What is known of a locking range, of 8 from 0: what spdk_opal_cmd_get_locking_range_info() has found, zeros before. It is there until the
/// device is freed.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_get_locking_range_info(
    dev: *mut spdk_opal_dev,
    id: spdk_opal_locking_range,
) -> *mut spdk_opal_locking_range_info {
    entry!(spdk_opal_get_locking_range_info(dev, id), Device as acquired, dev, ptr::null_mut(), |device| {
        let Ok(index) = remembered("spdk_opal_get_locking_range_info", id) else { return ptr::null_mut() };
        device.ranges.data_ptr().cast::<spdk_opal_locking_range_info>().wrapping_add(index)
    })
}

/// Forgets what is known of a locking range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_free_locking_range_info(
    dev: *mut spdk_opal_dev,
    id: spdk_opal_locking_range,
) {
    entry!(spdk_opal_free_locking_range_info(dev, id), Device as acquired, dev, (), |device| {
        if let Ok(index) = remembered("spdk_opal_free_locking_range_info", id)
            && let Some(info) = device.ranges.lock().get_mut(index)
        {
            *info = UNKNOWN;
        }
    })
}

/// Sets the owner's password, of a device that has no owner yet: it must still have the password that anybody may read (MSID).
///
/// As all commands of Opal it waits, other admin callbacks may run meanwhile, and returns 0; the TCG's method status, which is positive, if
/// the device refused something (1: not authorized, as with a wrong password); -EINVAL for a wrong argument, among them a password that is
/// NULL, empty or longer than 255 bytes; -EBUSY while another one runs on the controller; -ENXIO if that was detached; -EAGAIN while it is
/// being reset; -ENOMEM if no request is free; -EIO if it refused Security Send or Receive; -ECANCELED if it did not answer in time
/// (admin_timeout_ms), -EPROTO if its answer makes no sense, -EACCES if it leaves out what was asked for, -ECONNRESET if it ended the session.
/// A negative value may come after the work was done: when the end of the session fails.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. new_passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_take_ownership(
    dev: *mut spdk_opal_dev,
    new_passwd: *mut c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_take_ownership";
    entry!(spdk_opal_cmd_take_ownership(dev, new_passwd), Device as acquired, dev, -EINVAL, |device| {
        ended(|| {
            // SAFETY: the caller vouches for the string.
            let new = unsafe { password(entry, new_passwd) }?;
            device.command(entry, |tper| tper.take_ownership(&new))
        })
    })
}

/// Locks or unlocks a range; OPAL_READONLY locks writing, OPAL_RWLOCK both, OPAL_READWRITE neither. Returns as
/// spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_lock_unlock(
    dev: *mut spdk_opal_dev,
    user: spdk_opal_user,
    flag: spdk_opal_lock_state,
    locking_range: spdk_opal_locking_range,
    passwd: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_lock_unlock";
    entry!(
        spdk_opal_cmd_lock_unlock(dev, user, flag, locking_range, passwd),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the string.
            let password = unsafe { password(entry, passwd) }?;
            let (user, range) = (signer(entry, user)?, range(entry, locking_range)?);
            let state = match flag {
                spdk_opal_lock_state::OPAL_READONLY => LockState::ReadOnly,
                spdk_opal_lock_state::OPAL_RWLOCK => LockState::Locked,
                spdk_opal_lock_state::OPAL_READWRITE => LockState::ReadWrite,
                flag => return Err(invalid(format!("{entry}: lock state {}", flag.0))),
            };
            device.command(entry, |tper| tper.set_lock(user, &password, range, state))
        })
    )
}

/// Makes a range of these blocks, and lets it be locked. The global range, whose blocks are those that no other one has, is unlocked, too.
/// Returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_setup_locking_range(
    dev: *mut spdk_opal_dev,
    user: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    range_start: u64,
    range_length: u64,
    passwd: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_setup_locking_range";
    entry!(
        spdk_opal_cmd_setup_locking_range(dev, user, locking_range_id, range_start, range_length, passwd),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the string.
            let password = unsafe { password(entry, passwd) }?;
            let (user, range) = (signer(entry, user)?, range(entry, locking_range_id)?);
            let blocks = (range_start, range_length);
            device.command(entry, |tper| tper.set_up_range(user, &password, range, blocks))
        })
    )
}

/// The number of ranges that there can be beside the global one. Asked for once; the password is that of Admin1. Returns it, or an error
/// value as spdk_opal_cmd_take_ownership(), but never a method status, which a number could not be told from: -EACCES if the password is
/// wrong, -EIO for another one.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_get_max_ranges(
    dev: *mut spdk_opal_dev,
    passwd: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_get_max_ranges";
    entry!(spdk_opal_cmd_get_max_ranges(dev, passwd), Device as acquired, dev, -EINVAL, |device| {
        let known = device.max_ranges.load(Ordering::Relaxed);
        if known >= 0 {
            return known;
        }
        // SAFETY: the caller vouches for the string.
        let asked = unsafe { password(entry, passwd) }
            .and_then(|password| device.command(entry, |tper| tper.max_ranges(&password)));
        match asked {
            Ok(count) => {
                let count = c_int::try_from(count).unwrap_or(c_int::MAX);
                device.max_ranges.store(count, Ordering::Relaxed);
                count
            }
            Err(rc) if rc == c_int::from(MethodStatus::NOT_AUTHORIZED.0) => -EACCES,
            Err(rc) if rc > 0 => -EIO,
            Err(rc) => rc,
        }
    })
}

/// Asks what there is to know of a range, of 8 from 0; spdk_opal_get_locking_range_info() has it afterwards. Returns as
/// spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_get_locking_range_info(
    dev: *mut spdk_opal_dev,
    passwd: *const c_char,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
) -> c_int {
    let entry = "spdk_opal_cmd_get_locking_range_info";
    entry!(
        spdk_opal_cmd_get_locking_range_info(dev, passwd, user_id, locking_range_id),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the string.
            let password = unsafe { password(entry, passwd) }?;
            let user = signer(entry, user_id)?;
            let index = remembered(entry, locking_range_id)?;
            let range = range(entry, locking_range_id)?;
            let found = device.command(entry, |tper| tper.range_info(user, &password, range))?;
            if let Some(info) = device.ranges.lock().get_mut(index) {
                *info = spdk_opal_locking_range_info {
                    locking_range_id: u8::try_from(index).unwrap_or(u8::MAX),
                    range_start: found.start,
                    range_length: found.length,
                    read_lock_enabled: found.read_lock_enabled.into(),
                    write_lock_enabled: found.write_lock_enabled.into(),
                    read_locked: found.read_locked.into(),
                    write_locked: found.write_locked.into(),
                    ..UNKNOWN
                };
            }
            Ok(())
        })
    )
}

/// Enables a user; the password is that of Admin1. Returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_enable_user(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    passwd: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_enable_user";
    entry!(spdk_opal_cmd_enable_user(dev, user_id, passwd), Device as acquired, dev, -EINVAL, |device| {
        ended(|| {
            // SAFETY: the caller vouches for the string.
            let admin = unsafe { password(entry, passwd) }?;
            let user = numbered(entry, user_id)?;
            device.command(entry, |tper| tper.enable_user(&admin, user))
        })
    })
}

/// Lets a user, and from then on nobody else, lock and unlock a range: reading with OPAL_READONLY, writing with OPAL_READWRITE. The password
/// is that of Admin1. Returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_add_user_to_locking_range(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    lock_flag: spdk_opal_lock_state,
    passwd: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_add_user_to_locking_range";
    entry!(
        spdk_opal_cmd_add_user_to_locking_range(dev, user_id, locking_range_id, lock_flag, passwd),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the string.
            let admin = unsafe { password(entry, passwd) }?;
            let (user, range) = (numbered(entry, user_id)?, range(entry, locking_range_id)?);
            let write = match lock_flag {
                spdk_opal_lock_state::OPAL_READONLY => false,
                spdk_opal_lock_state::OPAL_READWRITE => true,
                flag => {
                    let why = "OPAL_READONLY or OPAL_READWRITE expected";
                    return Err(invalid(format!("{entry}: lock state {}, {why}", flag.0)));
                }
            };
            device.command(entry, |tper| tper.admit_user(&admin, user, range, write))
        })
    )
}

/// Sets a user's password. old_passwd is the user's own or, with new_user, that of Admin1, who sets it. Returns as
/// spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. Each password is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_set_new_passwd(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    new_passwd: *const c_char,
    old_passwd: *const c_char,
    new_user: bool,
) -> c_int {
    let entry = "spdk_opal_cmd_set_new_passwd";
    entry!(
        spdk_opal_cmd_set_new_passwd(dev, user_id, new_passwd, old_passwd, new_user),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the strings.
            let (old, new) = unsafe { (password(entry, old_passwd)?, password(entry, new_passwd)?) };
            let user = signer(entry, user_id)?;
            let signer = if new_user { User::Admin1 } else { user };
            device.command(entry, |tper| tper.set_password(signer, &old, user, &new))
        })
    )
}

/// Erases a range of a device in Single User Mode. Returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. password is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_erase_locking_range(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    password: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_erase_locking_range";
    entry!(
        spdk_opal_cmd_erase_locking_range(dev, user_id, locking_range_id, password),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the string.
            let password = unsafe { self::password(entry, password) }?;
            let (user, range) = (signer(entry, user_id)?, range(entry, locking_range_id)?);
            device.command(entry, |tper| tper.erase(user, &password, range))
        })
    )
}

/// Erases a range by giving it another key. Returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. password is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_secure_erase_locking_range(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    password: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_secure_erase_locking_range";
    entry!(
        spdk_opal_cmd_secure_erase_locking_range(dev, user_id, locking_range_id, password),
        Device as acquired,
        dev,
        -EINVAL,
        |device| ended(|| {
            // SAFETY: the caller vouches for the string.
            let password = unsafe { self::password(entry, password) }?;
            let (user, range) = (signer(entry, user_id)?, range(entry, locking_range_id)?);
            device.command(entry, |tper| tper.generate_key(user, &password, range))
        })
    )
}

/// Activates locking: the Locking SP, whose Admin1 gets the owner's password, which is what passwd is. One that is activated already is
/// -EINVAL; else returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_activate_locking_sp(
    dev: *mut spdk_opal_dev,
    passwd: *const c_char,
) -> c_int {
    let entry = "spdk_opal_cmd_activate_locking_sp";
    entry!(spdk_opal_cmd_activate_locking_sp(dev, passwd), Device as acquired, dev, -EINVAL, |device| {
        ended(|| {
            // SAFETY: the caller vouches for the string.
            let owner = unsafe { password(entry, passwd) }?;
            device.command(entry, |tper| tper.activate(&owner))
        })
    })
}

/// Makes a device what it was when it was new; passwd is the owner's. All data are lost. Returns as spdk_opal_cmd_take_ownership().
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_revert_tper(dev: *mut spdk_opal_dev, passwd: *const c_char) -> c_int {
    let entry = "spdk_opal_cmd_revert_tper";
    entry!(spdk_opal_cmd_revert_tper(dev, passwd), Device as acquired, dev, -EINVAL, |device| {
        ended(|| {
            // SAFETY: the caller vouches for the string.
            let owner = unsafe { password(entry, passwd) }?;
            device.command(entry, |tper| tper.revert(&owner))
        })
    })
}
