//! Routers for a web server: how pages and other clients reach the actors. With the feature `signaling`, on [`axum`].

pub mod broadcaster;
pub mod guarded;
pub mod sdpfrag;
pub mod websocket;
pub mod whip_whep;
