//! What the types of the hot room forbid does not compile: each program of `compile_fail` has one misuse, and the compiler's answer
//! beside it. Where another compiler words it differently, `TRYBUILD=overwrite cargo test -p nvme-rdma-verbs --test compile_fail`
//! writes the answers anew; what is to be looked at then is that each is still about the misuse.

#[test]
fn misuses_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
