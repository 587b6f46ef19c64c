//! One of a few words, and yes or no.

use std::marker::PhantomData;

use toml::de::DeValue;

use super::{Kind, Refusal, quoted, shown, toml_string};
use crate::{ClientAddress, Datapath, Idle, LogFormat, LogLevel, Offloads, Publish, SlowConsumer};

/// true or false.
pub(crate) struct Flag;

impl Kind<bool> for Flag {
    fn read(&self, value: &DeValue<'_>) -> Result<bool, Vec<Refusal>> {
        value.as_bool().ok_or_else(|| vec![Refusal::new("true or false", shown(value))])
    }

    fn check(&self, _: &bool) -> Vec<Refusal> {
        Vec::new()
    }

    fn print(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// One of the words that name the variants of `T`.
pub(crate) struct Choice<T>(PhantomData<T>);

impl<T> Choice<T> {
    pub(crate) const fn new() -> Self {
        Choice(PhantomData)
    }
}

/// An enum whose variants are named by words.
pub(crate) trait Words: Copy + 'static {
    const ALL: &'static [Self];

    fn word(self) -> &'static str;
}

impl Words for Datapath {
    const ALL: &'static [Self] = &[Datapath::Auto, Datapath::Dpdk, Datapath::Kernel];

    fn word(self) -> &'static str {
        match self {
            Datapath::Auto => "auto",
            Datapath::Dpdk => "dpdk",
            Datapath::Kernel => "kernel",
        }
    }
}

impl Words for Publish {
    const ALL: &'static [Self] = &[Publish::Clients, Publish::Admin];

    fn word(self) -> &'static str {
        match self {
            Publish::Clients => "clients",
            Publish::Admin => "admin",
        }
    }
}

impl Words for SlowConsumer {
    const ALL: &'static [Self] =
        &[SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect];

    fn word(self) -> &'static str {
        match self {
            SlowConsumer::DropOldest => "drop-oldest",
            SlowConsumer::DropNewest => "drop-newest",
            SlowConsumer::Disconnect => "disconnect",
        }
    }
}

impl Words for ClientAddress {
    const ALL: &'static [Self] =
        &[ClientAddress::Peer, ClientAddress::ProxyProtocol, ClientAddress::XForwardedFor];

    fn word(self) -> &'static str {
        match self {
            ClientAddress::Peer => "peer",
            ClientAddress::ProxyProtocol => "proxy-protocol",
            ClientAddress::XForwardedFor => "x-forwarded-for",
        }
    }
}

impl Words for LogFormat {
    const ALL: &'static [Self] = &[LogFormat::Text, LogFormat::Json];

    fn word(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl Words for LogLevel {
    const ALL: &'static [Self] =
        &[LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

    fn word(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl Words for Idle {
    const ALL: &'static [Self] = &[Idle::Adaptive, Idle::Busy];

    fn word(self) -> &'static str {
        match self {
            Idle::Adaptive => "adaptive",
            Idle::Busy => "busy",
        }
    }
}

impl Words for Offloads {
    const ALL: &'static [Self] = &[Offloads::Auto, Offloads::Off];

    fn word(self) -> &'static str {
        match self {
            Offloads::Auto => "auto",
            Offloads::Off => "off",
        }
    }
}

impl<T: Words> Kind<T> for Choice<T> {
    fn read(&self, value: &DeValue<'_>) -> Result<T, Vec<Refusal>> {
        let named = |word: &str| T::ALL.iter().copied().find(|variant| variant.word() == word);
        value
            .as_str()
            .and_then(named)
            .ok_or_else(|| vec![Refusal::new(expected::<T>(), shown(value))])
    }

    fn check(&self, _: &T) -> Vec<Refusal> {
        Vec::new()
    }

    fn print(&self, value: &T) -> String {
        toml_string(value.word())
    }
}

fn expected<T: Words>() -> String {
    let words: Vec<_> = T::ALL.iter().map(|variant| quoted(variant.word())).collect();
    format!("one of {}", words.join(", "))
}
