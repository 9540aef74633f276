//! From [`Description`] to text.

use std::fmt::{self, Display, Formatter};

use super::{
    Description, RtpTransceiverDirection, Section, SectionCodec, SectionExtension, Simulcast,
};
use crate::rtp::Rid;

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (id, version) = (self.session_id, self.session_version);
        write!(f, "v=0\r\no=- {id} {version} IN IP4 127.0.0.1\r\n")?;
        f.write_str("s=-\r\nt=0 0\r\n")?;
        for bundle in &self.bundles {
            f.write_str("a=group:BUNDLE")?;
            for mid in bundle {
                write!(f, " {mid}")?;
            }
            f.write_str("\r\n")?;
        }
        if self.ice_lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        if self.extmap_allow_mixed {
            f.write_str("a=extmap-allow-mixed\r\n")?;
        }
        f.write_str("a=msid-semantic: WMS *\r\n")?;
        self.sections.iter().try_for_each(|section| section.fmt(f))
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Trickled candidates replace the address; 9 is the port to discard (RFC 8840 §4.1.1).
        let port = if self.rejected { 0 } else { 9 };
        write!(f, "m={} {port} {}", self.media, self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\nc=IN IP4 0.0.0.0\r\n")?;
        if let Some(mid) = &self.mid {
            write!(f, "a=mid:{mid}\r\n")?;
        }
        self.write_transport(f)?;
        write!(f, "a={}\r\n", self.direction)?;
        self.write_msids(f)?;
        if self.rtcp_mux {
            f.write_str("a=rtcp-mux\r\n")?;
        }
        if self.rtcp_rsize {
            f.write_str("a=rtcp-rsize\r\n")?;
        }
        if self.receiver_round_trip {
            f.write_str("a=rtcp-xr:rcvr-rtt=all\r\n")?;
        }
        if self.extmap_allow_mixed {
            f.write_str("a=extmap-allow-mixed\r\n")?;
        }
        self.extensions.iter().try_for_each(|e| e.fmt(f))?;
        self.codecs.iter().try_for_each(|codec| codec.fmt(f))?;
        self.write_simulcast(f)?;
        self.write_sources(f)?;
        self.write_candidates(f)
    }
}

impl Section {
    fn write_transport(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let transport = &self.transport;
        if let Some(ufrag) = &transport.ice_ufrag {
            write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
        }
        if let Some(pwd) = &transport.ice_pwd {
            write!(f, "a=ice-pwd:{pwd}\r\na=ice-options:trickle\r\n")?;
        }
        for fingerprint in &transport.fingerprints {
            write!(f, "a=fingerprint:{fingerprint}\r\n")?;
        }
        match transport.setup {
            Some(setup) => write!(f, "a=setup:{setup}\r\n"),
            None => Ok(()),
        }
    }

    fn write_msids(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for msid in &self.msids {
            let stream = msid.stream.as_ref().map_or("-", |stream| stream.as_str());
            write!(f, "a=msid:{stream}")?;
            if let Some(track) = &msid.track {
                write!(f, " {track}")?;
            }
            f.write_str("\r\n")?;
        }
        Ok(())
    }

    fn write_simulcast(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in &self.rids {
            let direction = if line.send { "send" } else { "recv" };
            write!(f, "a=rid:{} {direction}", line.rid)?;
            if !line.restrictions.is_empty() {
                write!(f, " {}", line.restrictions)?;
            }
            f.write_str("\r\n")?;
        }
        let Some(Simulcast { send, recv, paused }) = &self.simulcast else {
            return Ok(());
        };
        let marked = |rid: &Rid| {
            let mark = if paused.contains(rid) { "~" } else { "" };
            format!("{mark}{rid}")
        };
        f.write_str("a=simulcast:")?;
        let mut between = "";
        for (word, rids) in [("send", send), ("recv", recv)] {
            if !rids.is_empty() {
                let rids: Vec<_> = rids.iter().map(marked).collect();
                write!(f, "{between}{word} {}", rids.join(";"))?;
                between = " ";
            }
        }
        f.write_str("\r\n")
    }

    fn write_sources(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (primary, rtx) in &self.flows {
            write!(f, "a=ssrc-group:FID {} {}\r\n", primary.0, rtx.0)?;
        }
        for source in &self.sources {
            let cname = source.cname.as_deref().unwrap_or_default();
            write!(f, "a=ssrc:{} cname:{cname}\r\n", source.ssrc.0)?;
        }
        Ok(())
    }

    fn write_candidates(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for candidate in &self.transport.candidates {
            write!(f, "a={candidate}\r\n")?;
        }
        if self.transport.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        Ok(())
    }
}

impl Display for SectionExtension {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "a=extmap:{}", self.id)?;
        if self.direction != RtpTransceiverDirection::SendRecv {
            write!(f, "/{}", self.direction)?;
        }
        write!(f, " {}\r\n", self.extension.uri())
    }
}

impl Display for SectionCodec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (codec, number) = (&self.codec, self.payload_type.get());
        write!(
            f,
            "a=rtpmap:{number} {}/{}",
            codec.name, codec.clock_rate_hz
        )?;
        if let Some(channels) = codec.channels {
            write!(f, "/{channels}")?;
        }
        f.write_str("\r\n")?;
        for feedback in &codec.feedback {
            write!(f, "a=rtcp-fb:{number} {feedback}\r\n")?;
        }
        if !codec.fmtp.is_empty() {
            write!(f, "a=fmtp:{number} {}\r\n", codec.fmtp)?;
        }
        if let Some(rtx) = self.rtx_payload_type.map(|rtx| rtx.get()) {
            write!(f, "a=rtpmap:{rtx} rtx/{}\r\n", codec.clock_rate_hz)?;
            write!(f, "a=fmtp:{rtx} apt={number}\r\n")?;
        }
        Ok(())
    }
}
