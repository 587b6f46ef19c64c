//! Looks at the host, and says what keeps DPDK from running on it and the command that mends it.
//!
//! Only reads files, which are below a path of the caller's: `/`, or a tree that a test has made.
//! Needs no EAL, so it serves before one is started and after one was refused.

mod huge_pages;
mod pci;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use huge_pages::HugePages;
pub use pci::{ParseAddressError, PciAddress, PciDevice};

/// A host, by its files.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

/// What keeps DPDK from running, with what mends it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// No such device.
    #[error("there is no PCI device {address}; network devices here: {found}")]
    NoDevice {
        /// The address.
        address: PciAddress,
        /// The network devices that there are.
        found: String,
    },
    /// The device is something else.
    #[error("PCI device {address} is no network device (class {class:#08x})")]
    NotNetwork {
        /// The address.
        address: PciAddress,
        /// What it is, as in the PCI specification.
        class: u32,
    },
    /// The kernel's own driver has the device, or none has.
    #[error(
        "PCI device {address} is bound to {}, and DPDK needs vfio-pci{}: \
         modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci {address}{}",
        driver.as_deref().unwrap_or("no driver"),
        if interfaces.is_empty() {
            String::new()
        } else {
            format!(" (the kernel then loses {})", interfaces.join(", "))
        },
        if *has_iommu {
            ""
        } else {
            ". There is no IOMMU for it: switch that on in the firmware and by intel_iommu=on or \
             amd_iommu=on on the kernel's command line; without one, give up its protection by \
             echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
        }
    )]
    Bound {
        /// The address.
        address: PciAddress,
        /// The driver, if one has it.
        driver: Option<String>,
        /// The kernel's interfaces on it.
        interfaces: Vec<String>,
        /// Whether an IOMMU confines it.
        has_iommu: bool,
    },
    /// Not enough free huge pages.
    #[error(
        "NUMA node {node} has {free_mib} MiB of free huge pages, of {needed_mib} MiB: {remedy}"
    )]
    HugePages {
        /// The node.
        node: usize,
        /// What is free.
        free_mib: u64,
        /// What is needed.
        needed_mib: u64,
        /// What mends it.
        remedy: String,
    },
    /// Huge pages can be mapped nowhere.
    #[error(
        "no hugetlbfs is mounted: mkdir -p /dev/hugepages && mount -t hugetlbfs hugetlbfs /dev/hugepages"
    )]
    NotMounted,
    /// This user may not map huge pages.
    #[error("{}: {error}; run as root, or mount it with uid= or mode= for this user", path.display())]
    NotWritable {
        /// Where hugetlbfs is mounted.
        path: PathBuf,
        /// The kernel's reason.
        error: io::Error,
    },
    /// The host does not say.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        error: io::Error,
    },
}

impl Host {
    /// The host that this runs on.
    pub fn new() -> Self {
        Self::at("/")
    }

    /// A host whose `/sys` and `/proc` lie below a path.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether this process runs as root.
    ///
    /// # Errors
    /// Where `/proc` does not say.
    pub fn is_root(&self) -> Result<bool, Obstacle> {
        let path = self.path("proc/self/status");
        let status = read(&path)?;
        // Real, effective, saved and file system user.
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|users| users.split_whitespace().nth(1));
        Ok(effective == Some("0"))
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

/// The text of a file, without the line's end.
fn read(path: &Path) -> Result<String, Obstacle> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// The names in a directory, in order; none where there is no such directory.
fn names(path: &Path) -> Result<Vec<String>, Obstacle> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(path, error)),
    };
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| unreadable(path, error))?;
    names.sort_unstable();
    Ok(names)
}

fn unreadable(path: &Path, error: io::Error) -> Obstacle {
    Obstacle::Unreadable { path: path.to_owned(), error }
}

/// An error for a file that holds something else than it should.
fn unexpected(path: &Path, text: &str) -> Obstacle {
    let error = io::Error::new(io::ErrorKind::InvalidData, format!("unexpected content {text:?}"));
    unreadable(path, error)
}
