//! Decode: payloads to typed columns, bad records aside.

use std::sync::Arc;

use super::memo::Memo;
use super::operator::{Operator, Origins, Output, Packet, Rows};
use super::{Emission, ViewError};
use crate::connector::Decoder;
use crate::error::Result;

pub struct Decode {
    pub decoder: Box<dyn Decoder>,
}

impl Operator for Decode {
    fn process(&mut self, packet: Packet, out: &mut Output) -> Result<()> {
        let Packet::Payload(payload) = packet else {
            out.packets.push(packet);
            return Ok(());
        };
        let decoded = self.decoder.decode(&payload)?;
        if !decoded.bad.is_empty() {
            let bad = decoded.bad.into_iter().map(|row| ViewError { view: None, row }).collect();
            out.emissions.push(Emission::Bad(bad));
        }
        if decoded.batch.num_rows() > 0 {
            let origins = Origins { payload, rows: Arc::new(decoded.origins), kept: None };
            out.packets.push(Packet::Rows(Rows { batch: decoded.batch, origins, codes: Memo::default() }));
        }
        Ok(())
    }
}
