//! Finds libdpdk, makes the bindings of its headers and compiles the shim.
//!
//! Without the library there is nothing to make them of, so this fails, and with it only the build
//! of what wants DPDK.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The libraries of which something is called. All of DPDK's, as pkg-config has it, would make the
/// program load some fifty more.
const LIBRARIES: [&str; 6] =
    ["rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_net_ring", "rte_ring"];

/// What is bound: functions, and the types and constants that they lead to.
const FUNCTIONS: [&str; 10] = [
    "shim_.*",
    "rte_eal_(init|cleanup|get_runtime_dir|get_lcore_state|remote_launch)",
    "rte_(strerror|version|get_tsc_hz)",
    "rte_(get_main_lcore|get_next_lcore|lcore_is_enabled|lcore_to_socket_id)",
    "rte_pktmbuf_(pool_create|free_bulk)",
    "rte_mempool_(free|avail_count|in_use_count)",
    "rte_eth_dev_(get_port_by_name|get_name_by_port|info_get|configure|start|stop|close|socket_id)",
    "rte_eth_dev_(adjust_nb_rx_tx_desc|get_mtu|callback_register|callback_unregister)",
    "rte_eth_(rx_queue_setup|tx_queue_setup|macaddr_get|link_get_nowait)",
    "rte_eth_(promiscuous_enable|allmulticast_enable|stats_get|xstats_get|xstats_get_names|from_rings)|rte_ring_create",
];

const VARIABLES: [&str; 2] =
    ["SHIM_.*", "RTE_(MAX_LCORE|MAX_ETHPORTS|ETH_NAME_MAX_LEN|PKTMBUF_HEADROOM|ETH_LINK_UP)"];

fn main() -> ExitCode {
    for path in ["build.rs", "c/shim.c", "c/shim.h"] {
        println!("cargo::rerun-if-changed={path}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return Err("DPDK is bound on Linux only: build without the feature `dpdk`".to_owned());
    }
    let found = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .map_err(|error| {
            // In one line: cargo shows no more.
            let error = error.to_string();
            let error = error.trim_start().lines().next().unwrap_or_default();
            format!(
                "libdpdk 22.11 or later is not found ({error}). Install libdpdk-dev (Debian) or \
                 dpdk-devel (Fedora), or build without the feature `dpdk` and without the packages \
                 dpdk-sys and hioload-dpdk"
            )
        })?;
    for path in &found.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    let flags = compiler_flags()?;
    compile_shim(&flags)?;
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib={library}");
    }
    generate(&flags)
}

/// The flags for C, some of which (`-include rte_config.h`, `-march`) the crate `pkg-config` keeps
/// to itself.
fn compiler_flags() -> Result<Vec<String>, String> {
    println!("cargo::rerun-if-env-changed=PKG_CONFIG");
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(&program)
        .args(["--cflags", "libdpdk"])
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!(
            "{} --cflags libdpdk: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect())
}

fn compile_shim(flags: &[String]) -> Result<(), String> {
    let mut build = cc::Build::new();
    // The headers of DPDK are not free of warnings.
    build.file("c/shim.c").opt_level(2).warnings(false).flags(flags);
    build
        .try_compile("hioload_dpdk_shim")
        .map_err(|error| format!("the shim of DPDK's inline functions cannot be compiled: {error}"))
}

fn generate(flags: &[String]) -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut builder = bindgen::Builder::default()
        .header("c/shim.h")
        .clang_args(flags)
        .prepend_enum_name(false)
        .derive_debug(false)
        .derive_default(false)
        .generate_comments(false)
        // Each is an assertion that the layout here is the one that the C compiler makes.
        .layout_tests(true)
        // Only behind pointers, or with layouts that Rust has no words for.
        .opaque_type("rte_mempool")
        .opaque_type("rte_ring")
        .opaque_type("rte_device")
        .opaque_type("rte_eth_thresh")
        .opaque_type("rte_mbuf_ext_shared_info");
    for functions in FUNCTIONS {
        builder = builder.allowlist_function(functions);
    }
    for variables in VARIABLES {
        builder = builder.allowlist_var(variables);
    }
    let bindings = builder.generate().map_err(|error| {
        format!("bindings to DPDK cannot be made ({error}): libclang is needed, on Debian libclang-dev and clang")
    })?;
    write(&bindings, &out.join("bindings.rs"))
}

fn write(bindings: &bindgen::Bindings, path: &Path) -> Result<(), String> {
    bindings.write_to_file(path).map_err(|error| format!("{}: {error}", path.display()))
}
