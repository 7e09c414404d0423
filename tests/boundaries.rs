//! Limits that a namespace or a controller states hold for each transfer alike: for the first on a qpair, and for those after it, which
//! take the short way.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spdk_nvme_rdma::host::Error;
use spec::{
    AdminOpcode, Completion, NvmOpcode, Status,
    identify::Cns,
    namespace::{LbaFormat, NamespaceImage},
};
use std::{cell::Cell, rc::Rc};

thread_local! {
    static ENDED: Cell<Option<Status>> = const { Cell::new(None) };
}

fn ended(_: usize, completion: &Completion) {
    assert!(ENDED.replace(Some(completion.status())).is_none(), "it is told of once");
}

/// Where NOIOB is in the Identify Namespace data (NVM Command Set 1.0, figure 97).
const NOIOB: std::ops::Range<usize> = 46..48;

/// A read that crosses the optimal boundary takes two commands, however often it is made; one that keeps within it takes one.
#[test]
fn a_transfer_never_crosses_an_optimal_boundary() {
    let world = World::new();
    let commands = Rc::new(Cell::new(0));
    let counted = commands.clone();
    world.set_liar(move |answer| {
        let command = answer.command;
        if answer.qid == 0
            && command.opcode() == AdminOpcode::IDENTIFY.0
            && command.cdw10() & 0xff == u32::from(Cns::NAMESPACE.0)
            && let Some(page) = &mut answer.page
        {
            page[NOIOB].copy_from_slice(&8_u16.to_le_bytes());
        } else if answer.qid > 0 && command.opcode() == NvmOpcode::READ.0 {
            counted.set(counted.get() + 1);
        }
    });
    let controller = world.controller();
    let (qpair, namespace) = (connected(&controller), world.namespace(&controller));
    assert_eq!(namespace.optimal_boundary(), 8);
    for (lba, expected) in [(4, 2), (8, 1), (4, 2), (0, 1), (4, 2), (23, 2)] {
        let blocks = if lba == 23 { 2 } else { 8 };
        for _ in 0..3 {
            commands.set(0);
            ENDED.set(None);
            qpair.read(&namespace, world.buffer(), lba, blocks, 0, context(ended, 0)).unwrap();
            until("the read", || qpair.process_completions(0).is_ok() && ENDED.get().is_some());
            assert_eq!((ENDED.get(), commands.get()), (Some(Status::SUCCESS), expected), "lba {lba}");
        }
    }
    qpair.free();
    drop((qpair, namespace));
    world.finish(Some(controller));
}

/// No block of such a namespace can be transferred, which is said each time; one that is just as long as the largest transfer can.
#[test]
fn a_block_may_be_as_long_as_the_largest_transfer_and_no_longer() {
    const LARGEST: u8 = 13;
    for lbads in [LARGEST, LARGEST + 1] {
        let world = World::with(target::Options { mdts: 1, ..Default::default() });
        world.set_liar(move |answer| {
            let command = answer.command;
            if answer.qid == 0
                && command.opcode() == AdminOpcode::IDENTIFY.0
                && command.cdw10() & 0xff == u32::from(Cns::NAMESPACE.0)
                && let Some(page) = &mut answer.page
            {
                let mut image = NamespaceImage(page.as_slice().try_into().unwrap());
                image.set_flbas(0).set_lba_format(0, LbaFormat { ms: 0, lbads, rp: 0 });
                *page = image.0.to_vec();
            }
        });
        let controller = world.controller();
        let (qpair, namespace) = (connected(&controller), world.namespace(&controller));
        assert_eq!(
            (controller.summary().largest_transfer(), namespace.sector_size()),
            (1 << LARGEST, 1 << lbads)
        );
        for _ in 0..3 {
            ENDED.set(None);
            let sent = qpair.read(&namespace, world.buffer(), 0, 1, 0, context(ended, 0));
            if lbads == LARGEST {
                sent.unwrap();
                until("the read", || qpair.process_completions(0).is_ok() && ENDED.get().is_some());
            } else {
                let Err(Error::InvalidArgument(why)) = sent else { panic!("{sent:?}") };
                assert!(why.contains("largest transfer"), "{why}");
                assert_eq!(ENDED.get(), None);
            }
        }
        qpair.free();
        drop((qpair, namespace));
        world.finish(Some(controller));
    }
}
