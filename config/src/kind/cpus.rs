//! Which CPUs the workers run on.

use toml::de::DeValue;

use super::{Kind, Refusal, shown, toml_string};
use crate::Cpus;
use crate::config::WORKERS_MAX;
use crate::cpus::{CPU_MAX, parse_list};

/// `"off"`, `"auto"` or a list such as `"0-3,6"`, which names each CPU once.
pub(crate) struct CpuList;

impl Kind<Cpus> for CpuList {
    fn read(&self, value: &DeValue<'_>) -> Result<Cpus, Vec<Refusal>> {
        let cpus = match value.as_str() {
            Some("off") => Some(Cpus::Off),
            Some("auto") => Some(Cpus::Auto),
            text => text.and_then(parse_list).map(Cpus::List),
        };
        cpus.ok_or_else(|| {
            let expected = format!(
                "\"off\", \"auto\" or a list of CPUs from 0 to {CPU_MAX} such as \"0-3,6\""
            );
            vec![Refusal::new(expected, shown(value))]
        })
    }

    fn check(&self, cpus: &Cpus) -> Vec<Refusal> {
        let Cpus::List(cpus) = cpus else {
            return Vec::new();
        };
        if let Some(cpu) = cpus.iter().find(|cpu| **cpu > CPU_MAX) {
            return vec![Refusal::new(format!("CPUs from 0 to {CPU_MAX}"), cpu.to_string())];
        }
        let mut seen = vec![false; CPU_MAX + 1];
        if let Some(cpu) = cpus.iter().find(|cpu| std::mem::replace(&mut seen[**cpu], true)) {
            return vec![Refusal::new("each CPU once", format!("{cpu} again"))];
        }
        if cpus.is_empty() || cpus.len() > WORKERS_MAX {
            let expected = format!("1 to {WORKERS_MAX} CPUs, as there are workers");
            return vec![Refusal::new(expected, cpus.len().to_string())];
        }
        Vec::new()
    }

    fn print(&self, cpus: &Cpus) -> String {
        toml_string(&cpus.to_string())
    }
}
