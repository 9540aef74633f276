//! What can be changed while a connection runs (W3C webrtc-pc §4.4.2, `setConfiguration`).

use std::sync::Arc;

use crate::call::CallError;
use crate::dtls::Certificate;
use crate::ice::{IceConfiguration, IceServer, IceTransportPolicy};

/// The part of a connection's settings that W3C calls `RTCConfiguration`.
///
/// [`PeerConnection::configuration`](super::PeerConnection::configuration) gives the one in force; change it and give it to
/// [`PeerConnection::set_configuration`](super::PeerConnection::set_configuration). Bundling and the multiplexing of RTCP are not in it, since there
/// is one way of each here (`max-bundle`, `require`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Configuration {
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used.
    pub ice_transport_policy: IceTransportPolicy,
    /// What the connection identifies itself with. It cannot be changed.
    pub certificate: Certificate,
}

/// Why a configuration was not taken. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetConfigurationError {
    /// The peer connection has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The connection is closed (W3C `InvalidStateError`).
    #[error("the connection is closed")]
    Closed,
    /// What cannot be changed differs from what is in force (W3C `InvalidModificationError`).
    #[error("the {setting} of a connection cannot be changed")]
    InvalidModification {
        /// What.
        setting: &'static str,
    },
}

/// What is in force.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) ice: Arc<IceConfiguration>,
    pub(super) certificate: Certificate,
}

impl InForce {
    pub(super) fn snapshot(&self) -> Configuration {
        Configuration {
            ice_servers: self.ice.servers.clone(),
            ice_transport_policy: self.ice.transport_policy,
            certificate: self.certificate.clone(),
        }
    }

    /// Takes what may change; whether anything did, so that what was gathered is out of date.
    pub(super) fn change(&mut self, wanted: Configuration) -> Result<bool, SetConfigurationError> {
        let Configuration {
            ice_servers,
            ice_transport_policy,
            certificate,
        } = wanted;
        if certificate != self.certificate {
            let setting = "certificate";
            return Err(SetConfigurationError::InvalidModification { setting });
        }
        let same =
            ice_servers == self.ice.servers && ice_transport_policy == self.ice.transport_policy;
        if same {
            return Ok(false);
        }
        self.ice = Arc::new(IceConfiguration {
            servers: ice_servers,
            transport_policy: ice_transport_policy,
            ..IceConfiguration::clone(&self.ice)
        });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force() -> InForce {
        InForce {
            ice: Arc::new(IceConfiguration {
                include_loopback: true,
                ..IceConfiguration::default()
            }),
            certificate: Certificate::generate().unwrap(),
        }
    }

    #[test]
    fn servers_and_policy_change_and_the_rest_stays() {
        let mut in_force = in_force();
        let mut wanted = in_force.snapshot();
        assert_eq!(in_force.change(wanted.clone()), Ok(false));
        wanted.ice_servers = vec![IceServer::new(["stun:192.0.2.1"]).unwrap()];
        assert_eq!(in_force.change(wanted.clone()), Ok(true));
        wanted.ice_transport_policy = IceTransportPolicy::Relay;
        assert_eq!(in_force.change(wanted.clone()), Ok(true));
        assert_eq!(in_force.snapshot(), wanted);
        assert!(in_force.ice.include_loopback);
    }

    #[test]
    fn another_certificate_is_an_invalid_modification_and_nothing_changes() {
        let mut in_force = in_force();
        let before = in_force.snapshot();
        let refused = in_force.change(Configuration {
            ice_servers: vec![IceServer::new(["stun:192.0.2.1"]).unwrap()],
            certificate: Certificate::generate().unwrap(),
            ..before
        });
        let setting = "certificate";
        assert_eq!(
            refused,
            Err(SetConfigurationError::InvalidModification { setting })
        );
        assert_eq!(in_force.snapshot(), before);
    }
}
