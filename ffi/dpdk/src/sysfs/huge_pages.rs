//! Huge pages, and where they can be mapped.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process;

use super::{Host, Obstacle, names, read, unexpected};

/// Huge pages of one size on one NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePages {
    /// The node.
    pub node: usize,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages that are reserved.
    pub reserved: u64,
    /// Pages that nobody uses.
    pub free: u64,
}

impl Host {
    /// The huge pages of each node and size, in this order. A kernel without NUMA has node 0.
    ///
    /// # Errors
    /// Where `/sys` does not say.
    pub fn huge_pages(&self) -> Result<Vec<HugePages>, Obstacle> {
        let nodes = self.path("sys/devices/system/node");
        let mut found = Vec::new();
        for name in names(&nodes)? {
            let Some(node) = name.strip_prefix("node").and_then(|node| node.parse().ok()) else {
                continue;
            };
            found.extend(sizes(node, &nodes.join(name).join("hugepages"))?);
        }
        if found.is_empty() {
            found = sizes(0, &self.path("sys/kernel/mm/hugepages"))?;
        }
        found.sort_unstable_by_key(|pages| (pages.node, pages.page_bytes));
        Ok(found)
    }

    /// Whether each node has so many MiB of free huge pages, beginning with node 0.
    ///
    /// # Errors
    /// The first node that has not, with the command that mends it.
    pub fn huge_pages_suffice(&self, mib_per_node: &[u32]) -> Result<(), Obstacle> {
        const MIB: u64 = 1 << 20;
        let pages = self.huge_pages()?;
        for (node, needed_mib) in mib_per_node.iter().enumerate() {
            let of_node: Vec<_> = pages.iter().filter(|pages| pages.node == node).collect();
            let free: u64 = of_node.iter().map(|pages| pages.free * pages.page_bytes).sum();
            let needed = u64::from(*needed_mib) * MIB;
            if free >= needed {
                continue;
            }
            let remedy = of_node.first().map_or_else(
                || "the kernel has no huge pages there".to_owned(),
                |smallest| {
                    let missing = (needed - free).div_ceil(smallest.page_bytes);
                    format!(
                        "echo {} > /sys/devices/system/node/node{node}/hugepages/hugepages-{}kB/\
                         nr_hugepages",
                        smallest.reserved + missing,
                        smallest.page_bytes >> 10,
                    )
                },
            );
            let (free_mib, needed_mib) = (free / MIB, (*needed_mib).into());
            return Err(Obstacle::HugePages { node, free_mib, needed_mib, remedy });
        }
        Ok(())
    }

    /// Where hugetlbfs is mounted.
    ///
    /// # Errors
    /// Where `/proc` does not say.
    pub fn hugetlbfs_mounts(&self) -> Result<Vec<PathBuf>, Obstacle> {
        let mounts = read(&self.path("proc/self/mounts"))?;
        // What is mounted, where, and of which kind; blanks in a path are written as \040.
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            let (path, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "hugetlbfs").then(|| PathBuf::from(path.replace("\\040", " ")))
        });
        Ok(mounts.collect())
    }

    /// Whether this process can map huge pages: creates a file, and removes it.
    ///
    /// # Errors
    /// When nothing is mounted, or this user may not.
    pub fn hugetlbfs_usable(&self) -> Result<(), Obstacle> {
        let mounts = self.hugetlbfs_mounts()?;
        let mut refused = Obstacle::NotMounted;
        for path in mounts {
            match probe(
                &self.path(path.strip_prefix("/").unwrap_or(&path).to_string_lossy().as_ref()),
            ) {
                Ok(()) => return Ok(()),
                Err(error) => refused = Obstacle::NotWritable { path, error },
            }
        }
        Err(refused)
    }
}

fn probe(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!("hioload-probe-{}", process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)
}

fn sizes(node: usize, directory: &Path) -> Result<Vec<HugePages>, Obstacle> {
    let mut found = Vec::new();
    for name in names(directory)? {
        let Some(kib) = name
            .strip_prefix("hugepages-")
            .and_then(|size| size.strip_suffix("kB"))
            .and_then(|kib| kib.parse::<u64>().ok())
        else {
            continue;
        };
        let number = |file| {
            let path = directory.join(&name).join(file);
            let text = read(&path)?;
            text.parse().map_err(|_| unexpected(&path, &text))
        };
        found.push(HugePages {
            node,
            page_bytes: kib << 10,
            reserved: number("nr_hugepages")?,
            free: number("free_hugepages")?,
        });
    }
    Ok(found)
}
