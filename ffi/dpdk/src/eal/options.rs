//! Arguments of the EAL, as values.

use super::EalError;

/// What the EAL is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalOptions {
    /// Names the files of this process; two processes on one host need two names.
    pub file_prefix: String,
    /// Where memory comes from.
    pub memory: Memory,
    /// The threads and their CPUs.
    pub lcores: Lcores,
    /// PCI addresses of the devices that DPDK may take; it looks at no other, and with none of them
    /// not at the PCI bus at all.
    pub pci_devices: Vec<String>,
    /// Virtual devices, as for `--vdev`: `net_tap0,iface=tap0`.
    pub virtual_devices: Vec<String>,
    /// What DPDK logs, at least.
    pub log_level: LogLevel,
    /// Further arguments as they are.
    pub extra: Vec<String>,
}

/// Where memory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Huge pages: MiB of each NUMA node, beginning with node 0. The files leave no name behind,
    /// whatever becomes of the process.
    HugePages {
        /// MiB per node; reserved at the start, while more is taken when it is needed.
        mib_per_node: Vec<u32>,
    },
    /// Ordinary pages, for virtual devices on a host without huge pages: all there will be.
    Ordinary {
        /// MiB in all.
        mib: u32,
    },
}

/// Threads and their CPUs. The main lcore, number 0, is the calling thread, which may float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lcores {
    /// CPUs that the calling thread, and what it starts, may run on.
    pub control_cpus: Vec<usize>,
    /// The CPU of lcore 1, lcore 2, and so on.
    pub worker_cpus: Vec<usize>,
}

/// What is logged, with all that is graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What cannot be gone on with.
    Critical = 3,
    /// Errors.
    Error = 4,
    /// Warnings.
    Warning = 5,
    /// What is worth knowing.
    Notice = 6,
    /// All that happens in the course of things.
    Info = 7,
    /// Everything.
    Debug = 8,
}

impl EalOptions {
    /// Huge pages of node 0, no device and no worker, under a name.
    pub fn new(file_prefix: impl Into<String>, mib: u32) -> Self {
        Self {
            file_prefix: file_prefix.into(),
            memory: Memory::HugePages { mib_per_node: vec![mib] },
            lcores: Lcores { control_cpus: vec![0], worker_cpus: Vec::new() },
            pci_devices: Vec::new(),
            virtual_devices: Vec::new(),
            log_level: LogLevel::Warning,
            extra: Vec::new(),
        }
    }

    /// The command line, the program's name ahead.
    pub(super) fn arguments(&self) -> Result<Vec<String>, EalError> {
        let mut arguments = vec!["hioload".to_owned(), self.file_prefix()?];
        arguments.extend(self.lcores()?);
        arguments.extend(self.memory()?);
        arguments.extend(self.devices()?);
        arguments.push(format!("--log-level={}", self.log_level as u32));
        arguments.extend(self.extra.iter().cloned());
        Ok(arguments)
    }

    fn file_prefix(&self) -> Result<String, EalError> {
        let prefix = &self.file_prefix;
        let fits = (1..=64).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !prefix.starts_with(['.', '-']);
        if !fits {
            return Err(option(
                "file_prefix",
                format!(
                    "{prefix:?} cannot be part of a file name; 1 to 64 letters, digits, '-', '_' \
                     and '.', beginning with neither '.' nor '-'"
                ),
            ));
        }
        Ok(format!("--file-prefix={prefix}"))
    }

    fn lcores(&self) -> Result<[String; 2], EalError> {
        let Lcores { control_cpus, worker_cpus } = &self.lcores;
        if control_cpus.is_empty() {
            return Err(option("lcores", "no CPU for the calling thread".to_owned()));
        }
        if worker_cpus.len() >= dpdk_sys::RTE_MAX_LCORE as usize {
            return Err(option(
                "lcores",
                format!(
                    "{} workers; this DPDK has {} lcores, one of which is the calling thread",
                    worker_cpus.len(),
                    dpdk_sys::RTE_MAX_LCORE
                ),
            ));
        }
        let control: Vec<_> = control_cpus.iter().map(ToString::to_string).collect();
        let mut map = format!("--lcores=0@({})", control.join(","));
        for (index, cpu) in worker_cpus.iter().enumerate() {
            map.push_str(&format!(",{}@{cpu}", index + 1));
        }
        Ok([map, "--main-lcore=0".to_owned()])
    }

    fn memory(&self) -> Result<Vec<String>, EalError> {
        match &self.memory {
            Memory::HugePages { mib_per_node } => {
                if mib_per_node.iter().all(|mib| *mib == 0) {
                    return Err(option("memory", "0 MiB of huge pages on every node".to_owned()));
                }
                let nodes: Vec<_> = mib_per_node.iter().map(ToString::to_string).collect();
                // Without names, a process that is killed leaves no huge pages occupied.
                Ok(vec![
                    format!("--socket-mem={}", nodes.join(",")),
                    "--huge-unlink=always".to_owned(),
                ])
            }
            Memory::Ordinary { mib: 0 } => Err(option("memory", "0 MiB".to_owned())),
            Memory::Ordinary { mib } => Ok(vec!["--no-huge".to_owned(), format!("-m{mib}")]),
        }
    }

    fn devices(&self) -> Result<Vec<String>, EalError> {
        let mut arguments = Vec::new();
        if self.pci_devices.is_empty() {
            arguments.push("--no-pci".to_owned());
        }
        for (name, flag, devices) in [
            ("pci_devices", "--allow", &self.pci_devices),
            ("virtual_devices", "--vdev", &self.virtual_devices),
        ] {
            for device in devices {
                if device.is_empty() || device.contains(char::is_whitespace) {
                    return Err(option(name, format!("{device:?} names no device")));
                }
                arguments.push(format!("{flag}={device}"));
            }
        }
        Ok(arguments)
    }
}

fn option(name: &'static str, problem: String) -> EalError {
    EalError::Option { name, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_thread_floats_and_the_workers_are_pinned() {
        let mut options = EalOptions::new("a", 64);
        options.lcores = Lcores { control_cpus: vec![0, 1], worker_cpus: vec![1] };

        let arguments = options.arguments().unwrap();

        assert!(arguments.contains(&"--lcores=0@(0,1),1@1".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"--main-lcore=0".to_owned()), "{arguments:?}");
    }

    #[test]
    fn without_pci_devices_the_bus_is_not_looked_at() {
        let mut options = EalOptions::new("a", 64);
        assert!(options.arguments().unwrap().contains(&"--no-pci".to_owned()));

        options.pci_devices.push("0000:03:00.0".to_owned());

        let arguments = options.arguments().unwrap();
        assert!(!arguments.contains(&"--no-pci".to_owned()));
        assert!(arguments.contains(&"--allow=0000:03:00.0".to_owned()));
    }

    #[test]
    fn huge_pages_are_asked_of_each_node_and_leave_no_names() {
        let mut options = EalOptions::new("a", 64);
        options.memory = Memory::HugePages { mib_per_node: vec![0, 512] };

        let arguments = options.arguments().unwrap();

        assert!(arguments.contains(&"--socket-mem=0,512".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"--huge-unlink=always".to_owned()), "{arguments:?}");
    }

    #[test]
    fn options_that_the_eal_would_misread_are_refused_by_name() {
        let good = EalOptions::new("a", 64);
        let cases = [
            ("file_prefix", EalOptions { file_prefix: "../a".to_owned(), ..good.clone() }),
            ("memory", EalOptions { memory: Memory::Ordinary { mib: 0 }, ..good.clone() }),
            (
                "lcores",
                EalOptions {
                    lcores: Lcores { control_cpus: Vec::new(), worker_cpus: vec![1] },
                    ..good.clone()
                },
            ),
            ("virtual_devices", EalOptions { virtual_devices: vec!["a b".to_owned()], ..good }),
        ];
        for (name, options) in cases {
            let error = options.arguments().unwrap_err();
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }
}
