//! Kafka brokers to begin with: `HOST:PORT`, several with commas.

use std::fmt;
use std::str::FromStr;

use super::setting::{Setting, text_serde};

/// One broker's address; the host is a name or an IP address and is not looked up here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// 1 to 65,535.
    pub port: u16,
}

/// At least one broker, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerList {
    brokers: Vec<Broker>,
}

impl BrokerList {
    /// The brokers, at least one.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }
}

/// Why a text is no list of brokers; each reads on from "which …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerListError {
    /// An entry without a host or without a colon and a port.
    #[error("has the entry {entry:?} without HOST:PORT")]
    Entry {
        /// The entry as written.
        entry: String,
    },
    /// A port that is no number from 1 to 65,535.
    #[error("has the port {port:?}, which is no number from 1 to 65535")]
    Port {
        /// What stands where the port should.
        port: String,
    },
}

impl FromStr for BrokerList {
    type Err = BrokerListError;

    fn from_str(text: &str) -> Result<Self, BrokerListError> {
        let brokers = text.split(',').map(|entry| parse_broker(entry.trim())).collect::<Result<_, _>>()?;
        Ok(Self { brokers })
    }
}

fn parse_broker(entry: &str) -> Result<Broker, BrokerListError> {
    let (host, port) = entry
        .rsplit_once(':')
        .filter(|(host, _)| is_host(host))
        .ok_or_else(|| BrokerListError::Entry { entry: entry.to_owned() })?;
    match port.parse() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Broker { host: host.to_owned(), port: number })
        }
        _ => Err(BrokerListError::Port { port: port.to_owned() }),
    }
}

/// Names and IPv4 addresses hold no colon, so that one in front of the port can only be an IPv6 address without its brackets.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.bytes().all(allowed)
}

impl fmt::Display for BrokerList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Broker { host, port }) in self.brokers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{host}:{port}")?;
        }
        Ok(())
    }
}

impl Setting for BrokerList {
    const PERMITTED: &'static str = "HOST:PORT, several with commas, such as \"kafka-1:9092,kafka-2:9092\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: BrokerListError| error.to_string())
    }
}

text_serde!(BrokerList);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_and_write() {
        for (text, expect) in [
            ("127.0.0.1:9092", "127.0.0.1:9092"),
            ("kafka-1:9092, kafka-2.example.com:9093", "kafka-1:9092,kafka-2.example.com:9093"),
            ("[::1]:9092", "[::1]:9092"),
        ] {
            assert_eq!(text.parse::<BrokerList>().unwrap().to_string(), expect);
        }
    }

    #[test]
    fn broken_entries_are_named() {
        for (text, expect) in [
            ("", "has the entry \"\" without HOST:PORT"),
            ("kafka", "has the entry \"kafka\" without HOST:PORT"),
            (":9092", "has the entry \":9092\" without HOST:PORT"),
            ("a:1,,b:2", "has the entry \"\" without HOST:PORT"),
            ("::1:9092", "has the entry \"::1:9092\" without HOST:PORT"),
            ("SSL://a:9092", "has the entry \"SSL://a:9092\" without HOST:PORT"),
            ("a:", "has the port \"\", which is no number from 1 to 65535"),
            ("a:0", "has the port \"0\", which is no number from 1 to 65535"),
            ("a:+1", "has the port \"+1\", which is no number from 1 to 65535"),
            ("a:65536", "has the port \"65536\", which is no number from 1 to 65535"),
        ] {
            assert_eq!(text.parse::<BrokerList>().unwrap_err().to_string(), expect);
        }
    }
}
