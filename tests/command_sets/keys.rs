//! Keys and their values.

use super::*;

#[test]
fn keys_have_values() {
    let scene = Scene::new();
    let (ns, q, b, none) = (scene.ns(3), scene.qpair, scene.buffer(), null_mut::<c_void>());
    // SAFETY: the handles are live, and buffer and keys are large enough; what is refused is not touched.
    unsafe {
        let store = |key: &[u8], value: &[u8], options| {
            scene.store(value);
            scene.status(spdk_nvme_kv_store(
                ns,
                q,
                key.as_ptr(),
                key.len() as u8,
                b,
                value.len() as u32,
                done,
                none,
                options,
            ))
        };
        let retrieve = |key: &[u8], room: u32| {
            scene.store(&vec![0xee; 1024]);
            let ended = scene.wait(spdk_nvme_kv_retrieve(
                ns,
                q,
                key.as_ptr(),
                key.len() as u8,
                b,
                room,
                done,
                none,
                0,
            ));
            (ended.status().with_dnr(false), ended.cdw0(), scene.load(room as usize + 1))
        };
        let exist =
            |key: &[u8]| scene.status(spdk_nvme_kv_exist(ns, q, key.as_ptr(), key.len() as u8, done, none));
        let delete =
            |key: &[u8]| scene.status(spdk_nvme_kv_delete(ns, q, key.as_ptr(), key.len() as u8, done, none));
        assert_eq!(exist(b"one"), Status::KEY_DOES_NOT_EXIST);
        assert_eq!(store(b"one", b"a value", 1), Status::KEY_DOES_NOT_EXIST);
        assert_eq!(store(b"one", b"a value", 2), Status::SUCCESS);
        assert_eq!(store(b"one", b"another", 2), Status::KEY_EXISTS);
        assert_eq!(exist(b"one"), Status::SUCCESS);
        let long = b"0123456789abcdef";
        assert_eq!(store(long, &[7; 1000], 0), Status::SUCCESS);
        assert_eq!(retrieve(b"one", 7), (Status::SUCCESS, 7, b"a value\xee".to_vec()));
        assert_eq!(retrieve(b"one", 4), (Status::SUCCESS, 7, b"a va\xee".to_vec()));
        assert_eq!(retrieve(b"one", 9), (Status::SUCCESS, 7, b"a value\xee\xee\xee".to_vec()));
        assert_eq!(retrieve(long, 1000).1, 1000);
        assert_eq!(retrieve(b"on", 7).0, Status::KEY_DOES_NOT_EXIST);
        assert_eq!(store(b"too much", &vec![1; 70_000], 0), Status::CAPACITY_EXCEEDED);
        // Lists: all, from one on, and no more than fit.
        let list = |key: Option<&[u8]>, room: u32| {
            let (at, length) = key.map_or((null(), 0), |key| (key.as_ptr(), key.len() as u8));
            let status = scene.status(spdk_nvme_kv_list(ns, q, at, length, b, room, done, none));
            assert_eq!(status, Status::SUCCESS);
            scene.load(room as usize)
        };
        let all = list(None, 64);
        assert_eq!(all[..32], *b"\x02\0\0\0\x10\x000123456789abcdef\0\0\x03\0one\0\0\0");
        assert_eq!(
            (list(Some(&b"one"[..]), 16)[..9].to_vec(), list(None, 8)[0]),
            (b"\x01\0\0\0\x03\0one".to_vec(), 0)
        );
        assert_eq!((delete(long), delete(long)), (Status::SUCCESS, Status::KEY_DOES_NOT_EXIST));
        assert_eq!(store(b"one", &[9; 512], 1), Status::SUCCESS);
        assert_eq!(retrieve(b"one", 512).2[..512], [9; 512]);
        // A namespace of keys has no blocks.
        let rc = spdk_nvme_ns_cmd_read(ns, q, b, 0, 1, done, none, 0);
        assert_eq!(rc, EINVAL);
        // What cannot be.
        let key = b"0123456789abcdefg".as_ptr();
        for (key, length) in [(null(), 1), (key, 0), (key, 17), (null(), 0)] {
            assert_eq!(spdk_nvme_kv_store(ns, q, key, length, b, 8, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_retrieve(ns, q, key, length, b, 8, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_delete(ns, q, key, length, done, none), EINVAL);
            assert_eq!(spdk_nvme_kv_exist(ns, q, key, length, done, none), EINVAL);
            let starts = key.is_null() && length == 0;
            let rc = spdk_nvme_kv_list(ns, q, key, length, b, 8, done, none);
            assert_eq!(rc, if starts { 0 } else { EINVAL });
            if starts {
                scene.wait(rc);
            }
        }
        for (buffer, length) in [(null_mut(), 8), (b, 0)] {
            assert_eq!(spdk_nvme_kv_store(ns, q, key, 1, buffer, length, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_retrieve(ns, q, key, 1, buffer, length, done, none, 0), EINVAL);
            assert_eq!(spdk_nvme_kv_list(ns, q, null(), 0, buffer, length, done, none), EINVAL);
        }
        // Format erases them.
        assert_eq!(spdk_nvme_ctrlr_format(scene.controller, 3, &0), 0);
        until("the qpair again", || {
            spdk_nvme_qpair_process_completions(q, 0);
            spdk_nvme_ctrlr_reconnect_io_qpair(q) == 0
        });
        assert_eq!(exist(b"one"), Status::KEY_DOES_NOT_EXIST);
    }
    scene.finish();
}
