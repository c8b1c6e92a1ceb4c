//! `ports.<target>/<protocol>`: what is published, and where.

use bollard::models::{EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum, EndpointSpec};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};

use crate::container::leaves;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Published {
    /// The port that the app listens on.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The port outside; None where the engine chooses one.
    pub published: Option<u16>,
    /// On the nodes that run an instance, instead of on all nodes.
    pub on_host: bool,
}

/// Writes published ports. A port that is published twice has a second table, `8080/tcp#2`.
pub(crate) fn write(ports: &[Published], out: &mut DocumentBuilder) {
    let mut ports: Vec<&Published> = ports.iter().collect();
    ports.sort();
    let mut before: Option<(String, u32)> = None;
    for Published { target, protocol, published, on_host } in ports {
        let key = format!("{target}/{protocol}");
        let count = before.filter(|(last, _)| *last == key).map_or(1, |(_, count)| count + 1);
        let table = if count == 1 { key.clone() } else { format!("{key}#{count}") };
        before = Some((key, count));
        leaves::integer(out, &["ports", &table, "published"], published.map(i64::from), 0);
        if *on_host {
            out.text(["ports", &table, "mode"], "host");
        } else if published.is_none() {
            out.text(["ports", &table, "mode"], "ingress");
        }
    }
}

/// The published ports of a document.
pub(crate) fn read(document: &Document) -> Result<Vec<Published>, String> {
    let mut out: Vec<(String, Published)> = Vec::new();
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        let ["ports", table, field] = segments.as_slice() else { continue };
        if out.last().is_none_or(|(last, _)| last != table) {
            let (target, protocol) = table.split_once('/').ok_or_else(|| format!("{path}: {table} is not <port>/<protocol>"))?;
            let protocol = protocol.split('#').next().unwrap_or_default().to_owned();
            let target = target.parse().map_err(|_| format!("{path}: {target} is no port"))?;
            out.push(((*table).to_owned(), Published { target, protocol, published: None, on_host: false }));
        }
        let Some((_, port)) = out.last_mut() else { continue };
        match (*field, leaf) {
            ("published", leaf) => port.published = Some(leaves::to_integer(path, leaf)?),
            ("mode", Leaf::Text(mode)) if matches!(&**mode, "host" | "ingress") => port.on_host = &**mode == "host",
            _ => return Err(format!("{path}: {leaf} is not what a port takes")),
        }
    }
    Ok(out.into_iter().map(|(_, port)| port).collect())
}

/// The published ports of a live service, as they were asked for.
pub(crate) fn of(endpoint: &EndpointSpec) -> Vec<Published> {
    endpoint.ports.iter().flatten().map(Published::of).collect()
}

impl Published {
    /// A port as the swarm has it.
    pub(crate) fn of(port: &EndpointPortConfig) -> Self {
        let number = |port: Option<i64>| port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        Self {
            target: number(port.target_port).unwrap_or_default(),
            protocol: port.protocol.filter(|p| *p != EndpointPortConfigProtocolEnum::EMPTY).map_or("tcp".into(), |p| p.to_string()),
            published: number(port.published_port),
            on_host: port.publish_mode == Some(EndpointPortConfigPublishModeEnum::HOST),
        }
    }

    /// As the swarm takes it.
    pub(crate) fn config(&self) -> EndpointPortConfig {
        let mode = if self.on_host { EndpointPortConfigPublishModeEnum::HOST } else { EndpointPortConfigPublishModeEnum::INGRESS };
        EndpointPortConfig {
            name: None,
            protocol: self.protocol.parse().ok(),
            target_port: Some(i64::from(self.target)),
            published_port: self.published.map(i64::from),
            publish_mode: Some(mode),
        }
    }
}
