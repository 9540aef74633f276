//! Blocks of extended reports (RFC 3611 §3, §4).

use super::read::Reader;
use super::write::{put_ssrc, put_u32, unwritable};
use super::{ExtendedReportBlock, LastReceiverReport, OtherBlock, RtcpError, block_type};

impl ExtendedReportBlock {
    /// Takes one block from the front; `None` when it reaches beyond the packet.
    pub(super) fn read(from: &mut Reader) -> Option<Self> {
        let (block_type, type_specific) = (from.u8()?, from.u8()?);
        let words = usize::from(from.u16()?);
        let body = from.bytes(4 * words)?;
        let mut fields = Reader::new(body.clone());
        let read = match block_type {
            block_type::RECEIVER_REFERENCE_TIME => reference_time(&mut fields),
            block_type::LAST_RECEIVER_REPORTS => last_reports(&mut fields),
            _ => None,
        };
        Some(read.unwrap_or(Self::Other(OtherBlock {
            block_type,
            type_specific,
            body,
        })))
    }

    /// Appends the block.
    pub(super) fn write(&self, into: &mut Vec<u8>) -> Result<(), RtcpError> {
        let (kind, type_specific, words) = match self {
            Self::ReceiverReferenceTime(_) => (block_type::RECEIVER_REFERENCE_TIME, 0, 2),
            Self::LastReceiverReports(all) => (block_type::LAST_RECEIVER_REPORTS, 0, 3 * all.len()),
            Self::Other(other) => (other.block_type, other.type_specific, other.body.len() / 4),
        };
        let words = u16::try_from(words).map_err(|_| unwritable("block"))?;
        into.extend_from_slice(&[kind, type_specific]);
        into.extend_from_slice(&words.to_be_bytes());
        match self {
            Self::ReceiverReferenceTime(ntp) => into.extend_from_slice(&ntp.to_be_bytes()),
            Self::LastReceiverReports(all) => {
                for report in all {
                    put_ssrc(report.ssrc, into);
                    put_u32(report.last_receiver_report, into);
                    put_u32(report.delay_since_last_receiver_report, into);
                }
            }
            Self::Other(other) if other.body.len().is_multiple_of(4) => {
                into.extend_from_slice(&other.body);
            }
            Self::Other(_) => return Err(unwritable("block")),
        }
        Ok(())
    }
}

fn reference_time(fields: &mut Reader) -> Option<ExtendedReportBlock> {
    let ntp = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
    let is_whole = fields.remaining() == 0;
    is_whole.then_some(ExtendedReportBlock::ReceiverReferenceTime(ntp))
}

fn last_reports(fields: &mut Reader) -> Option<ExtendedReportBlock> {
    let mut reports = Vec::new();
    while fields.remaining() > 0 {
        reports.push(LastReceiverReport {
            ssrc: fields.ssrc()?,
            last_receiver_report: fields.u32()?,
            delay_since_last_receiver_report: fields.u32()?,
        });
    }
    Some(ExtendedReportBlock::LastReceiverReports(reports))
}
