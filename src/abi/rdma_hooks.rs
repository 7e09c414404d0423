//! A program's own protection domains and memory keys.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    transport_id,
    types::{spdk_nvme_rdma_hooks, spdk_nvme_transport_id, spdk_nvme_transport_type},
};
use crate::{
    host::{AddressFamily, TransportId},
    memory::{KeyHooks, domain_of_program},
    transport::{Association, Hooks, set_hooks},
};
use std::{mem::MaybeUninit, net::SocketAddr, ptr, sync::Arc};

/// Lets connections from now on use protection domains and memory keys of the program's.
///
/// The three functions are copied, and one that is NULL is not used; NULL for all of them ends that. Call it before the first
/// connection.
///
/// get_ibv_pd gives the protection domain for a controller, on the device that its connection goes over: it must be one of that device,
/// and stays the program's, until all connections over it are gone. NULL refuses the connection. get_rkey gives the key for a
/// region that is registered with the environment, which the controller gets, or 0 if there is none; data in such a region, and in memory
/// that is not registered, are copied. put_rkey hears when a region is unregistered, or the last connection over the domain is gone.
/// The library's own memory is registered with the program's protection domain.
///
/// # Safety
///
/// hooks is NULL or points to functions that can be called from any thread, as long as the process lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_rdma_init_hooks(hooks: *mut spdk_nvme_rdma_hooks) {
    pass_on_if_disabled!(spdk_nvme_rdma_init_hooks(hooks));
    guard_plain("spdk_nvme_rdma_init_hooks", (), || {
        // SAFETY: the caller gives NULL or hooks, which are copied.
        let given = unsafe { hooks.as_ref() };
        set_hooks(given.map_or_else(Hooks::default, |given| {
            let &spdk_nvme_rdma_hooks { get_ibv_pd, get_rkey, put_rkey } = given;
            let mut hooks = Hooks::default();
            if let Some(get_ibv_pd) = get_ibv_pd {
                hooks.domain = Some(Arc::new(move |association, device| {
                    let trid = trid_of(association);
                    // SAFETY: the program's function, called with what it is declared with.
                    let domain = unsafe { get_ibv_pd(&raw const trid, device.as_raw().cast()) };
                    // SAFETY: the program gives NULL or a domain that lives until its connections are gone.
                    unsafe { domain_of_program(device, domain.cast()) }
                }));
            }
            if let Some(get_rkey) = get_rkey {
                hooks.keys = Some(KeyHooks {
                    get: Arc::new(move |domain, address, length| {
                        // SAFETY: as above.
                        unsafe { get_rkey(domain.cast(), address, length) }
                    }),
                    put: put_rkey.map(|put_rkey| -> Arc<dyn Fn(u64) + Send + Sync> {
                        // SAFETY: as above, with a key that the program gave.
                        Arc::new(move |key| unsafe { put_rkey(key) })
                    }),
                });
            }
            hooks
        }));
    });
}

/// The transport id of the controller that a connection goes to.
fn trid_of(association: &Association) -> spdk_nvme_transport_id {
    let address = association.target.address;
    let id = TransportId {
        address_family: match address {
            SocketAddr::V4(_) => AddressFamily::Ipv4,
            SocketAddr::V6(_) => AddressFamily::Ipv6,
        },
        traddr: address.ip().to_string(),
        trsvcid: address.port().to_string(),
        subnqn: association.subnqn.to_string(),
    };
    // SAFETY: a transport id of zeros is a valid one.
    let mut rdma: spdk_nvme_transport_id = unsafe { MaybeUninit::zeroed().assume_init() };
    rdma.trtype = spdk_nvme_transport_type::SPDK_NVME_TRANSPORT_RDMA;
    // SAFETY: the transport id is this function's.
    unsafe { super::text::put_text(ptr::addr_of_mut!(rdma.trstring), b"RDMA") };
    transport_id::from_host(&id, &rdma)
}
