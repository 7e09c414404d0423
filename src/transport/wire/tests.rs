//! What of a wire needs no device: depths, faults, and commands as words.

use super::*;

fn wire() -> Rc<Wire> {
    let parts = Parts::new(8, 8, 0, 1).unwrap();
    Wire::new(parts, Weak::new(), false, crate::transport::tell_nobody)
}

#[test]
fn ordinary_commands_leave_the_reserved_room_free() {
    let wire = wire();
    wire.depth.set(4);
    wire.reserved.set(1);
    assert_eq!(wire.ordinary_depth(), 3);
    wire.limit_depth(9);
    assert_eq!(wire.ordinary_depth(), 3, "a controller that receives more");
    wire.limit_depth(3);
    assert_eq!(wire.ordinary_depth(), 2);
    wire.limit_depth(0);
    assert_eq!(wire.ordinary_depth(), 1, "one command goes out on the smallest");
}

#[test]
fn the_reserved_room_ends_with_the_depth() {
    let wire = wire();
    wire.depth.set(2);
    wire.slots.open_gate(1);
    let nobody = Context { function: std::ptr::null(), argument: std::ptr::null_mut() };
    let slot = wire.slots.first_open().unwrap();
    wire.slots.begin_first(slot, nobody);
    assert!(wire.slots.first_open().is_none() && wire.has_reserved_room());
    wire.slots.begin(wire.slots.take_reserve().unwrap());
    assert!(!wire.has_reserved_room());
}

/// The first one stays; while the connection goes, none is noted (T16).
#[test]
fn the_first_fault_is_the_reason() {
    let wire = wire();
    assert!(!wire.is_faulty());
    wire.set_fault(Fault::Post(libc::ENOMEM));
    wire.set_fault(Fault::Length(3));
    assert_eq!((wire.fault(), wire.is_faulty()), (Some(Fault::Post(libc::ENOMEM)), true));
    wire.shut();
    assert_eq!((wire.fault(), wire.is_faulty()), (None, false));
    wire.begin_draining();
    wire.set_fault(Fault::Length(3));
    assert_eq!((wire.fault(), wire.is_faulty()), (None, false));
}

#[test]
fn a_device_s_own_code_is_told_of_the_connection_that_it_ended() {
    let wire = wire();
    let fault = Fault::Send(WcStatus::RETRY_EXCEEDED);
    wire.set_fault(fault);
    assert_eq!(wire.told(fault), fault.to_string());
    wire.vendor_error.set(0x81);
    assert_eq!(wire.told(fault), format!("{fault} (vendor error 0x81)"));
    wire.shut();
    assert_eq!(wire.told(fault), fault.to_string());
}

#[test]
fn a_fault_says_whether_it_is_a_flush_and_which_errno_it_has() {
    assert!(Fault::Send(WcStatus::FLUSHED).is_flush() && Fault::Receive(WcStatus::FLUSHED).is_flush());
    for fault in [Fault::Send(WcStatus::SUCCESS), Fault::Post(5), Fault::Length(16)] {
        assert!(!fault.is_flush());
    }
    assert_eq!(Fault::Post(libc::ENOMEM).errno(), libc::ENOMEM);
    assert_eq!(Fault::Poll(libc::EAGAIN).errno(), libc::EAGAIN);
    assert_eq!(Fault::Unposted(Kind::Send).errno(), libc::EIO);
}

/// An account that was wrong once proves nothing, even if nothing is out by it.
#[test]
fn a_distrusted_wire_is_never_quiet() {
    let wire = wire();
    assert!(wire.is_quiet());
    wire.distrust(Kind::Receive);
    assert!(!wire.is_quiet());
    assert_eq!(wire.fault(), Some(Fault::Unposted(Kind::Receive)));
}

#[test]
fn a_send_that_is_out_is_heard_of_once() {
    let wire = wire();
    wire.slots.open_gate(1);
    let slot = wire.slots.first_open().unwrap();
    let id =
        wire.slots.begin_first(slot, Context { function: std::ptr::null(), argument: std::ptr::null_mut() });
    assert_eq!((wire.posted(), wire.is_quiet()), ((1, 0), false));
    assert!(wire.slots.sent(id & 7));
    assert_eq!((wire.posted(), wire.is_quiet()), ((0, 0), true));
}

#[test]
fn a_command_comes_back_from_its_words() {
    let mut command = Command::read(7, 0x1122_3344_5566_7788, 9);
    command.set_cid(0xabcd);
    let words = to_words(&command);
    assert_eq!(words[5], 0x1122_3344_5566_7788, "the starting LBA");
    assert_eq!(from_words(words).dwords, command.dwords);
}
