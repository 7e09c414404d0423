//! Compiles the variadic half of the library, which stable Rust cannot define.

fn main() {
    println!("cargo:rerun-if-changed=c/variadic.c");
    cc::Build::new()
        .file("c/variadic.c")
        .std("c11")
        .define("_GNU_SOURCE", None)
        .flag_if_supported("-fvisibility=hidden")
        .warnings(true)
        .extra_warnings(true)
        .compile("spdk_env_rdma_variadic");
}
