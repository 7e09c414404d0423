//! Poll groups.
//!
//! A poll group is always ours, even if it holds queue pairs of the next library: they go into a group of that library
//! which is made with the first of them, or for a program that asks for what it can wait on (`poll_group_facts`), polled
//! with ours, and destroyed with ours. A group that the next library made for itself is passed on like any other handle.

use super::{
    entry::{entry, next, next_of, pass_on_if_disabled},
    error::{membership, negated_errno, status},
    handles::{self, Found, Kind, Object, find, shared_by},
    poll_group_facts::hand_on_interrupts,
    qpair::Qpair,
    types::{
        spdk_nvme_accel_fn_table, spdk_nvme_disconnected_qpair_cb, spdk_nvme_poll_group, spdk_nvme_qpair,
    },
};
use crate::{abi::entry::guard_plain, host};
use libc::{EBUSY, EINVAL, ENODEV, ENOENT, ENOMEM, c_int, c_void};
use std::{
    cell::Cell,
    mem::{offset_of, zeroed},
    ptr,
    rc::Rc,
};

/// What a poll of a group returns for arguments that make no sense.
const INVALID: i64 = -(EINVAL as i64);

/// A program's function for interrupts, and what it is called with.
#[derive(Clone, Copy)]
pub(super) struct Interrupts {
    pub(super) function: unsafe extern "C" fn(*mut spdk_nvme_poll_group, *mut c_void),
    pub(super) group: *mut spdk_nvme_poll_group,
    pub(super) argument: *mut c_void,
}

/// What a handle of a poll group stands for.
pub(super) struct PollGroup {
    host: host::PollGroup,
    /// The program's context, which it gets back with each disconnected queue pair.
    context: *mut c_void,
    table: spdk_nvme_accel_fn_table,
    /// The next library's group for its queue pairs; NULL until there is one.
    inner: Cell<*mut spdk_nvme_poll_group>,
    polling: Cell<bool>,
    /// What the program has set for interrupts.
    interrupts: Cell<Option<Interrupts>>,
}

impl Object for PollGroup {
    type Handle = spdk_nvme_poll_group;
    const KIND: Kind = Kind::PollGroup;
    shared_by!(Rc);

    /// Its queue pairs notice by themselves; a group has no state of its own that could be half done.
    fn fail(&self) {}
}

/// Makes a poll group. ctx is given back with each queue pair that is found disconnected.
///
/// table, which may be NULL, is read up to its table_size. Returns NULL if it has some of the three functions for
/// sequences and not the others, or functions that append without those.
///
/// # Safety
///
/// table is NULL or points to as many bytes as its table_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_create(
    ctx: *mut c_void,
    table: *mut spdk_nvme_accel_fn_table,
) -> *mut spdk_nvme_poll_group {
    pass_on_if_disabled!(spdk_nvme_poll_group_create(ctx, table));
    guard_plain("spdk_nvme_poll_group_create", ptr::null_mut(), || {
        // SAFETY: the caller vouches for the table.
        let Some(table) = (unsafe { read_table(table) }) else {
            return ptr::null_mut();
        };
        let host = match host::PollGroup::new() {
            Ok(host) => host,
            Err(error) => {
                tracing::error!("cannot make a poll group: {error}");
                return ptr::null_mut();
            }
        };
        let group = PollGroup {
            host,
            context: ctx,
            table,
            inner: Cell::new(ptr::null_mut()),
            polling: Cell::new(false),
            interrupts: Cell::new(None),
        };
        handles::insert::<PollGroup>(Rc::new(group)).unwrap_or(ptr::null_mut())
    })
}

/// Adds a queue pair that is not connected. Returns 0, or -EINVAL if it is connected.
///
/// # Safety
///
/// Both are handles that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_add(
    group: *mut spdk_nvme_poll_group,
    qpair: *mut spdk_nvme_qpair,
) -> c_int {
    if handles::is_mixed("spdk_nvme_poll_group_add", group.addr(), qpair.addr()) {
        return -EINVAL;
    }
    entry!(spdk_nvme_poll_group_add(group, qpair), PollGroup as share, group, -EINVAL, |object| {
        // SAFETY: the caller vouches for the handle.
        match unsafe { find::<Qpair>(qpair) } {
            Found::Ours(qpair) => match membership(object.host.add(qpair.host())) {
                // Already a member of this group or of another.
                rc if rc == -ENOENT => -EINVAL,
                rc => rc,
            },
            // SAFETY: as above.
            Found::Foreign => unsafe { object.add_foreign(qpair) },
            Found::Invalid => {
                handles::complain("spdk_nvme_poll_group_add", qpair.addr());
                -EINVAL
            }
        }
    })
}

/// Removes a queue pair that is not connected. Returns 0, -EINVAL if it is connected, -ENOENT if it is in another
/// group or in none.
///
/// # Safety
///
/// Both are handles that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_remove(
    group: *mut spdk_nvme_poll_group,
    qpair: *mut spdk_nvme_qpair,
) -> c_int {
    if handles::is_mixed("spdk_nvme_poll_group_remove", group.addr(), qpair.addr()) {
        return -EINVAL;
    }
    entry!(spdk_nvme_poll_group_remove(group, qpair), PollGroup as share, group, -EINVAL, |object| {
        // SAFETY: the caller vouches for the handle.
        match unsafe { find::<Qpair>(qpair) } {
            Found::Ours(qpair) => membership(object.host.remove(qpair.host())),
            Found::Foreign => {
                let inner = object.inner.get();
                if inner.is_null() {
                    return -ENODEV;
                }
                next!(spdk_nvme_poll_group_remove(inner, qpair)).unwrap_or(-ENODEV)
            }
            Found::Invalid => {
                handles::complain("spdk_nvme_poll_group_remove", qpair.addr());
                -EINVAL
            }
        }
    })
}

/// Polls all queue pairs of a group; calls disconnected_qpair_cb, before anything else, for each whose connection is over.
///
/// Each queue pair completes at most completions_per_qpair commands; 0 is 128. Callbacks may do anything. Returns
/// how many commands were completed, 0 if called from a callback of this group's own poll, -EINVAL without a callback,
/// -ENXIO if a queue pair was found to have lost its connection, unless a failed work request told that, or -EIO if a
/// completion queue cannot be polled; all others were polled nevertheless.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_process_completions(
    group: *mut spdk_nvme_poll_group,
    completions_per_qpair: u32,
    disconnected_qpair_cb: spdk_nvme_disconnected_qpair_cb,
) -> i64 {
    entry!(
        spdk_nvme_poll_group_process_completions(group, completions_per_qpair, disconnected_qpair_cb),
        PollGroup as share,
        group,
        INVALID,
        hot |object| object.process_completions(completions_per_qpair, disconnected_qpair_cb),
        else |object| object.process_completions(completions_per_qpair, disconnected_qpair_cb)
    )
}

/// Destroys a poll group. Returns 0, or -EBUSY if it still has queue pairs.
///
/// # Safety
///
/// group is a handle that no other thread uses; nobody uses it after a 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_destroy(group: *mut spdk_nvme_poll_group) -> c_int {
    entry!(spdk_nvme_poll_group_destroy(group), PollGroup as share, group, -EINVAL, |object| {
        let inner = object.inner.get();
        if !inner.is_null() {
            if next!(spdk_nvme_poll_group_destroy(inner)).unwrap_or(0) != 0 {
                return -EBUSY;
            }
            object.inner.set(ptr::null_mut());
        }
        let rc = status(object.host.destroy());
        if rc == 0 {
            // SAFETY: the caller vouches for the handle. A poll that is going on has a share.
            drop(unsafe { handles::remove::<PollGroup>(group) });
        }
        rc
    })
}

/// Marks a group as being polled, and undoes it, an unwind included.
struct Polling<'a>(&'a Cell<bool>);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl PollGroup {
    pub(super) fn host(&self) -> &host::PollGroup {
        &self.host
    }

    pub(super) fn context(&self) -> *mut c_void {
        self.context
    }

    /// The next library's group, or NULL.
    pub(super) fn inner(&self) -> *mut spdk_nvme_poll_group {
        self.inner.get()
    }

    /// The next library's group, which is made now if there is none; NULL if there is no such library.
    pub(super) fn inner_or_made(&self) -> *mut spdk_nvme_poll_group {
        if self.inner.get().is_null() {
            let mut table = self.table;
            let (context, table) = (self.context, &raw mut table);
            let made = next!(spdk_nvme_poll_group_create(context, table));
            self.inner.set(made.unwrap_or(ptr::null_mut()));
            // Its library may have been loaded after the program set this.
            if self.interrupts.get().is_some() && hand_on_interrupts(self) != 0 {
                tracing::error!(
                    "a poll group: the other library's part of it takes no function for interrupts"
                );
            }
        }
        self.inner.get()
    }

    /// What the program has set for interrupts.
    pub(super) fn interrupts(&self) -> Option<Interrupts> {
        self.interrupts.get()
    }

    /// Keeps what the program sets for interrupts, or that it is nothing any more. False if there is something already.
    pub(super) fn set_interrupts(&self, interrupts: Option<Interrupts>) -> bool {
        let is_free = interrupts.is_none() || self.interrupts.get().is_none();
        if is_free {
            self.interrupts.set(interrupts);
        }
        is_free
    }

    #[inline(always)]
    fn process_completions(
        &self,
        completions_per_qpair: u32,
        disconnected_qpair_cb: spdk_nvme_disconnected_qpair_cb,
    ) -> i64 {
        let Some(disconnected) = disconnected_qpair_cb else {
            return without_callback();
        };
        let Some(_polling) = self.begin_poll() else {
            return 0;
        };
        if self.host.has_unusual() {
            return self.poll_unusual(completions_per_qpair, disconnected);
        }
        let ours = self.host.poll(completions_per_qpair);
        if ours.is_plain() && self.inner.get().is_null() {
            return ours.callbacks() as i64; // no more than there are requests
        }
        self.poll_inner(host::PollGroup::result(ours), completions_per_qpair, disconnected)
    }

    /// A poll that begins with the queue pairs that are disconnected, or are about to be.
    #[cold]
    #[inline(never)]
    fn poll_unusual(
        &self,
        completions_per_qpair: u32,
        disconnected: unsafe extern "C" fn(*mut spdk_nvme_qpair, *mut c_void),
    ) -> i64 {
        let context = self.context;
        let ours = self.host.process_completions(completions_per_qpair, &|qpair| {
            // SAFETY: the program gave the function to be called with a queue pair's handle and its context.
            unsafe { disconnected(qpair.tag().cast(), context) };
        });
        self.poll_inner(ours, completions_per_qpair, disconnected)
    }

    /// What a poll returns, with that of the next library's group, if there is one, which is polled now.
    #[cold]
    #[inline(never)]
    fn poll_inner(
        &self,
        ours: Result<u64, host::Error>,
        completions_per_qpair: u32,
        disconnected: unsafe extern "C" fn(*mut spdk_nvme_qpair, *mut c_void),
    ) -> i64 {
        let ours = match ours {
            Ok(count) => i64::try_from(count).unwrap_or(i64::MAX),
            Err(error) => i64::from(negated_errno(&error)),
        };
        let disconnected_qpair_cb = Some(disconnected);
        let inner = self.inner.get();
        if inner.is_null() {
            return ours;
        }
        let theirs = next!(spdk_nvme_poll_group_process_completions(
            inner,
            completions_per_qpair,
            disconnected_qpair_cb
        ))
        .unwrap_or(0);
        match (ours, theirs) {
            (ours, _) if ours < 0 => ours,
            (_, theirs) if theirs < 0 => theirs,
            (ours, theirs) => ours.saturating_add(theirs),
        }
    }

    #[inline(always)]
    fn begin_poll(&self) -> Option<Polling<'_>> {
        (!self.polling.replace(true)).then(|| Polling(&self.polling))
    }

    /// Adds a queue pair of the next library to its group, which is made now if there is none.
    ///
    /// # Safety
    /// No other thread uses the queue pair.
    unsafe fn add_foreign(&self, qpair: *mut spdk_nvme_qpair) -> c_int {
        let group = self.inner_or_made();
        let Some(add) = next_of!(spdk_nvme_poll_group_add(group, qpair)) else {
            tracing::error!(
                "spdk_nvme_poll_group_add: {qpair:p} is not a qpair of this library, and there is no other"
            );
            return -EINVAL;
        };
        if group.is_null() {
            return -ENOMEM;
        }
        // SAFETY: the caller vouches for the queue pair; the group is the same library's.
        unsafe { add(group, qpair) }
    }
}

/// A poll without anybody to tell of the queue pairs that are disconnected.
#[cold]
#[inline(never)]
fn without_callback() -> i64 {
    tracing::error!("spdk_nvme_poll_group_process_completions: disconnected_qpair_cb is NULL");
    INVALID
}

/// Reads a table of accelerated operations up to its size. None if its functions do not go together.
///
/// # Safety
/// `table` is NULL, or as many bytes as it says can be read.
unsafe fn read_table(table: *const spdk_nvme_accel_fn_table) -> Option<spdk_nvme_accel_fn_table> {
    // SAFETY: no function is a valid value for each member.
    let mut copy: spdk_nvme_accel_fn_table = unsafe { zeroed() };
    copy.table_size = size_of::<spdk_nvme_accel_fn_table>();
    if table.is_null() {
        return Some(copy);
    }
    // SAFETY: the size is the first member, which is there if the table is.
    let size = unsafe { ptr::addr_of!((*table).table_size).read() };
    if size != 0 {
        let known = [
            offset_of!(spdk_nvme_accel_fn_table, finish_sequence),
            offset_of!(spdk_nvme_accel_fn_table, reverse_sequence),
            offset_of!(spdk_nvme_accel_fn_table, abort_sequence),
            offset_of!(spdk_nvme_accel_fn_table, append_crc32c),
            offset_of!(spdk_nvme_accel_fn_table, append_copy),
            size_of::<spdk_nvme_accel_fn_table>(),
        ];
        let known = known.into_iter().take_while(|&end| end <= size).last().unwrap_or(0);
        // SAFETY: `known` is at most both sizes.
        unsafe { ptr::copy_nonoverlapping(table.cast::<u8>(), (&raw mut copy).cast::<u8>(), known) };
        copy.table_size = size;
    }
    let sequence =
        [copy.finish_sequence.is_some(), copy.reverse_sequence.is_some(), copy.abort_sequence.is_some()];
    if sequence.contains(&true) && sequence.contains(&false) {
        tracing::error!("accel_fn_table: all functions for sequences are needed, or none");
        return None;
    }
    if (copy.append_crc32c.is_some() || copy.append_copy.is_some()) && sequence.contains(&false) {
        tracing::error!("accel_fn_table: functions that append need those for sequences");
        return None;
    }
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tracing::{Event, Level, Subscriber, subscriber::with_default};
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
        registry,
    };

    unsafe extern "C" fn abort(_sequence: *mut c_void) {}
    unsafe extern "C" fn finish(
        _sequence: *mut c_void,
        _function: Option<unsafe extern "C" fn(*mut c_void, c_int)>,
        _argument: *mut c_void,
    ) {
    }

    #[test]
    fn a_table_is_read_up_to_its_size() {
        // SAFETY: the tables are this function's own.
        unsafe {
            assert!(read_table(ptr::null()).is_some());
            let mut table: spdk_nvme_accel_fn_table = zeroed();
            table.abort_sequence = Some(abort);
            assert!(read_table(&raw const table).is_some(), "a size of 0 means no table");
            table.table_size = size_of::<spdk_nvme_accel_fn_table>();
            assert!(read_table(&raw const table).is_none(), "one of three");
            table.reverse_sequence = Some(abort);
            table.finish_sequence = Some(finish);
            assert!(read_table(&raw const table).is_some());
            table.table_size = offset_of!(spdk_nvme_accel_fn_table, abort_sequence);
            assert!(read_table(&raw const table).is_none(), "two of three are within the size");
            table.table_size = 20;
            let copy = read_table(&raw const table).unwrap();
            assert!(copy.finish_sequence.is_none(), "only in part within the size");
        }
    }

    /// Counts error events.
    struct Errors(Arc<AtomicU32>);

    impl<S: Subscriber> Layer<S> for Errors {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() == Level::ERROR {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn a_wrong_handle_costs_one_line_and_an_error() {
        let lines = Arc::new(AtomicU32::new(0));
        with_default(registry().with(Errors(lines.clone())), || {
            let costs = |call: &dyn Fn() -> c_int, rc: c_int| {
                let before = lines.load(Ordering::Relaxed);
                assert_eq!(call(), rc);
                lines.load(Ordering::Relaxed) - before
            };
            let foreign = 0u64;
            // SAFETY: the handles are used on this thread only; wrong ones are what the test is about.
            unsafe {
                let group = spdk_nvme_poll_group_create(ptr::null_mut(), ptr::null_mut());
                let other = spdk_nvme_poll_group_create(ptr::null_mut(), ptr::null_mut());
                assert!(!group.is_null() && !other.is_null());
                assert_eq!(
                    costs(&|| spdk_nvme_poll_group_add(group, other.cast()), -EINVAL),
                    1,
                    "another kind"
                );
                assert_eq!(costs(&|| spdk_nvme_poll_group_destroy(group), 0), 0);
                assert_eq!(costs(&|| spdk_nvme_poll_group_destroy(group), -EINVAL), 1, "stale");
                assert_eq!(costs(&|| spdk_nvme_poll_group_destroy(ptr::null_mut()), -EINVAL), 1, "NULL");
                let foreign = (&raw const foreign).cast_mut();
                assert_eq!(costs(&|| spdk_nvme_poll_group_destroy(foreign.cast()), -EINVAL), 1, "nobody's");
                assert_eq!(costs(&|| spdk_nvme_poll_group_destroy(other), 0), 0);
            }
        });
    }

    #[test]
    fn a_poll_within_a_poll_is_noticed_and_ends() {
        let polling = Cell::new(false);
        let first = (!polling.replace(true)).then(|| Polling(&polling));
        assert!(first.is_some() && polling.get());
        drop(first);
        assert!(!polling.get());
    }
}
