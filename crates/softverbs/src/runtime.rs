//! The one fabric of this process behind its lock, with the carrier that moves its bytes.
//!
//! Maps in here are trees, whose nodes memcheck can follow: a hash table is reachable only by its middle.
//!
//! Every C call takes the lock, does its work on the fabric, lets the carrier do what came of it, and gives the lock back.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::MutexGuard;
use rdma_sys::{ibv_context, ibv_device, ibv_pd};

use crate::c_structs::{AllCells, Fetched, Poster, Taken, new_device};
use crate::carrier::address::Held;
use crate::carrier::control_socket::ControlSocket;
use crate::carrier::helper::Helper;
use crate::carrier::net::Net;
use crate::carrier::sys;
use crate::cm::CmId;
use crate::fabric::objects::{BellOf, Context, Pd};
use crate::fabric::qp::Qp;
use crate::fabric::slab::{Key, Slab};
use crate::fabric::{Clock, Fabric};
use crate::process;

/// Everything of this process.
pub struct Runtime {
    /// The fabric.
    pub fabric: Fabric,
    /// See [`AllCells`].
    pub cells: AllCells,
    /// The device's C struct, made once and never freed.
    pub device: *mut ibv_device,
    /// The context that librdmacm keeps for all identifiers.
    pub cm_context: Option<(Key<Context>, *mut ibv_context)>,
    /// librdmacm's default protection domain.
    pub cm_pd: Option<(Key<Pd>, *mut ibv_pd)>,
    /// Events that the program holds.
    pub fetched: Slab<Fetched>,
    /// Ports that identifiers hold.
    pub ports: BTreeMap<Key<CmId>, Arc<Held>>,
    /// Asynchronous events that the program holds.
    pub async_taken: Taken,
    /// QPs that take requests by function calls.
    pub posters: BTreeMap<Key<Qp>, Poster>,
    /// Blocks of QP numbers.
    pub qpn_blocks: Vec<Held>,
    /// The next source port that is tried.
    pub next_port: u16,
    /// Sockets.
    pub net: Net,
    /// The helper thread, once there is one.
    pub helper: Option<Helper>,
    /// How often the program drove the carrier by polling.
    pub polls: u64,
    /// One thread, time by hand: see [`crate::sim`].
    pub manual: bool,
    /// The process that made it.
    pub pid: u32,
}

impl Runtime {
    pub(crate) fn new() -> Self {
        let flag = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        let seed = sys::random();
        let mut runtime = Self {
            fabric: Fabric::new(Clock::Real, seed, flag("SOFTVERBS_STRICT")),
            cells: AllCells::new(),
            device: new_device(),
            cm_context: None,
            cm_pd: None,
            fetched: Slab::new(),
            ports: BTreeMap::new(),
            async_taken: Taken::default(),
            posters: BTreeMap::new(),
            qpn_blocks: Vec::new(),
            next_port: 32768 + (seed >> 32) as u16 % 28000,
            net: Net::default(),
            helper: None,
            polls: 0,
            manual: false,
            pid: std::process::id(),
        };
        runtime.fabric.has_device = !flag("SOFTVERBS_NO_DEVICE");
        if let Ok(commands) = std::env::var("SOFTVERBS_CONTROL")
            && let Err(why) = runtime.control(&commands)
        {
            crate::log::line(&format!("SOFTVERBS_CONTROL: {why}"));
        }
        if let Some(path) = std::env::var_os("SOFTVERBS_CONTROL_SOCKET").filter(|p| !p.is_empty()) {
            // A shell script gives the same variable to all its programs: %p tells them apart.
            let given = path.to_string_lossy();
            let path = given.replace("%p", &std::process::id().to_string());
            if process::is_child() && path == given {
                // It is the parent's.
                return runtime;
            }
            match ControlSocket::new(path.into()) {
                Ok(socket) => runtime.net.take_commands(socket),
                Err(why) => crate::log::line(&format!("SOFTVERBS_CONTROL_SOCKET: {why}")),
            }
        }
        runtime
    }

    /// Does what came of the last call: what is due within the process, then the machine's part.
    pub fn finish(&mut self) {
        self.settle();
        if self.fabric.shared.order.on {
            self.fabric.act_some(0);
            self.settle();
        }
        self.ring_bells();
        self.tell_helper();
    }

    fn settle(&mut self) {
        loop {
            let tended = self.fabric.shared.unusual && self.tend();
            self.fabric.settle();
            if !self.net.serve(&mut self.fabric) && !self.fabric.is_restless() && !tended {
                break;
            }
        }
    }

    /// Draws what happens next, if order is drawn and something waits.
    pub fn act(&mut self) -> bool {
        let acted = self.fabric.act();
        if acted {
            self.settle();
            self.ring_bells();
        }
        acted
    }

    fn ring_bells(&mut self) {
        while let Some(bell) = self.fabric.shared.bells.pop() {
            let shared = &mut self.fabric.shared;
            let bell = match bell {
                BellOf::Channel(key) => shared.channels.get_mut(key).map(|c| &mut c.bell),
                BellOf::Context(key) => shared.contexts.get_mut(key).map(|c| &mut c.bell),
                BellOf::Faults => None,
                BellOf::Events(key) => self.fabric.cm.channels.get_mut(key).map(|c| &mut c.bell),
            };
            if let Some(bell) = bell
                && bell.owed > 0
            {
                sys::add(bell.fd, std::mem::take(&mut bell.owed));
            }
        }
    }

    /// As [`finish`](Self::finish), after a call of the data path, of which mostly nothing comes.
    #[inline]
    pub fn finish_data(&mut self) {
        let f = &self.fabric;
        // One test for all, since mostly all are empty.
        if f.inbox.len()
            | f.shared.ready.len()
            | f.shared.silent.len()
            | f.shared.acks.len()
            | f.shared.bells.len()
            | f.dirty_links.len()
            != 0
        {
            self.finish();
        }
    }

    /// Whether an empty poll has something to drive.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.net.has_streams() || !self.fabric.timers.is_empty() || self.fabric.shared.unusual
    }

    /// The program polls and so drives: the helper may rest.
    #[inline]
    pub fn polled(&mut self) {
        self.polls = self.polls.wrapping_add(1);
    }

    /// Lets other processes reach a listener. The error is an errno.
    pub fn listen_on_wire(&mut self, id: Key<CmId>) -> Result<(), i32> {
        let Some(i) = self.fabric.cm.ids.get(id) else { return Err(libc::EINVAL) };
        match i.source {
            Some(address) if !self.manual => self.net.listen(id, address, i.scope),
            _ => Ok(()),
        }
    }

    /// Other processes reach a listener no more.
    pub fn stop_listening_on_wire(&mut self, id: Key<CmId>) {
        self.net.stop_listening(id);
    }

    /// Moves everything on: bytes that came, time that passed.
    pub fn drive(&mut self) {
        if self.net.poll(&mut self.fabric) {
            while let Some(commands) = self.net.next_command() {
                if let Err(why) = self.control(&commands) {
                    crate::log::line(&why);
                }
            }
        }
        if self.fabric.is_due() {
            // The program may have got no processor for a while: what came in it counts before what did not.
            self.net.catch_up(&mut self.fabric);
            self.fabric.expire();
        }
        if self.fabric.shared.order.on {
            self.fabric.act_some(1);
        }
        self.finish();
    }
}

/// Locks, making the fabric at the first call.
#[inline]
pub fn lock() -> MutexGuard<'static, Runtime> {
    process::current().lock()
}

/// Does one call's work behind the lock.
///
/// Inlined into each C function, so that the place of the call is that function's caller.
#[inline(always)]
pub fn with<R>(work: impl FnOnce(&mut Runtime) -> R) -> R {
    crate::place::enter();
    let mut runtime = lock();
    let result = work(&mut runtime);
    runtime.finish();
    result
}

// SAFETY: the pointers in it are to C structs that are only used behind the lock.
unsafe impl Send for Runtime {}
