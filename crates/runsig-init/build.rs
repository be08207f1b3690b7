//! How the stand-alone program is linked: no start files, no C library, as small as can be.

/// Arguments for the C compiler that drives the linker, each with its reason.
const LINK: &[&str] = &[
    // The entry point is ours, and there is no C library.
    "-nostartfiles",
    "-nodefaultlibs",
    // A program without an interpreter and without relocations: nothing of it has to be written at start.
    "-static",
    "-no-pie",
    // Few pages: they are copied into a memfd for each container, and a waiting init keeps them resident.
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,--no-eh-frame-hdr",
    "-Wl,-z,noseparate-code",
    "-Wl,-z,max-page-size=4096",
    "-Wl,-z,norelro",
    // The kernel must not make the stack executable.
    "-Wl,-z,noexecstack",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_FREESTANDING").is_some() {
        for arg in LINK {
            println!("cargo::rustc-link-arg-bin=runsig-init={arg}");
        }
    }
}
