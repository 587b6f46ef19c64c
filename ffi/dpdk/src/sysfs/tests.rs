//! Over trees as a host of two nodes has them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process;

use super::{Host, Obstacle, PciAddress};

/// A tree below the temporary directory, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hioload-sysfs-{test}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn host(&self) -> Host {
        Host::at(&self.0)
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A device as the kernel shows it; without a driver where that is empty.
    fn device(&self, address: &str, class: &str, driver: &str, interface: &str) -> &Self {
        let directory = format!("sys/bus/pci/devices/{address}");
        self.file(&format!("{directory}/class"), &format!("{class}\n"));
        self.file(&format!("{directory}/numa_node"), "1\n");
        if !interface.is_empty() {
            self.file(&format!("{directory}/net/{interface}/mtu"), "1500\n");
        }
        if !driver.is_empty() {
            let target = format!("../../../../bus/pci/drivers/{driver}");
            symlink(target, self.0.join(directory).join("driver")).unwrap();
        }
        self
    }

    fn pages(&self, node: usize, kib: u64, reserved: u64, free: u64) -> &Self {
        let directory = format!("sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB");
        self.file(&format!("{directory}/nr_hugepages"), &format!("{reserved}\n"));
        self.file(&format!("{directory}/free_hugepages"), &format!("{free}\n"))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn address(text: &str) -> PciAddress {
    text.parse().unwrap()
}

#[test]
fn a_device_of_the_kernel_comes_with_the_command_that_gives_it_to_dpdk() {
    let tree = Tree::new("kernel");
    tree.device("0000:03:00.0", "0x020000", "ixgbe", "enp3s0f0");

    let device = tree.host().pci_device(address("03:00.0")).unwrap();

    assert_eq!((device.driver.as_deref(), device.node), (Some("ixgbe"), Some(1)));
    let obstacle = device.usable().unwrap_err().to_string();
    for part in [
        "0000:03:00.0 is bound to ixgbe",
        "loses enp3s0f0",
        "dpdk-devbind.py --bind=vfio-pci 0000:03:00.0",
        "intel_iommu=on",
    ] {
        assert!(obstacle.contains(part), "no {part:?} in: {obstacle}");
    }
}

#[test]
fn with_an_iommu_nothing_is_said_of_it() {
    let tree = Tree::new("iommu");
    tree.device("0000:03:00.0", "0x020000", "", "");
    tree.file("sys/bus/pci/devices/0000:03:00.0/iommu_group/type", "DMA\n");

    let device = tree.host().pci_device(address("03:00.0")).unwrap();

    let obstacle = device.usable().unwrap_err().to_string();
    assert!(obstacle.contains("bound to no driver"), "{obstacle}");
    assert!(!obstacle.contains("IOMMU"), "{obstacle}");
}

#[test]
fn devices_that_dpdk_can_have_are_usable_and_others_are_not() {
    let tree = Tree::new("usable");
    tree.device("0000:03:00.0", "0x020000", "vfio-pci", "")
        .device("0000:04:00.0", "0x020000", "mlx5_core", "enp4s0")
        .device("0000:05:00.0", "0x010802", "nvme", "");
    let usable = |place| tree.host().pci_device(address(place)).unwrap().usable();

    assert!(usable("03:00.0").is_ok());
    assert!(usable("04:00.0").is_ok());
    assert!(matches!(usable("05:00.0"), Err(Obstacle::NotNetwork { class: 0x010802, .. })));
}

#[test]
fn a_device_that_is_not_there_is_reported_with_the_network_devices_that_are() {
    let tree = Tree::new("absent");
    tree.device("0000:04:00.1", "0x020000", "igb", "eth1").device(
        "0000:05:00.0",
        "0x010802",
        "nvme",
        "",
    );

    let error = tree.host().pci_device(address("0000:03:00.0")).unwrap_err().to_string();

    assert!(error.contains("no PCI device 0000:03:00.0"), "{error}");
    assert!(error.contains("0000:04:00.1 (igb)") && !error.contains("05:00.0"), "{error}");
}

#[test]
fn the_interface_of_a_virtio_device_is_found() {
    let tree = Tree::new("virtio");
    tree.device("0000:00:03.0", "0x020000", "virtio-pci", "");
    tree.file("sys/bus/pci/devices/0000:00:03.0/virtio1/net/eth0/mtu", "1500\n");

    let device = tree.host().pci_device(address("00:03.0")).unwrap();

    assert_eq!(device.interfaces, ["eth0"]);
}

#[test]
fn addresses_are_read_in_both_forms_and_nothing_else_is() {
    for (text, form) in [
        ("03:00.0", "0000:03:00.0"),
        ("0000:3:0.7", "0000:03:00.7"),
        ("10000:e1:1f.1", "10000:e1:1f.1"),
    ] {
        assert_eq!(address(text).to_string(), form);
    }
    for text in ["", "eth0", "03:00", "03:20.0", "03:00.8", "0:0:0:0.0", "+3:00.0", "03:00.0 "] {
        assert!(text.parse::<PciAddress>().is_err(), "{text:?}");
    }
}

#[test]
fn missing_huge_pages_are_told_per_node_with_the_number_to_reserve() {
    let tree = Tree::new("pages");
    tree.pages(0, 2048, 512, 500).pages(0, 1_048_576, 1, 1).pages(1, 2048, 300, 100);
    let host = tree.host();
    assert_eq!(host.huge_pages().unwrap().len(), 3);

    // 1 GiB and 1,000 MiB; 200 MiB.
    assert!(host.huge_pages_suffice(&[2024, 200]).is_ok());
    let error = host.huge_pages_suffice(&[0, 512]).unwrap_err().to_string();

    // 312 MiB more are 156 pages, beside the 300.
    for part in
        ["node 1 has 200 MiB", "of 512 MiB", "echo 456 > ", "node1/hugepages/hugepages-2048kB"]
    {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
    assert!(host.huge_pages_suffice(&[0, 0, 1]).unwrap_err().to_string().contains("no huge pages"));
}

#[test]
fn a_kernel_without_numa_has_its_pages_on_node_0() {
    let tree = Tree::new("uniform");
    tree.file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
    tree.file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");

    let pages = tree.host().huge_pages().unwrap();

    assert_eq!((pages[0].node, pages[0].reserved, pages[0].free), (0, 8, 3));
}

#[test]
fn hugetlbfs_is_usable_where_it_is_mounted_and_files_can_be_made() {
    let tree = Tree::new("hugetlbfs");
    tree.file("proc/self/mounts", "proc /proc proc rw 0 0\n");
    let usable = || tree.host().hugetlbfs_usable();
    assert!(matches!(usable(), Err(Obstacle::NotMounted)));

    tree.file("proc/self/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n");
    assert!(matches!(usable(), Err(Obstacle::NotWritable { .. })));
    fs::create_dir_all(tree.0.join("dev/hugepages")).unwrap();

    assert!(usable().is_ok());
    assert_eq!(fs::read_dir(tree.0.join("dev/hugepages")).unwrap().count(), 0);
}

#[test]
fn root_is_the_effective_user_0() {
    let tree = Tree::new("root");
    tree.file("proc/self/status", "Name:\tx\nUid:\t1000\t0\t0\t0\n");
    assert!(tree.host().is_root().unwrap());
    tree.file("proc/self/status", "Name:\tx\nUid:\t0\t1000\t0\t0\n");
    assert!(!tree.host().is_root().unwrap());
}

#[test]
fn this_host_can_be_read() {
    let host = Host::new();
    host.pci_devices().unwrap();
    host.huge_pages().unwrap();
    host.is_root().unwrap();
}
