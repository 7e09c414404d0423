//! The states of a queue pair: which change is legal, what it needs, and what it does.

use rdma_sys::ibv_qp_attr;

use super::Fabric;
use super::objects::Subject;
use super::profile::Profile;
use super::qp::Qp;
use super::slab::Key;

/// `enum ibv_qp_state`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum State {
    Reset = 0,
    Init = 1,
    Rtr = 2,
    Rts = 3,
    Sqd = 4,
    Sqe = 5,
    Err = 6,
}

impl State {
    /// From the number in `struct ibv_qp_attr`.
    pub fn from_number(n: u32) -> Option<Self> {
        [Self::Reset, Self::Init, Self::Rtr, Self::Rts, Self::Sqd, Self::Sqe, Self::Err]
            .into_iter()
            .find(|s| *s as u32 == n)
    }
}

/// `enum ibv_qp_attr_mask`.
pub mod mask {
    #![allow(missing_docs)]
    pub const STATE: i32 = 1;
    pub const CUR_STATE: i32 = 1 << 1;
    pub const EN_SQD_ASYNC_NOTIFY: i32 = 1 << 2;
    pub const ACCESS_FLAGS: i32 = 1 << 3;
    pub const PKEY_INDEX: i32 = 1 << 4;
    pub const PORT: i32 = 1 << 5;
    pub const AV: i32 = 1 << 7;
    pub const PATH_MTU: i32 = 1 << 8;
    pub const TIMEOUT: i32 = 1 << 9;
    pub const RETRY_CNT: i32 = 1 << 10;
    pub const RNR_RETRY: i32 = 1 << 11;
    pub const RQ_PSN: i32 = 1 << 12;
    pub const MAX_QP_RD_ATOMIC: i32 = 1 << 13;
    pub const ALT_PATH: i32 = 1 << 14;
    pub const MIN_RNR_TIMER: i32 = 1 << 15;
    pub const SQ_PSN: i32 = 1 << 16;
    pub const MAX_DEST_RD_ATOMIC: i32 = 1 << 17;
    pub const PATH_MIG_STATE: i32 = 1 << 18;
    pub const DEST_QPN: i32 = 1 << 20;
    /// Bits that the kernel's RoCE code adds.
    pub const ROCE: i32 = 0xf << 21;
}

impl Fabric {
    /// `ibv_modify_qp`. The error is an errno.
    pub fn modify_qp(&mut self, key: Key<Qp>, attr: &ibv_qp_attr, what: i32) -> Result<(), i32> {
        let qp = self.qps.get_mut(key).ok_or(libc::EINVAL)?;
        let what = what & !mask::ROCE;
        let from = qp.state;
        let to = if what & mask::STATE != 0 {
            State::from_number(attr.qp_state).ok_or(libc::EINVAL)?
        } else {
            from
        };
        if what & mask::CUR_STATE != 0 && State::from_number(attr.cur_qp_state) != Some(from) {
            return Err(libc::EINVAL);
        }
        let (required, allowed) = transition(from, to).ok_or(libc::EINVAL)?;
        let given = what & !mask::STATE;
        if given & required != required || given & !(required | allowed) != 0 {
            return Err(libc::EINVAL);
        }
        check_attributes(attr, given, self.shared.profile())?;
        qp.store(attr, given);
        match to {
            State::Reset => {
                let answered = qp.answers();
                qp.reset();
                qp.set_state(State::Reset);
                if answered {
                    self.shared.silent.push(key);
                }
                self.unlink(key);
            }
            State::Err => qp.enter_error(&mut self.shared),
            State::Rtr if from == State::Init => {
                qp.set_state(State::Rtr);
                self.connect_qp(key);
            }
            State::Sqd if from == State::Rts => {
                qp.drain_to = qp.next + u64::from(qp.sent > 0 || qp.rnr);
                qp.tell_drained = given & mask::EN_SQD_ASYNC_NOTIFY != 0 && attr.en_sqd_async_notify != 0;
                self.draining = true;
                qp.set_state(State::Sqd);
                self.pump(key);
                self.tell_drained(key);
            }
            _ => {
                qp.set_state(to);
                self.pump(key);
            }
        }
        Ok(())
    }

    /// What was begun before the send queue was to drain is done: tells it, if that was asked for.
    #[cold]
    pub fn tell_drained(&mut self, key: Key<Qp>) {
        const SQ_DRAINED: u32 = 5;
        if let Some(qp) = self.qps.get_mut(key)
            && qp.state == State::Sqd
            && !qp.is_draining()
            && std::mem::take(&mut qp.tell_drained)
        {
            self.shared.async_event(qp.made.context, Subject::Qp(key), SQ_DRAINED);
        }
    }
}

impl Qp {
    fn store(&mut self, attr: &ibv_qp_attr, given: i32) {
        let mine = &mut self.attr;
        let has = |bit: i32| given & bit != 0;
        if has(mask::ACCESS_FLAGS) {
            mine.qp_access_flags = attr.qp_access_flags;
        }
        if has(mask::PKEY_INDEX) {
            mine.pkey_index = attr.pkey_index;
        }
        if has(mask::PORT) {
            mine.port_num = attr.port_num;
        }
        if has(mask::AV) {
            mine.ah_attr = attr.ah_attr;
        }
        if has(mask::PATH_MTU) {
            mine.path_mtu = attr.path_mtu;
        }
        if has(mask::TIMEOUT) {
            mine.timeout = attr.timeout;
        }
        if has(mask::RETRY_CNT) {
            mine.retry_cnt = attr.retry_cnt;
        }
        if has(mask::RNR_RETRY) {
            mine.rnr_retry = attr.rnr_retry;
        }
        if has(mask::RQ_PSN) {
            mine.rq_psn = attr.rq_psn;
        }
        if has(mask::MAX_QP_RD_ATOMIC) {
            mine.max_rd_atomic = attr.max_rd_atomic;
        }
        if has(mask::MIN_RNR_TIMER) {
            mine.min_rnr_timer = attr.min_rnr_timer;
        }
        if has(mask::SQ_PSN) {
            mine.sq_psn = attr.sq_psn;
        }
        if has(mask::MAX_DEST_RD_ATOMIC) {
            mine.max_dest_rd_atomic = attr.max_dest_rd_atomic;
        }
        if has(mask::DEST_QPN) {
            mine.dest_qp_num = attr.dest_qp_num;
        }
    }
}

/// Which attributes a change of state needs and allows (InfiniBand specification, QP state transition properties, for RC);
/// none if the change itself is illegal. Where Linux is stricter, as Linux: it does not take RESET to ERR.
fn transition(from: State, to: State) -> Option<(i32, i32)> {
    use State::{Err, Init, Reset, Rtr, Rts, Sqd, Sqe};
    use mask::*;
    let init = PKEY_INDEX | PORT | ACCESS_FLAGS;
    Some(match (from, to) {
        // No kernel device goes from RESET to ERR.
        (Reset, Err) => return None,
        (_, Reset | Err) | (Sqe, Rts) => (0, 0),
        (Reset, Init) => (init, 0),
        (Init, Init) => (0, init),
        (Init, Rtr) => (
            AV | PATH_MTU | DEST_QPN | RQ_PSN | MAX_DEST_RD_ATOMIC | MIN_RNR_TIMER,
            ALT_PATH | ACCESS_FLAGS | PKEY_INDEX,
        ),
        (Rtr, Rts) => (
            TIMEOUT | RETRY_CNT | RNR_RETRY | SQ_PSN | MAX_QP_RD_ATOMIC,
            CUR_STATE | ALT_PATH | ACCESS_FLAGS | MIN_RNR_TIMER | PATH_MIG_STATE,
        ),
        (Rts, Rts) => (0, CUR_STATE | ACCESS_FLAGS | ALT_PATH | PATH_MIG_STATE | MIN_RNR_TIMER),
        (Rts, Sqd) => (0, EN_SQD_ASYNC_NOTIFY),
        (Sqd, Rts) => (0, CUR_STATE | ALT_PATH | ACCESS_FLAGS | PATH_MIG_STATE | MIN_RNR_TIMER),
        (Sqd, Sqd) => (
            0,
            PORT | AV
                | TIMEOUT
                | RETRY_CNT
                | RNR_RETRY
                | MAX_QP_RD_ATOMIC
                | MAX_DEST_RD_ATOMIC
                | ACCESS_FLAGS
                | PKEY_INDEX
                | MIN_RNR_TIMER
                | ALT_PATH
                | PATH_MIG_STATE,
        ),
        _ => return None,
    })
}

fn check_attributes(attr: &ibv_qp_attr, given: i32, device: &Profile) -> Result<(), i32> {
    let has = |bit: i32| given & bit != 0;
    let wrong = (has(mask::PORT) && attr.port_num != 1)
        || (has(mask::AV) && attr.ah_attr.port_num != 1)
        || (has(mask::PKEY_INDEX) && attr.pkey_index != 0)
        || (has(mask::PATH_MTU) && !(1..=5).contains(&attr.path_mtu))
        || (has(mask::RETRY_CNT) && attr.retry_cnt > 7)
        || (has(mask::RNR_RETRY) && attr.rnr_retry > 7)
        || (has(mask::TIMEOUT) && attr.timeout > 31)
        || (has(mask::MIN_RNR_TIMER) && attr.min_rnr_timer > 31)
        || (has(mask::MAX_QP_RD_ATOMIC) && u64::from(attr.max_rd_atomic) > device.max_qp_init_rd_atom)
        || (has(mask::MAX_DEST_RD_ATOMIC) && u64::from(attr.max_dest_rd_atomic) > device.max_qp_rd_atom);
    if wrong { Err(libc::EINVAL) } else { Ok(()) }
}
