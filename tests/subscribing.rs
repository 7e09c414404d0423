//! A Rust program's own `tracing` subscriber gets the library's lines: a global one that is there before the library's, else one of a
//! thread (`with_default`). Without one they are on stderr.
//!
//! Each way is a process of its own, since a subscriber is for ever: the test runs itself again.

// A test may fail where it stands, its helpers as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// It calls the C entry points.
#![allow(unsafe_code)]

use std::{
    env::{current_exe, var},
    ffi::{c_char, c_int, c_void},
    process::{Command, Output},
    ptr::null,
    sync::Mutex,
};
use tracing::{
    Event, Subscriber,
    subscriber::{set_global_default, with_default},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};

// What the library needs of a program, and the library.
use {env as _, softverbs as _, spdk_nvme_rdma as _};

unsafe extern "C" {
    fn spdk_nvme_transport_id_parse(id: *mut c_void, text: *const c_char) -> c_int;
    fn spdk_nvme_ctrlr_get_data(controller: *const c_void) -> *const c_void;
}

/// Says how the process is to go.
const WAY: &str = "SUBSCRIBING";
/// Where a line came from, its level and its text, as far as it is told here.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        LINES.lock().unwrap().push(format!("{} {}", metadata.level(), metadata.target()));
    }
}

/// One line of a call without a handle, and one of a call with a handle that is none.
fn call() {
    // SAFETY: no arguments at all is what the calls are to refuse.
    unsafe {
        assert!(spdk_nvme_transport_id_parse(null::<c_void>().cast_mut(), null()) < 0);
        assert!(spdk_nvme_ctrlr_get_data(null()).is_null());
    }
}

/// Both lines of [`call`] and nothing else.
fn assert_heard() {
    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("ERROR spdk_nvme_rdma::abi")), "{lines:?}");
}

/// Runs this test again as a process that goes the given way.
fn process(way: &str) -> Output {
    Command::new(current_exe().unwrap())
        .args(["--exact", "a_program_subscribes", "--nocapture"])
        .env(WAY, way)
        .env_remove("SPDK_NVME_RDMA_LOG")
        .output()
        .unwrap()
}

#[test]
fn a_program_subscribes() {
    match var(WAY).as_deref() {
        Ok("before") => {
            set_global_default(registry().with(Lines)).unwrap();
            call();
            assert_heard();
        }
        Ok("after") => {
            call();
            assert!(set_global_default(registry().with(Lines)).is_err(), "the library's own is there");
            with_default(registry().with(Lines), call);
            assert_heard();
        }
        Ok(_) => call(),
        Err(_) => {
            for (way, on_stderr) in [("before", 0), ("after", 2), ("never", 2)] {
                let Output { status, stdout, stderr } = process(way);
                let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
                assert!(status.success(), "{way}: {status}\n{stdout}\n{stderr}");
                assert!(stdout.contains("1 passed"), "{way}: {stdout}");
                assert_eq!(stderr.matches("*ERROR*").count(), on_stderr, "{way}: {stderr}");
            }
        }
    }
}
