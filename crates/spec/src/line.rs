//! Commands and completions as they stand in log lines.
//!
//! People and scripts read these lines, so their form is fixed: parts are separated by one space, and a part that is
//! empty leaves its space at the end of the line.

use std::fmt;

use crate::command::Command;
use crate::completion::Completion;
use crate::names;
use crate::opcode::{AdminOpcode, DataTransfer, NvmOpcode};
use crate::sgl::SglType;

impl Command {
    /// The command in a log line, as one of this queue.
    #[must_use]
    pub const fn line(&self, queue: u16) -> CommandLine<'_> {
        CommandLine { queue, command: self }
    }
}

impl Completion {
    /// The completion in a log line, as one of this queue and the answer to a command with this opcode.
    #[must_use]
    pub const fn line(&self, queue: u16, opcode: u8) -> CompletionLine<'_> {
        CompletionLine { queue, completion: self, opcode }
    }
}

/// How [`Command::line`] shows a command.
#[derive(Clone, Copy, Debug)]
pub struct CommandLine<'a> {
    queue: u16,
    command: &'a Command,
}

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fabrics commands are of no command set: an I/O queue carries them in the same form.
        if self.queue == 0 || self.command.opcode() == AdminOpcode::FABRICS.0 {
            self.admin(line)
        } else {
            self.io(line)
        }
    }
}

impl CommandLine<'_> {
    fn admin(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, command) = (self.queue, self.command);
        let (opcode, cid, cdw10) = (command.opcode(), command.cid(), command.cdw10());
        let (name, data) = (names::admin_opcode(opcode), DataPointer(command));
        match AdminOpcode(opcode) {
            AdminOpcode::SET_FEATURES | AdminOpcode::GET_FEATURES => {
                let feature = names::feature(cdw10 as u8);
                write!(line, "{name} {feature} cid:{cid} cdw10:{cdw10:08x} {data}")
            }
            AdminOpcode::FABRICS => {
                let kind = names::fabrics_type(command.fabrics_type().0);
                write!(line, "{name} {kind} qid:{queue} cid:{cid} {data}")
            }
            _ => {
                let (nsid, cdw11) = (command.nsid(), command.cdw11());
                write!(line, "{name} ({opcode:02}) qid:{queue} cid:{cid} nsid:{nsid} ")?;
                write!(line, "cdw10:{cdw10:08x} cdw11:{cdw11:08x} {data}")
            }
        }
    }

    fn io(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, command) = (self.queue, self.command);
        let (opcode, cid, nsid) = (command.opcode(), command.cid(), command.nsid());
        let name = names::io_opcode(opcode);
        match NvmOpcode(opcode) {
            NvmOpcode::READ | NvmOpcode::WRITE | NvmOpcode::WRITE_UNCORRECTABLE | NvmOpcode::COMPARE => {
                let (lba, blocks, data) = (command.lba(), command.block_count(), DataPointer(command));
                write!(line, "{name} sqid:{queue} cid:{cid} nsid:{nsid} lba:{lba} len:{blocks} {data}")
            }
            NvmOpcode::FLUSH | NvmOpcode::DATASET_MANAGEMENT => {
                write!(line, "{name} sqid:{queue} cid:{cid} nsid:{nsid}")
            }
            _ => write!(line, "{name} ({opcode:02x}) sqid:{queue} cid:{cid} nsid:{nsid}"),
        }
    }
}

/// Where a command's data is; nothing if its opcode says that it has none.
struct DataPointer<'a>(&'a Command);

impl fmt::Display for DataPointer<'_> {
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(command) = self;
        if DataTransfer::of(command.opcode()) == DataTransfer::None {
            return Ok(());
        }
        if command.psdt() == 0 {
            return write!(line, "PRP1 0x{:x} PRP2 0x{:x}", command.prp1(), command.prp2());
        }
        let sgl = command.sgl1();
        let (kind, subtype) = (names::sgl_type(sgl.kind().0), names::sgl_subtype(sgl.subtype().0));
        write!(line, "SGL {kind} {subtype} 0x{:x}", sgl.address())?;
        match sgl.kind() {
            SglType::DATA_BLOCK => write!(line, " len:0x{:x}", sgl.length()),
            SglType::KEYED_DATA_BLOCK => write!(line, " len:0x{:x} key:0x{:x}", sgl.length(), sgl.key()),
            _ => Ok(()),
        }
    }
}

/// How [`Completion::line`] shows a completion.
#[derive(Clone, Copy, Debug)]
pub struct CompletionLine<'a> {
    queue: u16,
    completion: &'a Completion,
    opcode: u8,
}

impl fmt::Display for CompletionLine<'_> {
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, completion) = (self.queue, self.completion);
        let status = completion.status();
        let (name, sct, sc) = (status.name_for(self.opcode), status.sct().0, status.sc().0);
        let (cid, cdw0, sqhd) = (completion.cid(), completion.cdw0(), completion.sqhd());
        write!(line, "{name} ({sct:02x}/{sc:02x}) qid:{queue} cid:{cid} cdw0:{cdw0:08x} sqhd:{sqhd:04x} ")?;
        // The phase tag is reserved over fabrics, and shown as it came.
        let [p, m, dnr] = [completion.phase(), status.more(), status.dnr()].map(u8::from);
        write!(line, "p:{p} m:{m} dnr:{dnr}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabrics::PropertySize;
    use crate::feature::FeatureId;
    use crate::identify::Cns;
    use crate::sgl::Sgl;
    use crate::status::{Status, StatusCode, StatusCodeType};

    const KEYED: Sgl = Sgl::keyed(0x1000, 0x2000, 0xabc);

    fn line(command: &Command, queue: u16) -> String {
        command.line(queue).to_string()
    }

    #[test]
    fn admin_commands() {
        let identify = Command::identify(Cns::CONTROLLER, 0, 0xffff_ffff, 2).with_cid(7).with_sgl1(KEYED);
        assert_eq!(
            line(&identify, 0),
            "IDENTIFY (06) qid:0 cid:7 nsid:4294967295 cdw10:00000001 cdw11:02000000 \
             SGL KEYED DATA BLOCK ADDRESS 0x1000 len:0x2000 key:0xabc"
        );
        assert_eq!(
            line(&Command::keep_alive().with_cid(65535), 0),
            "KEEP ALIVE (24) qid:0 cid:65535 nsid:0 cdw10:00000000 cdw11:00000000 ",
            "without data a space is left at the end"
        );
        assert_eq!(
            line(&Command::new(0xc0), 0),
            "ADMIN COMMAND (192) qid:0 cid:0 nsid:0 cdw10:00000000 cdw11:00000000 ",
        );
    }

    #[test]
    fn features() {
        let mut set = Command::set_features(FeatureId::ERROR_RECOVERY, 1).with_cid(3).with_sgl1(KEYED);
        set.set_cdw10(1 << 31 | 5);
        assert_eq!(
            line(&set, 0),
            "SET FEATURES ERROR_RECOVERY cid:3 cdw10:80000005 \
             SGL KEYED DATA BLOCK ADDRESS 0x1000 len:0x2000 key:0xabc"
        );
        let get = Command::get_features(FeatureId(0xfe), 0);
        assert_eq!(
            line(&get, 0),
            "GET FEATURES RESERVED cid:0 cdw10:000000fe SGL KEYED DATA BLOCK ADDRESS 0x0 len:0x0 key:0x0"
        );
    }

    #[test]
    fn fabrics_commands_of_any_queue() {
        let connect = Command::connect(3, 127, 0, 0).with_cid(1).with_sgl1(Sgl::in_capsule(0, 1024));
        assert_eq!(line(&connect, 3), "FABRIC CONNECT qid:3 cid:1 SGL DATA BLOCK OFFSET 0x0 len:0x400");
        let set = Command::property_set(0x14, PropertySize::FOUR, 1);
        assert_eq!(
            line(&set, 0),
            "FABRIC PROPERTY SET qid:0 cid:0 SGL KEYED DATA BLOCK ADDRESS 0x0 len:0x0 key:0x0"
        );
        let disconnect = Command::disconnect();
        assert!(line(&disconnect, 1).starts_with("FABRIC RESERVED / VENDOR SPECIFIC qid:1 cid:0 SGL "));
    }

    #[test]
    fn io_commands_with_blocks() {
        let read = Command::read(1, 0x1_0000_0000, 8).with_cid(9).with_sgl1(KEYED);
        assert_eq!(
            line(&read, 2),
            "READ sqid:2 cid:9 nsid:1 lba:4294967296 len:8 \
             SGL KEYED DATA BLOCK ADDRESS 0x1000 len:0x2000 key:0xabc"
        );
        assert!(
            line(&Command::write(1, 0, 65_536), 2)
                .starts_with("WRITE sqid:2 cid:0 nsid:1 lba:0 len:65536 SGL ")
        );
        assert!(
            line(&Command::compare(1, 5, 1), 2).starts_with("COMPARE sqid:2 cid:0 nsid:1 lba:5 len:1 SGL ")
        );
        let mut uncorrectable = Command::read(1, 6, 2);
        uncorrectable.set_opcode(NvmOpcode::WRITE_UNCORRECTABLE.0);
        assert_eq!(line(&uncorrectable, 2), "WRITE UNCORRECTABLE sqid:2 cid:0 nsid:1 lba:6 len:2 ");
    }

    #[test]
    fn io_commands_without_blocks() {
        let mut command = Command::flush(4).with_cid(2);
        assert_eq!(line(&command, 1), "FLUSH sqid:1 cid:2 nsid:4");
        command.set_opcode(NvmOpcode::DATASET_MANAGEMENT.0);
        assert_eq!(line(&command, 1), "DATASET MANAGEMENT sqid:1 cid:2 nsid:4");
        command.set_opcode(NvmOpcode::WRITE_ZEROES.0);
        assert_eq!(line(&command, 1), "WRITE ZEROES (08) sqid:1 cid:2 nsid:4");
        command.set_opcode(0x79);
        assert_eq!(line(&command, 1), "IO COMMAND (79) sqid:1 cid:2 nsid:4");
        command.set_opcode(0x0c);
        assert_eq!(line(&command, 1), "IO COMMAND (0c) sqid:1 cid:2 nsid:4", "verify has no name here");
    }

    #[test]
    fn data_pointers() {
        let pointer = |psdt: u32, kind: u32| {
            let mut command = Command::read(1, 0, 1);
            command.dwords[0] = 2 | psdt << 14;
            [command.dwords[6], command.dwords[7], command.dwords[8], command.dwords[9]] =
                [0x11, 0x22, 0x33, kind << 24];
            let line = line(&command, 1);
            line.strip_prefix("READ sqid:1 cid:0 nsid:1 lba:0 len:1 ").unwrap().to_owned()
        };
        assert_eq!(pointer(0, 0x40), "PRP1 0x2200000011 PRP2 0x4000000000000033");
        for (kind, text) in [
            (0x00, "SGL DATA BLOCK ADDRESS 0x2200000011 len:0x33"),
            (0x01, "SGL DATA BLOCK OFFSET 0x2200000011 len:0x33"),
            (0x10, "SGL BIT BUCKET ADDRESS 0x2200000011"),
            (0x20, "SGL SEGMENT ADDRESS 0x2200000011"),
            (0x31, "SGL LAST SEGMENT OFFSET 0x2200000011"),
            (0x4f, "SGL KEYED DATA BLOCK INVALIDATE KEY 0x2200000011 len:0x33 key:0x0"),
            (0x5a, "SGL TRANSPORT DATA BLOCK TRANSPORT 0x2200000011"),
            (0xf2, "SGL VENDOR SPECIFIC RESERVED 0x2200000011"),
            (0x60, "SGL RESERVED ADDRESS 0x2200000011"),
        ] {
            assert_eq!(pointer(1, kind), text);
            assert_eq!(pointer(2, kind), text);
        }
    }

    #[test]
    fn completions() {
        let status = Status::new(StatusCodeType::GENERIC, StatusCode(8)).with_dnr(true);
        let completion = Completion::new(1, 95, status).with_sqhd(0x2a);
        assert_eq!(
            completion.line(1, 2).to_string(),
            "ABORTED - SQ DELETION (00/08) qid:1 cid:95 cdw0:00000000 sqhd:002a p:0 m:0 dnr:1"
        );
        let mut all = Completion { dwords: [0x1_2345, 0, 0xffff_ffff, 0xffff_ffff] };
        assert_eq!(
            all.line(0, 2).to_string(),
            "VENDOR SPECIFIC (07/ff) qid:0 cid:65535 cdw0:00012345 sqhd:ffff p:1 m:1 dnr:1"
        );
        all = Completion::new(0, 1, Status::CONNECT_INVALID_PARAMETERS);
        assert!(all.line(0, 0x7f).to_string().starts_with("INVALID PARAM (01/82) qid:0 "));
        assert!(all.line(0, 0).to_string().starts_with("WRITE TO RO RANGE (01/82) qid:0 "));
    }
}
