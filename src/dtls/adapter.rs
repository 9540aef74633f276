//! Where the crate `webrtc-dtls` is driven: its configuration, its connection, its errors.
//!
//! A connection runs in one task of ours ([`ConnectionTask`]) and two of the crate's, which end
//! with it. Below the crate lies [`Link`], which it takes for a socket.

use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::Instrument;
use webrtc_dtls::Error as CrateError;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc_srtp::config::Config as SrtpConfig;

use super::certificate::Certificate;
use super::error::DtlsError;
use super::fingerprint::{DtlsRole, Fingerprint, FingerprintCheck};
use super::inbound::DtlsInbound;
use super::link::{Link, PathSlot};
use super::machine::Attempt;
use super::message::{DtlsMessage, HandshakeOutcome};
use crate::srtp::{SrtpKeys, SrtpProfile};
use crate::udp::HandshakeGate;

/// What one connection needs.
#[derive(Debug)]
pub(super) struct ConnectionArguments {
    pub(super) attempt: Attempt,
    pub(super) role: DtlsRole,
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) certificate: Certificate,
    pub(super) profiles: Vec<SrtpProfile>,
    pub(super) handshakes: HandshakeGate,
    pub(super) inbound: DtlsInbound,
    pub(super) path: PathSlot,
    pub(super) actor: ActorRef<DtlsMessage>,
}

/// A running connection. Dropping it gives up a handshake, or sends close_notify over a connection
/// that stands, and ends the task soon after: also when the actor was killed.
#[derive(Debug)]
pub(super) struct ConnectionTask {
    _hang_up: oneshot::Sender<()>,
}

impl ConnectionTask {
    pub(super) fn spawn(arguments: ConnectionArguments) -> Self {
        let (hang_up, hung_up) = oneshot::channel();
        tokio::spawn(run(arguments, hung_up).in_current_span());
        Self { _hang_up: hang_up }
    }
}

async fn run(arguments: ConnectionArguments, mut hung_up: oneshot::Receiver<()>) {
    let mut report = Report {
        actor: arguments.actor.clone(),
        attempt: arguments.attempt,
        failure: Some(DtlsError::Internal),
        broke: true,
    };
    let link = Arc::new(Link::new(
        arguments.role,
        arguments.inbound.clone(),
        arguments.path.clone(),
    ));
    let shaken = tokio::select! {
        // Nobody wants to know any more how it ends.
        _ = &mut hung_up => return,
        // Boxed, so that what the handshake needs is not kept for as long as the connection lives.
        shaken = Box::pin(shake_hands(&arguments, &link)) => shaken,
    };
    match shaken {
        Ok((connection, outcome)) => {
            report.completed(outcome);
            report.broke = drain(&connection, &link, hung_up).await == Ending::Broken;
        }
        Err(error) => report.failure = Some(error),
    }
    tracing::debug!(
        records_dropped = link.dropped(),
        packets_dropped = arguments.inbound.drops().packets,
        "a DTLS connection has ended"
    );
}

/// Tells the actor how it went, whatever happens: also when the crate panics.
struct Report {
    actor: ActorRef<DtlsMessage>,
    attempt: Attempt,
    /// What to say should the handshake end here.
    failure: Option<DtlsError>,
    /// Whether the connection, should it end here, does so by nobody's wish.
    broke: bool,
}

impl Report {
    fn completed(&mut self, outcome: HandshakeOutcome) {
        self.failure = None;
        let attempt = self.attempt;
        self.tell(DtlsMessage::HandshakeCompleted { attempt, outcome });
    }

    fn tell(&self, message: DtlsMessage) {
        // An actor that has ended does not care.
        let _ended = self.actor.cast(message);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let attempt = self.attempt;
        let last_words = match self.failure.take() {
            Some(error) => DtlsMessage::HandshakeFailed { attempt, error },
            None if self.broke => DtlsMessage::ConnectionBroke { attempt },
            None => DtlsMessage::ConnectionEnded { attempt },
        };
        self.tell(last_words);
    }
}

async fn shake_hands(
    arguments: &ConnectionArguments,
    link: &Arc<Link>,
) -> Result<(DTLSConn, HandshakeOutcome), DtlsError> {
    let is_client = arguments.role == DtlsRole::Client;
    let profiles = match arguments.role {
        DtlsRole::Client => arguments.profiles.clone(),
        DtlsRole::Server => {
            let offered = link.client_offer().await;
            let attempt = arguments.attempt;
            // An actor that has ended does not care.
            let _ended = arguments.actor.cast(DtlsMessage::PeerSpoke { attempt });
            best_common(&arguments.profiles, &offered)
        }
    };
    // From here on it costs memory and time, which all peers of the socket share.
    let _place = arguments.handshakes.enter().await;
    install_crypto_provider();
    let refusal = Arc::new(OnceLock::new());
    let config = config(arguments, &profiles, &refusal);
    let below: Arc<Link> = Arc::clone(link);
    let handshake = tokio::select! {
        handshake = DTLSConn::new(below, config, is_client, None) => handshake,
        description = link.peer_gave_up() => return Err(DtlsError::PeerAlert { description }),
    };
    let connection = handshake.map_err(|error| match refusal.get() {
        Some(refusal) => refusal.clone(),
        // Its reader is gone, though it was given nothing to end for.
        None if error == CrateError::ErrAlertFatalOrClose && !link.gave_alert() => {
            DtlsError::Broken
        }
        None => translate(error),
    })?;
    link.establish();
    match outcome(&connection, is_client).await {
        Ok(outcome) => Ok((connection, outcome)),
        Err(error) => {
            say_goodbye(&connection).await;
            Err(error)
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// One of the two sides has closed it.
    Closed,
    /// The crate's reader is gone by itself. Its task panicked, as a rule, which nobody else hears of.
    Broken,
}

/// Reads what the remote side sends until it closes, or until we hang up.
///
/// Data channels are not there yet, so the data goes nowhere; but the crate looks at the next
/// record, a close_notify perhaps, only when somebody has taken the last one.
async fn drain(connection: &DTLSConn, link: &Link, mut hung_up: oneshot::Receiver<()>) -> Ending {
    let mut nowhere = [0; 16];
    loop {
        tokio::select! {
            _ = &mut hung_up => {
                say_goodbye(connection).await;
                return Ending::Closed;
            }
            read = connection.read(&mut nowhere, None) => match read {
                Ok(_) | Err(CrateError::ErrBufferTooSmall) => {}
                // The crate has answered close_notify by itself.
                Err(_closed) if link.gave_alert() => return Ending::Closed,
                Err(_gone) => {
                    say_goodbye(connection).await;
                    return Ending::Broken;
                }
            },
        }
    }
}

async fn say_goodbye(connection: &DTLSConn) {
    // Best effort: the remote side also notices by itself when consent ends.
    let _sent = timeout(GOODBYE_TIMEOUT, connection.close()).await;
}

fn config(
    arguments: &ConnectionArguments,
    profiles: &[SrtpProfile],
    refusal: &Arc<OnceLock<DtlsError>>,
) -> Config {
    let fingerprints = arguments.fingerprints.clone();
    let refusal = Arc::clone(refusal);
    let verify = move |chain: &[Vec<u8>], _: &_| {
        let certificate = chain.first().map_or(&[][..], Vec::as_slice);
        let error = match Fingerprint::check(&fingerprints, certificate) {
            FingerprintCheck::Matches => return Ok(()),
            FingerprintCheck::Differs => DtlsError::FingerprintMismatch,
            FingerprintCheck::NoneSupported => DtlsError::NoSupportedFingerprint,
        };
        let text = error.to_string();
        refusal.get_or_init(|| error);
        Err(CrateError::Other(text))
    };
    Config {
        certificates: vec![arguments.certificate.to_crate()],
        // The suite that RFC 8827 §6.5 makes mandatory, and the same for servers with an RSA
        // certificate. Not CBC: the crate panics on short plaintext there.
        cipher_suites: match arguments.role {
            DtlsRole::Client => vec![
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256,
            ],
            DtlsRole::Server => vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256],
        },
        srtp_protection_profiles: profiles.iter().copied().map(to_crate_profile).collect(),
        client_auth: ClientAuthType::RequireAnyClientCert,
        // RFC 7627; every browser has it, and without it keys are not bound to the handshake.
        extended_master_secret: ExtendedMasterSecretType::Require,
        flight_interval: FLIGHT_INTERVAL,
        // Certificates are self-signed; the fingerprint tells whether it is the right one.
        insecure_skip_verify: true,
        verify_peer_certificate: Some(Arc::new(verify)),
        // Fills a server_name extension that nobody looks at.
        server_name: "webrtc".to_owned(),
        mtu: MTU,
        ..Config::default()
    }
}

/// The crate takes the client's first profile that it has itself, so it is told only of one: our
/// best that the client has. With nothing in common it is told all, and refuses properly.
fn best_common(ours: &[SrtpProfile], offered: &[u16]) -> Vec<SrtpProfile> {
    let common = |profile: &&SrtpProfile| offered.contains(&(to_crate_profile(**profile) as u16));
    match ours.iter().find(common) {
        Some(best) => vec![*best],
        None => ours.to_vec(),
    }
}

async fn outcome(connection: &DTLSConn, is_client: bool) -> Result<HandshakeOutcome, DtlsError> {
    let profile = match connection.selected_srtpprotection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => SrtpProfile::AeadAes256Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::Aes128CmHmacSha1_80,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32 | SrtpProtectionProfile::Unsupported => {
            return Err(DtlsError::NoCommonSrtpProfile);
        }
    };
    let mut srtp = SrtpConfig {
        profile: profile.to_webrtc(),
        ..SrtpConfig::default()
    };
    let state = connection.connection_state().await;
    let peer_certificate = state.peer_certificates.first().cloned().unwrap_or_default();
    srtp.extract_session_keys_from_dtls(state, is_client)
        .await
        .map_err(|error| CrateError::Other(error.to_string()))?;
    let keys = SrtpKeys::from_session_keys(profile, srtp.keys)
        .map_err(|error| CrateError::Other(error.to_string()))?;
    Ok(HandshakeOutcome {
        peer_certificate,
        keys,
    })
}

fn to_crate_profile(profile: SrtpProfile) -> SrtpProtectionProfile {
    match profile {
        SrtpProfile::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpProfile::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        SrtpProfile::Aes128CmHmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    }
}

fn translate(error: CrateError) -> DtlsError {
    let about_srtp = [
        CrateError::ErrServerNoMatchingSrtpProfile,
        CrateError::ErrClientNoMatchingSrtpProfile,
        CrateError::ErrRequestedButNoSrtpExtension,
    ];
    if about_srtp.contains(&error) {
        DtlsError::NoCommonSrtpProfile
    } else {
        DtlsError::from(error)
    }
}

/// The crate asks rustls for a verifier that it then does not use. With the features of two
/// providers in one build, rustls panics unless one of them was chosen before.
fn install_crypto_provider() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // An error says that the application has chosen already.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A lost flight costs this much. The crate has no back-off; a handshake has six flights, most of
/// them in one datagram.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(150);

/// The longest handshake fragment. With its headers it fits into 1200 bytes.
const MTU: usize = 1100;

/// Sending close_notify waits for nothing but the crate's own task.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
