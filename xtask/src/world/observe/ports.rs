//! Which TCP ports a process listens on: its socket inodes, matched with `/proc/PID/net/tcp`.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

/// `TCP_LISTEN` in the `st` column (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// The ports that the process itself has listening sockets for.
///
/// # Errors
/// When the process's tables cannot be read.
pub(crate) fn listening_ports(pid: u32) -> Result<BTreeSet<u16>> {
    let table = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&table).with_context(|| format!("cannot read `{table}`"))?;
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets: BTreeSet<u64> =
        links.filter_map(|link| socket_inode(link.to_string_lossy().as_ref())).collect();
    let mut ports = BTreeSet::new();
    for family in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{family}");
        // A kernel without IPv6 has no second table.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let listening = text.lines().skip(1).filter_map(listener);
        ports.extend(listening.filter(|(_, inode)| sockets.contains(inode)).map(|(port, _)| port));
    }
    Ok(ports)
}

fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Port and socket inode of a line, if it is a listener's.
fn listener(line: &str) -> Option<(u16, u64)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    (*state == LISTEN).then_some((port, inode.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn our_own_listener_is_seen_while_it_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("address").port();
        assert!(listening_ports(std::process::id()).expect("our own table").contains(&port));
        drop(listener);
        assert!(!listening_ports(std::process::id()).expect("our own table").contains(&port));
    }
}
