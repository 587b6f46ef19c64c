//! Memory of a NUMA node, and which node a CPU is on: Linux, with the feature `numa`.
//!
//! Other builds have the same functions, which know of no node. Memory that is asked of a node
//! comes from it while it has some, and from the nearest one else, as the kernel's policy
//! `MPOL_PREFERRED` says.

use std::fmt;
use std::io;

#[cfg(all(feature = "numa", target_os = "linux"))]
#[path = "numa/linux.rs"]
mod system;

#[cfg(all(feature = "numa", target_os = "linux"))]
pub(crate) use system::Pages;

#[cfg(not(all(feature = "numa", target_os = "linux")))]
mod system {
    //! Builds that know of no nodes.

    use super::NodeError;

    pub(super) fn node_of_cpu(_: usize) -> Option<usize> {
        None
    }

    pub(super) fn nodes() -> Result<Vec<usize>, NodeError> {
        Err(NodeError::Unsupported)
    }

    pub(super) fn node_asked_for(_: &[u8]) -> Option<usize> {
        None
    }
}

/// The node that a CPU is on; `None` for a CPU that there is not and where nodes are not known.
pub fn node_of_cpu(cpu: usize) -> Option<usize> {
    system::node_of_cpu(cpu)
}

/// The nodes that this process may have memory from, in ascending order.
///
/// # Errors
/// Where nodes are not known.
pub fn nodes() -> Result<Vec<usize>, NodeError> {
    system::nodes()
}

/// The node that the memory of `bytes` was asked of; `None` when it was asked of none.
pub fn node_asked_for(bytes: &[u8]) -> Option<usize> {
    system::node_asked_for(bytes)
}

/// Refuses a node that has no memory for this process.
pub(crate) fn check_node(node: usize) -> Result<(), NodeError> {
    let nodes = nodes()?;
    if nodes.contains(&node) { Ok(()) } else { Err(NodeError::NoSuchNode { node, nodes }) }
}

/// Why there is no memory of a node.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeError {
    /// The build knows of no nodes.
    Unsupported,
    /// The kernel knows of no nodes.
    Unavailable,
    /// The node is not there, has no memory, or is not for this process.
    NoSuchNode {
        /// The one that was asked for.
        node: usize,
        /// Those that there are for this process.
        nodes: Vec<usize>,
    },
    /// The kernel refuses; in a container, often for want of a permission.
    System(io::Error),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("this build knows of no NUMA nodes (feature \"numa\", on Linux)")
            }
            Self::Unavailable => f.write_str("the kernel knows of no NUMA nodes"),
            Self::NoSuchNode { node, nodes } => write!(
                f,
                "this process has no memory on NUMA node {node}; the nodes for it are {nodes:?}"
            ),
            Self::System(error) => write!(f, "memory cannot be had from a NUMA node: {error}"),
        }
    }
}

impl std::error::Error for NodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}
