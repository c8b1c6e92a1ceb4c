//! `deploy.resources`: CPU and memory, as the engine counts them.

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::{Bytes, Cpu};

use super::leaves;

/// Billionths of a core in a thousandth.
const NANO_CPUS: i64 = 1_000_000;

/// What a container may use, or what is kept free for it. Nothing where it is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Billionths of a core.
    pub nano_cpus: i64,
    /// Bytes.
    pub memory: i64,
    /// Processes. A reservation has none.
    pub pids: i64,
}

/// The limits and the reservations of a document.
pub(crate) fn read(document: &Document) -> Result<(Amount, Amount), String> {
    let (mut limits, mut reservations) = (Amount::default(), Amount::default());
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        let ["deploy", "resources", which, field] = segments.as_slice() else { continue };
        let amount = match *which {
            "limits" => &mut limits,
            "reservations" => &mut reservations,
            other => return Err(format!("{path}: there are no {other} of resources")),
        };
        amount.set(path, field, leaf)?;
    }
    Ok((limits, reservations))
}

/// Writes `deploy.resources.<which>`.
pub(crate) fn write(amount: Amount, which: &str, out: &mut DocumentBuilder) {
    let Amount { nano_cpus, memory, pids } = amount;
    let path = |field| ["deploy", "resources", which, field];
    if nano_cpus != 0 {
        out.put(path("cpus"), cpus(nano_cpus));
    }
    if memory != 0 {
        out.put(path("memory"), bytes(memory));
    }
    leaves::integer(out, &path("pids"), Some(pids), 0);
}

/// A number of bytes of the engine's; one that makes no sense stays visible.
pub(crate) fn bytes(bytes: i64) -> Leaf {
    u64::try_from(bytes).map_or(Leaf::Integer(bytes), |bytes| Leaf::Bytes(Bytes(bytes)))
}

fn cpus(nano_cpus: i64) -> Leaf {
    match u64::try_from(nano_cpus / NANO_CPUS) {
        Ok(thousandths) if nano_cpus % NANO_CPUS == 0 => Leaf::Cpu(Cpu(thousandths)),
        _ => Leaf::Text(format!("{nano_cpus}n").into()),
    }
}

/// The number of bytes that a leaf holds.
pub(crate) fn to_bytes(path: &Path, leaf: &Leaf) -> Result<i64, String> {
    let bytes = if let Leaf::Bytes(Bytes(bytes)) = leaf { i64::try_from(*bytes).ok() } else { None };
    bytes.ok_or_else(|| format!("{path}: {leaf} is no size that the engine takes"))
}

impl Amount {
    fn set(&mut self, path: &Path, field: &str, leaf: &Leaf) -> Result<(), String> {
        match (field, leaf) {
            ("cpus", Leaf::Cpu(Cpu(thousandths))) => {
                let nano_cpus = i64::try_from(*thousandths).ok().and_then(|thousandths| thousandths.checked_mul(NANO_CPUS));
                self.nano_cpus = nano_cpus.ok_or_else(|| format!("{path}: {leaf} is more than the engine can count"))?;
            }
            ("memory", leaf) => self.memory = to_bytes(path, leaf)?,
            ("pids", leaf) => self.pids = leaves::to_integer(path, leaf)?,
            _ => return Err(format!("{path}: {leaf} is not what it takes")),
        }
        Ok(())
    }
}
