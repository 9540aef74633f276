//! Against OpenSSL, where its command is there: an implementation that shares nothing with ours.

use std::process::{Child, Command, Stdio};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/openssl-p256-test-only.pem"
);

fn peer_certificate() -> Certificate {
    Certificate::from_pem(include_str!(
        "../../../tests/fixtures/openssl-p256-test-only.pem"
    ))
    .unwrap()
}

/// Ends the process with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// None where OpenSSL is not installed.
fn openssl(arguments: &[&str]) -> Option<Process> {
    let child = Command::new("openssl")
        .args(arguments)
        .args(["-dtls1_2", "-cert", FIXTURE, "-key", FIXTURE])
        .args(["-use_srtp", "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM"])
        // A datagram for each fragment of some 200 bytes.
        .args(["-mtu", "256"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.ok().map(Process)
}

struct SocketEgress(Arc<UdpSocket>, SocketAddr);

impl Egress for SocketEgress {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.try_send_to(datagram, self.1).map(|_| ())
    }
}

/// Delivers what arrives, and answers to wherever it came from.
fn serve(socket: UdpSocket, side: &Side) -> JoinHandle<()> {
    let (socket, transport) = (Arc::new(socket), side.transport.clone());
    tokio::spawn(async move {
        let mut buffer = vec![0; 2048];
        while let Ok((length, remote)) = socket.recv_from(&mut buffer).await {
            let egress = SocketEgress(Arc::clone(&socket), remote);
            transport.tell(DtlsMessage::SetPath(Arc::new(egress)));
            transport.inbound.push(datagrams(&buffer[..length]));
        }
    })
}

#[tokio::test]
async fn openssl_connects_to_us_in_small_fragments() {
    let mut us = Side::new(&ALL).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    us.start(DtlsRole::Server, &peer_certificate());
    let reader = serve(socket, &us);
    let Some(process) = openssl(&["s_client", "-connect", &address]) else {
        return;
    };
    let keys = us.expect_keys().await;
    assert_eq!(keys.profile, SrtpProfile::AeadAes128Gcm);
    drop(process);
    reader.abort();
}

#[tokio::test]
async fn we_connect_to_openssl_in_small_fragments() {
    let mut us = Side::new(&ALL).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    // A port that was free a moment ago.
    let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let remote = probe.local_addr().unwrap();
    drop(probe);
    let address = remote.to_string();
    let Some(_process) = openssl(&["s_server", "-accept", &address, "-Verify", "1"]) else {
        return;
    };
    let reader = serve_to(socket, remote, &us);
    us.start(DtlsRole::Client, &peer_certificate());
    us.expect_keys().await;
    us.transport.close();
    us.expect_state(DtlsTransportState::Closed).await;
    reader.abort();
}

fn serve_to(socket: UdpSocket, remote: SocketAddr, side: &Side) -> JoinHandle<()> {
    let (socket, inbound) = (Arc::new(socket), side.transport.inbound());
    let egress = SocketEgress(Arc::clone(&socket), remote);
    side.transport.tell(DtlsMessage::SetPath(Arc::new(egress)));
    tokio::spawn(async move {
        let mut buffer = vec![0; 2048];
        loop {
            // Until the server is up, the kernel reports refused packets here.
            if let Ok(length) = socket.recv(&mut buffer).await {
                inbound.push(datagrams(&buffer[..length]));
            }
        }
    })
}
