//! Whether the host is ready for what the configuration asks of it: EAL's own errors do not say what
//! to do about them.

use std::fs;
use std::path::Path;

use hioload_config::{Config, Device};
use hioload_dpdk::Memory;
use hioload_dpdk::sysfs::{Host, PciAddress};

use super::DpdkError;

/// Drivers that take their frames from an interface of the kernel, which has to be there.
const OVER_INTERFACES: [&str; 2] = ["net_af_packet", "net_af_xdp"];

/// Of the network namespace that this thread is in; `/sys/class/net` is of whoever mounted it.
const INTERFACES: &str = "/proc/thread-self/net/dev";

pub(super) fn check(config: &Config, memory: &Memory) -> Result<(), DpdkError> {
    check_on(&Host::new(), Path::new(INTERFACES), config, memory)
}

fn check_on(
    host: &Host,
    interfaces: &Path,
    config: &Config,
    memory: &Memory,
) -> Result<(), DpdkError> {
    for (index, port) in config.dpdk.ports.iter().enumerate() {
        match &port.device {
            // What EAL makes of an address that is none, the configuration has refused.
            Device::Pci(address) => {
                if let Ok(address) = address.parse::<PciAddress>() {
                    let device = host.pci_device(address);
                    device
                        .and_then(|device| device.usable())
                        .map_err(|source| DpdkError::Device { key: key(index), source })?;
                }
            }
            Device::Vdev(vdev) => check_interface(interfaces, index, vdev)?,
        }
    }
    if let Memory::HugePages { mib_per_node } = memory {
        host.hugetlbfs_usable()?;
        host.huge_pages_suffice(mib_per_node)?;
    }
    Ok(())
}

/// An interface that is named, and has to be there, is.
fn check_interface(interfaces: &Path, index: usize, vdev: &str) -> Result<(), DpdkError> {
    if !OVER_INTERFACES.iter().any(|driver| vdev.starts_with(driver)) {
        return Ok(());
    }
    let Some(interface) = vdev.split(',').find_map(|argument| argument.strip_prefix("iface="))
    else {
        return Ok(());
    };
    // Where the system does not say, EAL finds out.
    let Ok(table) = fs::read_to_string(interfaces) else { return Ok(()) };
    // Two lines of headings, then a line for each interface.
    let names = table.lines().skip(2).filter_map(|line| line.split_once(':'));
    let mut found: Vec<&str> = names.map(|(name, _)| name.trim()).collect();
    if found.contains(&interface) {
        return Ok(());
    }
    found.sort_unstable();
    Err(DpdkError::NoInterface {
        key: key(index),
        vdev: vdev.to_owned(),
        interface: interface.to_owned(),
        found: found.join(", "),
    })
}

fn key(port: usize) -> String {
    format!("dpdk.port[{port}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a host whose files are these.
    fn wrong(test: &str, files: &[(&str, &str)], toml: &str) -> String {
        let root = std::env::temp_dir().join(format!("hioload-host-{}-{test}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a file in a directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        let config = Config::parse(toml, "test").expect("a valid configuration");
        let memory = Memory::HugePages { mib_per_node: vec![64] };
        let interfaces = root.join("dev");
        let result = check_on(&Host::at(&root), &interfaces, &config, &memory);
        fs::remove_dir_all(&root).expect("removed");
        result.expect_err("something is wrong").to_string()
    }

    const ONE_TAP: &str = r#"
        server.listen = "10.0.0.1:80"
        dpdk.port = [{ vdev = "net_tap0", addresses = ["10.0.0.1/24"] }]
    "#;

    #[test]
    fn without_huge_pages_the_message_says_how_to_get_some() {
        let pages = "sys/devices/system/node/node0/hugepages/hugepages-2048kB";
        let mounts = ("proc/self/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw 0 0\n");
        let dev = ("dev/hugepages/.keep", "");
        let (reserved, free) = (format!("{pages}/nr_hugepages"), format!("{pages}/free_hugepages"));
        let files = [mounts, dev, (&*reserved, "4\n"), (&*free, "2\n")];
        let wrong = wrong("pages", &files, ONE_TAP);
        assert!(wrong.contains("4 MiB of free huge pages, of 64 MiB"), "{wrong}");
        assert!(wrong.contains("echo 34 > /sys/devices/system/node/node0/"), "{wrong}");
    }

    #[test]
    fn without_hugetlbfs_the_message_says_how_to_mount_it() {
        let wrong = wrong("mounts", &[("proc/self/mounts", "proc /proc proc rw 0 0\n")], ONE_TAP);
        assert!(wrong.contains("mount -t hugetlbfs"), "{wrong}");
    }

    #[test]
    fn an_interface_that_is_missing_is_named_and_so_are_those_that_are_there() {
        let toml = ONE_TAP.replace("net_tap0", "net_af_packet0,iface=veth7");
        let table = "Inter-|   Receive\n face |bytes    packets\n    lo: 76 8\n  eth0:1200 9\n";
        let wrong = wrong("interface", &[("dev", table)], &toml);
        assert!(wrong.contains("dpdk.port[0]: there is no interface \"veth7\""), "{wrong}");
        assert!(wrong.ends_with("or name one of eth0, lo"), "{wrong}");
    }

    #[test]
    fn a_device_that_is_not_there_or_the_kernels_is_told_so() {
        let toml = ONE_TAP.replace("vdev = \"net_tap0\"", "pci = \"0000:03:00.0\"");
        let device = "sys/bus/pci/devices/0000:04:00.0";
        let class = format!("{device}/class");
        let missing = wrong("missing", &[(&class, "0x020000\n")], &toml);
        assert!(missing.contains("dpdk.port[0]: there is no PCI device 0000:03:00.0"), "{missing}");
        let toml = toml.replace("03:00", "04:00");
        let bound = wrong("bound", &[(&class, "0x020000\n")], &toml);
        assert!(bound.contains("dpdk-devbind.py --bind=vfio-pci 0000:04:00.0"), "{bound}");
    }
}
