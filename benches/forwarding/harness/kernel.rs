//! What the kernel dropped because a socket was not read in time.

use std::fs;

/// Datagrams dropped so far at sockets of these ports; zero where the kernel does not tell.
pub(crate) fn dropped_at(is_counted: impl Fn(u16) -> bool) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let sockets = table.lines().skip(1).filter_map(socket);
    sockets
        .filter(|(port, _)| is_counted(*port))
        .map(|(_, drops)| drops)
        .sum()
}

/// Local port, the hexadecimal after the address in the second column; drops, the last.
fn socket(line: &str) -> Option<(u16, u64)> {
    let mut columns = line.split_ascii_whitespace();
    let (_, port) = columns.nth(1)?.split_once(':')?;
    let drops = columns.next_back()?;
    Some((u16::from_str_radix(port, 16).ok()?, drops.parse().ok()?))
}
