//! What forwarding costs: CPU of a 1 → N forwarder per forwarded packet, loss, latency; ours beside one of the same
//! shape on `str0m` and one on the `webrtc` crate.
//!
//! `cargo bench --bench forwarding` takes some six minutes on two idle cores and prints Markdown; behind `--`
//! it takes arguments, and without `--bench` it names them. `cargo bench --bench forwarding_memory` has heap and
//! allocations of the same servers, for which every allocation is counted, and which therefore
//! is no place to measure time in.
//!
//! # How it is measured
//!
//! The server is a process of its own, this executable once more, and its CPU is that process' time in user space
//! and in the kernel. Driver and clients are the other process. They meet over UDP on loopback, where
//! the kernel does the receiver's part of its work, too, in the sender's `send`: up to the receiver's socket,
//! and to wake it (`--awake on` spares the server that).
//!
//! The clients are on an independent stack, and the same for every server: VP8 without retransmission (`nack` is
//! in no offer, but with `--repairs on`, which adds RTX and transport-wide numbers; the two viewers that decrypt answer with feedback), MID the only other
//! header extension that viewers negotiate, SRTP with AES-GCM 256 (the
//! clients' choice; `webrtc-cm` is the `webrtc` crate with AES-CM, which it is quicker with). The publisher sends
//! packets of 1100 bytes, one system call each. Every viewer counts every packet by position in the
//! stream; two of them decrypt all and compare each byte. A window begins and ends in silence, so no packet is counted
//! in part. Latency is from before the publisher's `send` to the time at which the kernel
//! stamps the packet's arrival at the viewer's socket, so that slow clients do not show in it.
//!
//! Packets that a server sends as one (GSO) reach viewers as one (GRO), as they would reach a network card that
//! takes them apart by itself. `--gro off` has the kernel take them apart, at the sender's expense.

mod harness;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(|| None)
}
