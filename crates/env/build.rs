//! Compiles the variadic half of the library, which stable Rust cannot define, and gives the shared library its soname.

fn main() {
    println!("cargo:rerun-if-changed=c/variadic.c");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libspdk_env_rdma.so.0");
    // Whatever is undefined is said now and not by the loader of some program.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
    cc::Build::new()
        .file("c/variadic.c")
        .std("c11")
        .define("_GNU_SOURCE", None)
        .flag_if_supported("-fvisibility=hidden")
        .warnings(true)
        .extra_warnings(true)
        .compile("spdk_env_rdma_variadic");
}
