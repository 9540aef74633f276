//! Datagrams that the kernel dropped at a socket before anybody could read them.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many were dropped at this socket since it was opened: its receive buffer was full, or a checksum
/// was wrong. From Linux' tables of sockets, which are as long as the machine has UDP sockets; the cheaper
/// ways (`SO_MEMINFO`, `SO_RXQ_OVFL`) are system calls that no crate here makes.
pub(super) fn kernel_drops(socket: BorrowedFd<'_>) -> Option<u64> {
    let descriptor = format!("/proc/thread-self/fd/{}", socket.as_raw_fd());
    let name = fs::read_link(descriptor).ok()?;
    let inode = name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
    ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"]
        .into_iter()
        .find_map(|table| drops_in(&fs::read_to_string(table).ok()?, inode))
}

fn drops_in(table: &str, inode: &str) -> Option<u64> {
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.nth(INODE)? == inode)
            .then(|| fields.nth(DROPS - INODE - 1))?
            .and_then(|drops| drops.parse().ok())
    })
}

/// Which field of a line says what.
const INODE: usize = 9;
const DROPS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n \
         4871: 0100007F:D2F0 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 81234 2 00000000bca83c28 17        \n \
         5025: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1123 2 0000000077c3ea9b 0         \n";

    #[test]
    fn the_drops_of_a_socket_stand_in_its_line() {
        assert_eq!(drops_in(TABLE, "81234"), Some(17));
        assert_eq!(drops_in(TABLE, "1123"), Some(0));
        assert_eq!(drops_in(TABLE, "8123"), None);
        assert_eq!(drops_in(TABLE, "inode"), None);
        assert_eq!(drops_in("what is this", "81234"), None);
        assert_eq!(drops_in("0 1 2 3 4 5 6 7 8 81234", "81234"), None);
    }
}
