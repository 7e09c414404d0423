//! Fabrics: Connect's data and answers, properties.

use crate::input::{Input, padded};
use spec::{
    Command, Completion,
    fabrics::{ConnectData, ConnectResponse, InvalidParameter, check_nqn},
    registers::{Cap, Cc, Csts, Vs},
};

/// A completion, a property, a command, and then Connect's data.
pub fn run(input: &[u8]) {
    let mut fields = Input::new(input);
    let completion = Completion::from_bytes(&fields.array());
    let property = u64::from_le_bytes(fields.array());
    let command = Command::from_bytes(&fields.array());
    data(&ConnectData(fields.array()));
    data(&ConnectData(padded(input)));

    let response = ConnectResponse::decode(&completion);
    assert_eq!(response.to_dword(), completion.cdw0());
    let _ = response.requires_authentication();
    let parameter = InvalidParameter::decode(&completion);
    assert_eq!(InvalidParameter::decode(&completion.with_cdw0(parameter.to_dword())), parameter);

    let cap = Cap(property);
    assert_eq!(Cap::fabrics(cap.mqes(), cap.to(), cap.css()).mqes(), cap.mqes());
    let _ = (cap.cqr(), cap.ams(), cap.dstrd(), cap.nssrs(), cap.mpsmin(), cap.mpsmax());
    let dword = property as u32;
    let (vs, cc, csts) = (Vs(dword), Cc(dword), Csts(dword));
    assert_eq!(Vs::new(vs.major(), vs.minor(), vs.tertiary()).0, dword);
    assert_eq!(cc.with_en(cc.en()).with_shn(cc.shn()).with_mps(cc.mps()).with_ams(cc.ams()), cc);
    let _ = (cc.css(), cc.iosqes(), cc.iocqes());
    assert_eq!(csts.with_rdy(csts.rdy()).with_cfs(csts.cfs()).with_shst(csts.shst()), csts);
    let _ = (csts.nssro(), csts.pp());

    let connect = Command::connect(
        command.connect_qid(),
        command.connect_sqsize(),
        command.connect_cattr(),
        command.connect_kato(),
    );
    assert_eq!((connect.connect_recfmt(), connect.connect_qid()), (0, command.connect_qid()));
    assert_eq!(
        (connect.connect_sqsize(), connect.connect_cattr(), connect.connect_kato()),
        (command.connect_sqsize(), command.connect_cattr(), command.connect_kato())
    );
    let (offset, size, value) =
        (command.property_offset(), command.property_size(), command.property_value());
    let set = Command::property_set(offset, size, value);
    assert_eq!((set.property_offset(), set.property_size(), set.property_value()), (offset, size, value));
    let _ = Command::property_get(offset, size);
}

fn data(data: &ConnectData) {
    for nqn in [data.subnqn(), data.hostnqn()].into_iter().flatten() {
        assert!(nqn.len() <= 223 && !nqn.contains('\0'));
    }
    let (Some(subnqn), Some(hostnqn)) = (data.subnqn(), data.hostnqn()) else { return };
    if check_nqn(subnqn).is_ok() && check_nqn(hostnqn).is_ok() {
        let again = ConnectData::new(data.hostid(), data.cntlid(), subnqn, hostnqn).unwrap();
        assert_eq!((again.hostid(), again.cntlid()), (data.hostid(), data.cntlid()));
        assert_eq!((again.subnqn(), again.hostnqn()), (Some(subnqn), Some(hostnqn)));
    }
}
