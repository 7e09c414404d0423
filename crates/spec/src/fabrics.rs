//! NVMe over Fabrics: the Connect data, the Connect response, property sizes and NQNs.

use thiserror::Error;

use crate::bytes::{array, field, put, put_text, terminated, u16_at};
use crate::command::Command;
use crate::completion::Completion;
use crate::text::is_unprintable;

/// NQN of the discovery service (NVMe-oF 5.1).
pub const DISCOVERY_NQN: &str = "nqn.2014-08.org.nvmexpress.discovery";
/// Prefix of an NQN that is made of a UUID (Base 4.5).
pub const UUID_NQN_PREFIX: &str = "nqn.2014-08.org.nvmexpress:uuid:";
/// The longest NQN in bytes, without its terminator (Base 4.5).
pub const NQN_LENGTH_MAX: usize = 223;
/// Size of a field that holds an NQN.
pub const NQN_FIELD_SIZE: usize = 256;

/// CNTLID in Connect data: the controller is to be chosen dynamically (NVMe-oF 3.3).
pub const CNTLID_DYNAMIC: u16 = 0xffff;
/// CNTLID in Connect data under the static model: any controller will do.
pub const CNTLID_STATIC: u16 = 0xfffe;
/// The highest CNTLID that a controller may have (NVMe-oF 4.2).
pub const CNTLID_MAX: u16 = 0xffef;

/// Record format of Connect, the only one.
pub const CONNECT_RECFMT: u16 = 0;
/// CATTR bit 2: the queue does without submission queue flow control (NVMe-oF figure 18).
pub const CATTR_DISABLE_SQ_FLOW_CONTROL: u8 = 1 << 2;
/// The smallest Admin Submission Queue that a controller supports, in entries (NVMe-oF 5.2).
pub const ADMIN_QUEUE_ENTRIES_MIN: u16 = 32;

/// Size attribute of a property command (NVMe-oF figures 22 and 25).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PropertySize(pub u8);

impl PropertySize {
    /// Four bytes.
    pub const FOUR: PropertySize = PropertySize(0);
    /// Eight bytes.
    pub const EIGHT: PropertySize = PropertySize(1);
}

/// Fields of a Connect, Property Get or Property Set command, read by a controller.
impl Command {
    /// Connect: record format.
    #[must_use]
    pub const fn connect_recfmt(&self) -> u16 {
        self.cdw10() as u16
    }

    /// Connect: queue id.
    #[must_use]
    pub const fn connect_qid(&self) -> u16 {
        (self.cdw10() >> 16) as u16
    }

    /// Connect: submission queue size, zero-based.
    #[must_use]
    pub const fn connect_sqsize(&self) -> u16 {
        self.cdw11() as u16
    }

    /// Connect: queue attributes.
    #[must_use]
    pub const fn connect_cattr(&self) -> u8 {
        (self.cdw11() >> 16) as u8
    }

    /// Connect: keep alive timeout in milliseconds.
    #[must_use]
    pub const fn connect_kato(&self) -> u32 {
        self.cdw12()
    }

    /// Property Get and Set: size.
    #[must_use]
    pub const fn property_size(&self) -> PropertySize {
        PropertySize(self.cdw10() as u8 & 7)
    }

    /// Property Get and Set: byte offset in the property table.
    #[must_use]
    pub const fn property_offset(&self) -> u32 {
        self.cdw11()
    }

    /// Property Set: the value.
    #[must_use]
    pub const fn property_value(&self) -> u64 {
        self.cdw12() as u64 | (self.cdw13() as u64) << 32
    }
}

/// Why Connect data cannot be encoded.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NqnError {
    /// Empty.
    #[error("the NQN is empty")]
    Empty,
    /// Longer than [`NQN_LENGTH_MAX`].
    #[error("the NQN has {0} bytes, more than {max}", max = NQN_LENGTH_MAX)]
    TooLong(usize),
    /// Holds a control character, a NUL among them, or another that a log line must not show as it is.
    #[error("the NQN holds the character {0:?}")]
    Character(char),
}

/// Checks that `nqn` fits an NQN field and can be shown. What an NQN's text must look like beyond that is the owner's
/// business.
///
/// # Errors
/// [`NqnError`] says what is wrong.
pub fn check_nqn(nqn: &str) -> Result<(), NqnError> {
    if nqn.is_empty() { Err(NqnError::Empty) } else { check_host_nqn(nqn) }
}

/// As [`check_nqn`], for the NQN of a host, which may be empty: then it is for the controller to say whether a host
/// without a name may connect.
///
/// # Errors
/// [`NqnError`] says what is wrong.
pub fn check_host_nqn(nqn: &str) -> Result<(), NqnError> {
    if nqn.len() > NQN_LENGTH_MAX {
        Err(NqnError::TooLong(nqn.len()))
    } else if let Some(character) = nqn.chars().find(|character| is_unprintable(*character)) {
        Err(NqnError::Character(character))
    } else {
        Ok(())
    }
}

/// The 1024 bytes that go with Connect (NVMe-oF figure 19).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectData(pub [u8; ConnectData::SIZE]);

impl ConnectData {
    /// Size in bytes.
    pub const SIZE: usize = 1024;
    /// Byte offset of HOSTID, as an Invalid Parameters answer names it.
    pub const HOSTID_OFFSET: u16 = 0;
    /// Byte offset of CNTLID.
    pub const CNTLID_OFFSET: u16 = 16;
    /// Byte offset of SUBNQN.
    pub const SUBNQN_OFFSET: u16 = 256;
    /// Byte offset of HOSTNQN.
    pub const HOSTNQN_OFFSET: u16 = 512;

    /// Connect data of a host, whose NQN may be empty.
    ///
    /// # Errors
    /// [`NqnError`] when one of the NQNs does not fit its field.
    pub fn new(hostid: [u8; 16], cntlid: u16, subnqn: &str, hostnqn: &str) -> Result<ConnectData, NqnError> {
        check_nqn(subnqn)?;
        check_host_nqn(hostnqn)?;
        let mut data = [0; ConnectData::SIZE];
        put(&mut data, 0, &hostid);
        put(&mut data, 16, &cntlid.to_le_bytes());
        put_text(&mut data, 256, NQN_FIELD_SIZE, subnqn, 0);
        put_text(&mut data, 512, NQN_FIELD_SIZE, hostnqn, 0);
        Ok(ConnectData(data))
    }

    /// Host identifier.
    #[must_use]
    pub fn hostid(&self) -> [u8; 16] {
        array(&self.0, 0)
    }

    /// Controller id: [`CNTLID_DYNAMIC`] on the Admin Queue, the controller's own on an I/O queue.
    #[must_use]
    pub fn cntlid(&self) -> u16 {
        u16_at(&self.0, 16)
    }

    /// NQN of the subsystem; `None` when it is not a terminated string.
    #[must_use]
    pub fn subnqn(&self) -> Option<&str> {
        terminated(field(&self.0, 256, NQN_FIELD_SIZE)).filter(|nqn| nqn.len() <= NQN_LENGTH_MAX)
    }

    /// NQN of the host; `None` when it is not a terminated string.
    #[must_use]
    pub fn hostnqn(&self) -> Option<&str> {
        terminated(field(&self.0, 512, NQN_FIELD_SIZE)).filter(|nqn| nqn.len() <= NQN_LENGTH_MAX)
    }
}

/// What a successful Connect answered (NVMe-oF figure 20).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectResponse {
    /// Controller id.
    pub cntlid: u16,
    /// Authentication and security requirements.
    pub authreq: u16,
}

impl ConnectResponse {
    /// AUTHREQ bit 1: authentication is required before anything else.
    pub const AUTHREQ_ATR: u16 = 1 << 1;
    /// AUTHREQ bit 2: authentication and a secure channel are required.
    pub const AUTHREQ_ASCR: u16 = 1 << 2;

    /// From the completion of a Connect that succeeded.
    #[must_use]
    pub const fn decode(completion: &Completion) -> ConnectResponse {
        let dword = completion.cdw0();
        ConnectResponse { cntlid: dword as u16, authreq: (dword >> 16) as u16 }
    }

    /// Dword 0 of the completion.
    #[must_use]
    pub const fn to_dword(self) -> u32 {
        self.cntlid as u32 | (self.authreq as u32) << 16
    }

    /// The controller demands authentication.
    #[must_use]
    pub const fn requires_authentication(self) -> bool {
        self.authreq & (ConnectResponse::AUTHREQ_ATR | ConnectResponse::AUTHREQ_ASCR) != 0
    }
}

/// Which parameter a Connect that failed with Connect Invalid Parameters complains about (NVMe-oF figure 20).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidParameter {
    /// Byte offset of the parameter.
    pub ipo: u16,
    /// The offset is into the Connect data; else into the command.
    pub in_data: bool,
}

impl InvalidParameter {
    /// From the completion of a Connect that failed this way.
    #[must_use]
    pub const fn decode(completion: &Completion) -> InvalidParameter {
        let dword = completion.cdw0();
        InvalidParameter { ipo: dword as u16, in_data: dword & 1 << 16 != 0 }
    }

    /// Dword 0 of the completion.
    #[must_use]
    pub const fn to_dword(self) -> u32 {
        self.ipo as u32 | (self.in_data as u32) << 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn connect_data_layout() {
        let mut hostid = [0; 16];
        hostid[0] = 1;
        hostid[15] = 0xff;
        let data = ConnectData::new(hostid, 0x1234, "nqn.2016-06.io:a", "nqn.2014-08.org:host").unwrap();
        let mut expected = [0; 1024];
        expected[0] = 1;
        expected[15] = 0xff;
        expected[16] = 0x34;
        expected[17] = 0x12;
        expected[256..272].copy_from_slice(b"nqn.2016-06.io:a");
        expected[512..532].copy_from_slice(b"nqn.2014-08.org:host");
        assert_eq!(data.0, expected);
        assert_eq!((data.hostid(), data.cntlid()), (hostid, 0x1234));
        assert_eq!(data.subnqn(), Some("nqn.2016-06.io:a"));
        assert_eq!(data.hostnqn(), Some("nqn.2014-08.org:host"));
    }

    #[test]
    fn nqns_are_checked() {
        let longest = "n".repeat(223);
        assert!(ConnectData::new([0; 16], 0, &longest, "h").is_ok());
        assert_eq!(ConnectData::new([0; 16], 0, &"n".repeat(224), "h"), Err(NqnError::TooLong(224)));
        assert_eq!(ConnectData::new([0; 16], 0, "", "h"), Err(NqnError::Empty));
        assert_eq!(ConnectData::new([0; 16], 0, "n", "").unwrap().hostnqn(), Some(""), "no name at all");
        for character in ['\0', '\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}'] {
            let nqn = format!("a{character}b");
            assert_eq!(check_nqn(&nqn), Err(NqnError::Character(character)));
            let error = ConnectData::new([0; 16], 0, "n", &nqn).unwrap_err();
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }

        let mut unterminated = ConnectData([0; 1024]);
        unterminated.0[256..512].fill(b'n');
        assert_eq!(unterminated.subnqn(), None);
        assert_eq!(unterminated.hostnqn(), Some(""));
        unterminated.0[480] = 0;
        assert_eq!(unterminated.subnqn(), None, "224 bytes");
        unterminated.0[479] = 0;
        assert_eq!(unterminated.subnqn().map(str::len), Some(223));
    }

    #[test]
    fn connect_answers() {
        let good = Completion::new(0, 0, Status::SUCCESS).with_cdw0(0x0002_0007);
        let response = ConnectResponse::decode(&good);
        assert_eq!(response, ConnectResponse { cntlid: 7, authreq: 2 });
        assert!(response.requires_authentication());
        assert_eq!(response.to_dword(), 0x0002_0007);

        let bad = good.with_cdw0(0x0001_0100);
        let parameter = InvalidParameter::decode(&bad);
        assert_eq!(parameter, InvalidParameter { ipo: 256, in_data: true });
        assert_eq!(parameter.to_dword(), 0x0001_0100);
    }

    #[test]
    fn connect_fields_of_a_command() {
        let command = Command::connect(5, 127, CATTR_DISABLE_SQ_FLOW_CONTROL, 15_000);
        assert_eq!(
            (command.connect_recfmt(), command.connect_qid(), command.connect_sqsize()),
            (CONNECT_RECFMT, 5, 127)
        );
        assert_eq!((command.connect_cattr(), command.connect_kato()), (4, 15_000));
        let set = Command::property_set(0x14, PropertySize::FOUR, 0x46_0001);
        assert_eq!(
            (set.property_offset(), set.property_size(), set.property_value()),
            (0x14, PropertySize::FOUR, 0x46_0001)
        );
    }
}
