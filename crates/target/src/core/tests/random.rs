//! Commands of random bits, half of them shaped so that they get past the first checks.

use spec::registers::Cc;
use spec::{Command, Sgl};

use super::lists::list;

use super::super::{Change, Step};
use super::{queue, remote, world};

/// Bytes of the stores.
const SIZES: [u64; 3] = [1 << 20, 1 << 20, 2048 * 520];

#[test]
fn any_command_at_any_time_gets_an_answer() {
    // A simple generator (xorshift): every run tries the same million bits, and none may panic.
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let begin = || {
        let mut world = world(&["nqn.a,ns=1M,ns=none,ns=1M:4K,ns=1M:512+8:pi1,opal"]);
        let admin = world.admin("nqn.a");
        let io = world.io(&admin, 1, "nqn.a");
        (world, [admin, io, queue(2)])
    };
    let (mut world, mut queues) = begin();
    let (mut lists, mut supplied, mut changed, mut protected) = (0, 0, 0, 0);
    for round in 0..50_000 {
        // Namespaces are deleted among other things.
        if round % 500 == 0 {
            (world, queues) = begin();
        }
        if round % 50 == 0 {
            world.set_cc(&mut queues[0], Cc::default());
            world.set_cc(&mut queues[0], Cc::enabled(Cc::CSS_NVM));
        }
        let mut command = Command { dwords: std::array::from_fn(|_| random() as u32) };
        // Half of the time something that gets past the first checks.
        if random() % 2 == 0 {
            let opcodes = [0, 1, 2, 4, 5, 6, 8, 9, 0x0a, 0x0c, 0x0d, 0x0e, 0x11, 0x15, 0x18, 0x19, 0x7f];
            command.set_opcode(opcodes[random() as usize % opcodes.len()]);
            command.set_psdt_sgl();
            command.set_fuse(if random() % 4 == 0 { random() as u8 % 3 } else { 0 });
            command.set_nsid((random() % 5) as u32);
            let length = [0, 512, 1024, 4096][random() as usize % 4];
            command.set_lba(random() % 3000);
            let blocks = random() as u32 % 16;
            let prinfo = if random() % 4 == 0 { random() as u32 & 0xf << 26 } else { 0 };
            command.set_cdw12(blocks | prinfo);
            command.set_sgl1(match random() % 4 {
                0 => Sgl::in_capsule(random() % 5000, length),
                // Half blocks, often as many as are needed.
                1 => Sgl::last_segment(random() % 2 * 16, 32 * (blocks % 8 + 1)),
                2 => Sgl::last_segment(random() % 5000, random() as u32 % 300),
                _ => remote(length),
            });
        }
        let index = random() as usize % queues.len();
        let capsule_data = (random() % 5000) as usize;
        // Blocks that often make up for a length from above, and a byte that is wrong.
        let mut behind = list(&[Sgl::keyed(1, 256, 2); 18]);
        behind.resize(capsule_data, 0);
        if let Some(byte) = behind.get_mut(random() as usize % 1000) {
            *byte = random() as u8;
        }
        let mut step = world.core.execute(&mut queues[index], 0, &command, &behind, random());
        if let Step::FetchBytes { source, length } = &step {
            assert!(*length <= 4096, "{source:?}");
            // Ranges and keys of random bits, or few blocks that are there.
            let bits = if random() % 4 == 0 { [u64::MAX; 2] } else { [3 << 32, 0x3f] };
            let bytes = (0..length / 8).flat_map(|index| (random() & bits[index as usize % 2]).to_le_bytes());
            let bytes: Vec<u8> = bytes.collect();
            step = world.core.supplied(&mut queues[index], 0, &command, &bytes);
            supplied += 1;
        }
        world.core.take_releases();
        if let Step::SendBlocks { extent, remote, .. } | Step::FetchBlocks { extent, remote, .. } = &step {
            assert!(remote.length() == extent.length && remote.pieces().count() <= 16);
            lists += usize::from(!remote.rest.is_empty());
        }
        match step {
            Step::SendBlocks { extent, .. }
            | Step::FetchBlocks { extent, .. }
            | Step::CompareBlocks { extent, .. }
            | Step::ZeroBlocks { extent, .. } => {
                assert!(extent.length > 0 && extent.offset + extent.length <= SIZES[extent.store]);
            }
            Step::CopyBlocks { offset, extent, .. } => {
                assert!(extent.offset + extent.length <= SIZES[extent.store]);
                assert!(offset >= 64 && offset as u64 + extent.length <= 64 + 4096.min(capsule_data as u64));
            }
            Step::ChangeBlocks { changes, .. } => {
                for change in changes {
                    let (from, to) = match change {
                        Change::Zero(to) | Change::Blank { extent: to, .. } => (vec![to], to),
                        Change::Copy { from, to } => (from, to),
                    };
                    let whole: u64 = from.iter().map(|extent| extent.length).sum();
                    assert_eq!(whole, to.length);
                    for extent in from.iter().chain([&to]) {
                        assert!(extent.offset + extent.length <= SIZES[extent.store]);
                    }
                    changed += 1;
                }
            }
            Step::Protected { extent, protection, .. } => {
                assert!(extent.store == 2 && extent.length % 520 == 0 && protection.block() == 520);
                assert!(extent.length > 0 && extent.offset + extent.length <= 2048 * 520);
                protected += 1;
            }
            Step::CompareAndWrite(pair) => {
                assert!(pair.extent.offset + pair.extent.length <= SIZES[pair.extent.store]);
            }
            Step::ConnectInCapsule { offset } => {
                assert!((64..=64 + capsule_data - 1024).contains(&offset));
            }
            _ => {}
        }
    }
    assert!(lists > 5, "only {lists} lists were good");
    assert!(supplied > 100 && changed > 10 && protected > 2, "{supplied} {changed} {protected}");
}
