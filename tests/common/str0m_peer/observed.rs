//! What str0m keeps to itself: the SRTP profile it agreed on, and the keys that a test needs to
//! play an authenticated peer with bad manners. Its DTLS is wrapped in one that notes them down.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use str0m::Rtc;
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
};

/// What a DTLS handshake came to, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedDtls {
    /// The peer is the DTLS client.
    pub(crate) active: Option<bool>,
    /// The SRTP profile that was chosen.
    pub(crate) profile: Option<SrtpProfile>,
    /// Client key, server key, client salt, server salt (RFC 5764 §4.2).
    pub(crate) keying_material: Vec<u8>,
}

pub(super) type ObservedSlot = Arc<Mutex<ObservedDtls>>;

// The provider is a static without arguments; this hands it the place for the notes.
thread_local! {
    static NEXT_SLOT: RefCell<Option<ObservedSlot>> = const { RefCell::new(None) };
}

/// Builds a stack whose handshake is noted down.
pub(super) fn observing(build: impl FnOnce(CryptoProvider) -> Rtc) -> (Rtc, ObservedSlot) {
    let observed = ObservedSlot::default();
    NEXT_SLOT.set(Some(Arc::clone(&observed)));
    let rtc = build(recording_provider());
    NEXT_SLOT.set(None);
    (rtc, observed)
}

fn recording_provider() -> CryptoProvider {
    static DTLS: RecordingProvider = RecordingProvider;
    CryptoProvider {
        dtls_provider: &DTLS,
        ..str0m::crypto::from_feature_flags()
    }
}

#[derive(Debug)]
struct RecordingProvider;

impl DtlsProvider for RecordingProvider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags()
            .dtls_provider
            .generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = str0m::crypto::from_feature_flags()
            .dtls_provider
            .new_dtls(cert, now, version, mtu)?;
        Ok(Box::new(RecordingDtls {
            inner,
            slot: NEXT_SLOT.take().unwrap_or_default(),
        }))
    }
}

#[derive(Debug)]
struct RecordingDtls {
    inner: Box<dyn DtlsInstance>,
    slot: ObservedSlot,
}

impl RecordingDtls {
    fn note(&self, change: impl FnOnce(&mut ObservedDtls)) {
        change(&mut self.slot.lock().expect("no holder panics"));
    }
}

impl DtlsInstance for RecordingDtls {
    fn set_active(&mut self, active: bool) {
        self.note(|observed| observed.active = Some(active));
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.inner.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(keys, profile) = &output {
            self.note(|observed| {
                observed.profile = Some(*profile);
                observed.keying_material = keys.to_vec();
            });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
