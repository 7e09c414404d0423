//! Log pages: the discovery log's header and entries (1,024 bytes each), asynchronous events, and Get Log Page itself.

use crate::input::{Input, padded};
use spec::{
    Command,
    feature::{AsyncEvent, QueueCounts},
    log::{DiscoveryEntry, DiscoveryEntryView, DiscoveryHeader},
};

/// Reads a header, entries, and then the first bytes as the rest.
pub fn run(input: &[u8]) {
    let mut pages = Input::new(input);
    let header = DiscoveryHeader::decode(&pages.array());
    assert_eq!(DiscoveryHeader::decode(&header.encode()), header);
    for _ in 0..3 {
        entry(&pages.array());
    }
    entry(&padded(input));
    command(&Command::from_bytes(&padded(input)));

    let dword = u32::from_le_bytes(padded(input));
    let event = AsyncEvent(dword);
    let again = AsyncEvent::new(event.kind(), event.information(), event.log_page());
    assert_eq!(
        (again.kind(), again.information(), again.log_page()),
        (event.kind(), event.information(), event.log_page())
    );
    let counts = QueueCounts::from_dword(dword);
    assert!((1..=65_536).contains(&counts.submission) && (1..=65_536).contains(&counts.completion));
    assert_eq!(counts.to_dword(), dword);
}

fn entry(page: &[u8; DiscoveryEntry::SIZE]) {
    let view = DiscoveryEntryView(page);
    let _ = (view.trtype(), view.treq(), view.cntlid());
    for (text, most) in [(view.trsvcid(), 32), (view.traddr(), 256)] {
        assert!(text.len() <= most && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
    }
    let Some(subnqn) = view.subnqn() else { return };
    assert!(subnqn.len() <= 223 && !subnqn.contains('\0'));
    let said = DiscoveryEntry {
        adrfam: view.adrfam(),
        subtype: view.subtype(),
        portid: view.portid(),
        asqsz: view.asqsz(),
        trsvcid: view.trsvcid(),
        subnqn,
        traddr: view.traddr(),
    };
    let page = said.encode();
    let again = DiscoveryEntryView(&page);
    assert_eq!(
        (again.adrfam(), again.subtype(), again.portid(), again.asqsz(), again.subnqn()),
        (said.adrfam, said.subtype, said.portid, said.asqsz, Some(subnqn))
    );
    assert_eq!((again.trsvcid(), again.traddr()), (said.trsvcid, said.traddr));
}

fn command(command: &Command) {
    let length = command.log_page_length();
    assert!((4..=1 << 34).contains(&length) && length.is_multiple_of(4));
    let _ = (command.log_page_offset(), command.log_page_rae());
    if let Ok(length) = u32::try_from(length) {
        let (id, offset) = (command.log_page_id(), command.log_page_offset());
        let again = Command::get_log_page(id, command.nsid(), offset, length);
        assert_eq!(
            (again.log_page_id(), again.log_page_offset(), again.log_page_length()),
            (id, offset, u64::from(length))
        );
    }
}
