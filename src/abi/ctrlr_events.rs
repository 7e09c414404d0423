//! What a controller tells by itself, and the log that a discovery controller keeps.

use super::{
    callback::{context, upcall},
    ctrlr::Ctrlr,
    entry::entry,
    error::negated_errno,
    types::{
        spdk_nvme_aer_cb, spdk_nvme_cpl, spdk_nvme_ctrlr, spdk_nvme_discovery_cb,
        spdk_nvme_ns_attr_changed_cb, spdk_nvmf_discovery_log_page,
    },
};
use crate::host::{ChangeListener, DiscoveryPage, EventListener};
use libc::{EINVAL, ENOMEM, c_int, c_void};
use spec::Completion;
use std::{ptr, rc::Rc};

/// Sets what is called with each asynchronous event; the last one counts, and NULL is nobody.
///
/// aer_cb_fn is called from a poll of the Admin Queue, after what else that delivers, in the order in which the events came, with the
/// controller locked; it may do anything. cpl is the completion of the Asynchronous Event Request: cdw0 has the event's type, its information and the
/// log page that has more. A controller that refuses a request is told of in the same way, and is not asked
/// again.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. aer_cb_fn can be called with aer_cb_arg until another one is set, or the controller is detached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_register_aer_callback(
    ctrlr: *mut spdk_nvme_ctrlr,
    aer_cb_fn: spdk_nvme_aer_cb,
    aer_cb_arg: *mut c_void,
) {
    entry!(
        spdk_nvme_ctrlr_register_aer_callback(ctrlr, aer_cb_fn, aer_cb_arg),
        Ctrlr as share,
        ctrlr,
        (),
        |object| {
            let told = context(aer_cb_fn, aer_cb_arg);
            let listener = (!told.function.is_null()).then(|| {
                let listener =
                    move |completion: &Completion| upcall(told.argument, completion, told.function);
                Rc::new(listener) as EventListener
            });
            object.admin(|host| host.listen_to_events(listener));
        }
    );
}

/// Sets what is called when the controller's namespaces have changed, instead of the callback for all events; NULL is nobody, and then that
/// one hears of it.
///
/// cb_fn is called as that one is, once the namespaces are what they are now.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. cb_fn can be called with cb_arg until another one is set, or the controller is
/// detached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_register_ns_attr_changed_callback(
    ctrlr: *mut spdk_nvme_ctrlr,
    cb_fn: spdk_nvme_ns_attr_changed_cb,
    cb_arg: *mut c_void,
) {
    entry!(
        spdk_nvme_ctrlr_register_ns_attr_changed_callback(ctrlr, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        (),
        |object| {
            let listener = cb_fn.map(|cb_fn| {
                let listener = move |ids: Option<&[u32]>| {
                    let count = ids.map_or(0, |ids| u32::try_from(ids.len()).unwrap_or(u32::MAX));
                    // SAFETY: the program gave the function to be called with its argument and a list of ids, or none.
                    unsafe { cb_fn(cb_arg, ids.map_or(ptr::null(), <[u32]>::as_ptr), count) };
                };
                Rc::new(listener) as ChangeListener
            });
            object.admin(|host| host.listen_to_changes(listener));
        }
    );
}

/// Leaves the log page of changed namespaces to the program, for as long as the controller is attached: after an event of theirs all
/// namespaces are looked at. The program has to read the page, or there are no further events.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_disable_read_changed_ns_list_log_page(ctrlr: *mut spdk_nvme_ctrlr) {
    entry!(
        spdk_nvme_ctrlr_disable_read_changed_ns_list_log_page(ctrlr),
        Ctrlr as share,
        ctrlr,
        (),
        |object| {
            object.admin(|host| host.leave_changed_list());
        }
    );
}

/// Reads the discovery log, all of it and of one generation. Returns 0, or a negated errno if that cannot begin: then cb_fn is not called.
///
/// cb_fn is called once, from a poll of the Admin Queue: with rc 0, the last command's completion, and the log, which is the program's from
/// then on, to be given back with free(); or with rc 0, the completion of a command that failed, and NULL; or with a negated errno, and NULL
/// twice: -EINVAL for a record format other than 0, -EPROTO for a log that goes on changing while it is read or has more than 65,536 entries.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. cb_fn can be called with cb_arg.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_discovery_log_page(
    ctrlr: *mut spdk_nvme_ctrlr,
    cb_fn: spdk_nvme_discovery_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_get_discovery_log_page(ctrlr, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let Some(cb_fn) = cb_fn else {
                tracing::error!(
                    "spdk_nvme_ctrlr_get_discovery_log_page: there is nobody to give the log to: cb_fn is NULL"
                );
                return -EINVAL;
            };
            let label = object.describe();
            let tell =
                move |rc: c_int, completion: Option<&Completion>, page: *mut spdk_nvmf_discovery_log_page| {
                    let completion: *const spdk_nvme_cpl =
                        completion.map_or(ptr::null(), |completion| ptr::from_ref(completion).cast());
                    // SAFETY: the program gave the function to be called with this argument; the completion is C's, as `callback::upcall` has it.
                    unsafe { cb_fn(cb_arg, rc, completion, page) };
                };
            let told = move |page: DiscoveryPage| match page {
                DiscoveryPage::Read(page, completion) => match given(&page) {
                    Some(page) => tell(0, Some(&completion), page),
                    None => tell(-ENOMEM, None, ptr::null_mut()),
                },
                DiscoveryPage::Failed(completion) => tell(0, Some(&completion), ptr::null_mut()),
                DiscoveryPage::UnknownFormat(format) => {
                    tracing::error!(
                        "{label}: the discovery log has record format {format}, where 0 is the only one"
                    );
                    tell(-EINVAL, None, ptr::null_mut());
                }
                DiscoveryPage::Refused(error) => {
                    tracing::error!("{label}: reading the discovery log: {error}");
                    tell(negated_errno(&error), None, ptr::null_mut());
                }
            };
            match object.admin(|host| host.read_discovery_page(told)) {
                Ok(()) => 0,
                Err(error) => negated_errno(&error),
            }
        }
    )
}

/// A copy that the program gives back with free(). None if there is no memory.
fn given(page: &[u8]) -> Option<*mut spdk_nvmf_discovery_log_page> {
    // SAFETY: malloc has no requirement.
    let room = unsafe { libc::malloc(page.len().max(1)) };
    if room.is_null() {
        return None;
    }
    // SAFETY: the room is new, and has as many bytes.
    unsafe { ptr::copy_nonoverlapping(page.as_ptr(), room.cast(), page.len()) };
    Some(room.cast())
}
