//! The QP attributes that a connection needs in each state (`rdma_init_qp_attr`).

#![allow(unsafe_code)]

use std::net::SocketAddr;

use rdma_sys::{ibv_gid, ibv_qp_attr};

use super::{CmId, State};
use crate::carrier::address::gid_of;
use crate::fabric::memory::access;
use crate::fabric::qp::{State as QpState, mask};

/// 4096 bytes, in the encoding of `enum ibv_mtu`.
pub const MTU_4096: u32 = 5;
/// How many routers may be on the way.
pub const HOP_LIMIT: u8 = 64;
/// The kernel's choice for RoCE: about half a second.
const ACK_TIMEOUT: u8 = 17;

impl CmId {
    /// The attributes and their mask for the state in `attr.qp_state`; an errno if this connection is not there yet.
    pub fn qp_attributes(&self, attr: &mut ibv_qp_attr, sgid_index: u8) -> Result<i32, i32> {
        let connected =
            !matches!(self.state, State::Idle | State::Bound | State::AddrResolved | State::RouteResolved);
        match QpState::from_number(attr.qp_state) {
            Some(QpState::Init) => {
                attr.pkey_index = 0;
                attr.port_num = 1;
                attr.qp_access_flags = match (connected, self.responder_resources) {
                    (false, _) => 0,
                    (true, 0) => access::REMOTE_WRITE,
                    (true, _) => access::REMOTE_WRITE | access::REMOTE_READ | access::REMOTE_ATOMIC,
                };
                Ok(mask::STATE | mask::PKEY_INDEX | mask::PORT | mask::ACCESS_FLAGS)
            }
            Some(QpState::Rtr) if connected => {
                attr.path_mtu = MTU_4096;
                attr.dest_qp_num = self.peer_qpn;
                attr.rq_psn = self.peer_qpn;
                attr.max_dest_rd_atomic = self.responder_resources;
                attr.min_rnr_timer = 0;
                // SAFETY: `ibv_ah_attr` is numbers throughout; all zero is a value of it.
                attr.ah_attr = unsafe { std::mem::zeroed() };
                attr.ah_attr.grh.dgid =
                    ibv_gid { raw: self.target.map_or([0; 16], |a: SocketAddr| gid_of(a.ip())) };
                attr.ah_attr.grh.sgid_index = sgid_index;
                attr.ah_attr.grh.hop_limit = HOP_LIMIT;
                attr.ah_attr.grh.traffic_class = self.options.tos;
                attr.ah_attr.is_global = 1;
                attr.ah_attr.port_num = 1;
                Ok(mask::STATE
                    | mask::AV
                    | mask::PATH_MTU
                    | mask::DEST_QPN
                    | mask::RQ_PSN
                    | mask::MAX_DEST_RD_ATOMIC
                    | mask::MIN_RNR_TIMER)
            }
            Some(QpState::Rts) if connected => {
                attr.sq_psn = self.own_qpn;
                attr.timeout = self.options.ack_timeout.unwrap_or(ACK_TIMEOUT);
                attr.retry_cnt = self.retry_count;
                attr.rnr_retry = self.rnr_retry_count;
                attr.max_rd_atomic = self.initiator_depth;
                Ok(mask::STATE
                    | mask::SQ_PSN
                    | mask::TIMEOUT
                    | mask::RETRY_CNT
                    | mask::RNR_RETRY
                    | mask::MAX_QP_RD_ATOMIC)
            }
            _ => Err(libc::EINVAL),
        }
    }
}
