//! PCI devices and their drivers.

use std::fmt;
use std::fs;
use std::str::FromStr;

use super::{Host, Obstacle, names, read, unexpected};

/// Drivers of the kernel that hand a device to DPDK.
const HANDING_OVER: [&str; 3] = ["vfio-pci", "igb_uio", "uio_pci_generic"];

/// Drivers that stay with the device beside DPDK's.
const BESIDE: [&str; 2] = ["mlx4_core", "mlx5_core"];

/// The class of network devices (PCI Code and ID Assignment Specification, section 1.2).
const NETWORK: u32 = 0x02;

/// Where a device is: domain, bus, device, function; `0000:03:00.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// It is no address of a PCI device.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no PCI address; one looks like 0000:03:00.0 or 03:00.0 (lspci shows them)")]
pub struct ParseAddressError(String);

impl FromStr for PciAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        parse(text).ok_or_else(|| ParseAddressError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (place, function) = text.split_once('.')?;
    let mut parts = place.rsplit(':');
    let device = hex(parts.next()?, 2)?;
    let bus = hex(parts.next()?, 2)?;
    let domain = parts.next().map_or(Some(0), |part| hex(part, 8))?;
    let function = hex(function, 1)?;
    if parts.next().is_some() || device > 0x1f || function > 7 {
        return None;
    }
    Some(PciAddress {
        domain,
        bus: u8::try_from(bus).ok()?,
        device: u8::try_from(device).ok()?,
        function: u8::try_from(function).ok()?,
    })
}

/// A number of at most so many digits, and nothing else.
fn hex(text: &str, digits_max: usize) -> Option<u32> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.len() > digits_max || !is_hex {
        return None;
    }
    u32::from_str_radix(text, 16).ok()
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

/// A PCI device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciDevice {
    /// Where it is.
    pub address: PciAddress,
    /// What it is: class, subclass, interface, a byte each.
    pub class: u32,
    /// The driver that has it, if one has.
    pub driver: Option<String>,
    /// The kernel's network interfaces on it.
    pub interfaces: Vec<String>,
    /// Its NUMA node; `None` where the host does not say.
    pub node: Option<usize>,
    /// Whether an IOMMU confines it.
    pub has_iommu: bool,
}

impl PciDevice {
    /// Whether it is a network device.
    pub fn is_network(&self) -> bool {
        self.class >> 16 == NETWORK
    }

    /// What keeps DPDK from using it.
    ///
    /// # Errors
    /// That.
    pub fn usable(&self) -> Result<(), Obstacle> {
        let address = self.address;
        if !self.is_network() {
            return Err(Obstacle::NotNetwork { address, class: self.class });
        }
        match &self.driver {
            Some(driver) if HANDING_OVER.contains(&driver.as_str()) => Ok(()),
            Some(driver) if BESIDE.contains(&driver.as_str()) => Ok(()),
            driver => Err(Obstacle::Bound {
                address,
                driver: driver.clone(),
                interfaces: self.interfaces.clone(),
                has_iommu: self.has_iommu,
            }),
        }
    }
}

impl Host {
    /// All PCI devices, by address; none where there is no PCI bus.
    ///
    /// # Errors
    /// Where `/sys` does not say.
    pub fn pci_devices(&self) -> Result<Vec<PciDevice>, Obstacle> {
        let addresses = names(&self.path("sys/bus/pci/devices"))?;
        addresses
            .iter()
            .filter_map(|name| name.parse().ok())
            .map(|address| self.read_device(address))
            .collect()
    }

    /// A PCI device.
    ///
    /// # Errors
    /// When there is none at that address, and where `/sys` does not say.
    pub fn pci_device(&self, address: PciAddress) -> Result<PciDevice, Obstacle> {
        if self.path(&directory(address)).exists() {
            return self.read_device(address);
        }
        let found: Vec<_> = self
            .pci_devices()?
            .into_iter()
            .filter(PciDevice::is_network)
            .map(|device| {
                format!("{} ({})", device.address, device.driver.as_deref().unwrap_or("no driver"))
            })
            .collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        Err(Obstacle::NoDevice { address, found })
    }

    fn read_device(&self, address: PciAddress) -> Result<PciDevice, Obstacle> {
        let directory = self.path(&directory(address));
        let class = {
            let path = directory.join("class");
            let text = read(&path)?;
            text.strip_prefix("0x")
                .and_then(|digits| hex(digits, 6))
                .ok_or_else(|| unexpected(&path, &text))?
        };
        let driver = fs::read_link(directory.join("driver")).ok();
        let driver = driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        // -1 where the host does not say, and no such file in kernels without NUMA.
        let node = read(&directory.join("numa_node")).ok().and_then(|node| node.parse().ok());
        // A virtio device has its interfaces one level below.
        let mut interfaces = names(&directory.join("net"))?;
        for name in names(&directory)?.iter().filter(|name| name.starts_with("virtio")) {
            interfaces.extend(names(&directory.join(name).join("net"))?);
        }
        let has_iommu = directory.join("iommu_group").exists();
        Ok(PciDevice { address, class, driver, interfaces, node, has_iommu })
    }
}

fn directory(address: PciAddress) -> String {
    format!("sys/bus/pci/devices/{address}")
}
