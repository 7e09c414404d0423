//! One message to a TPer and its answer, by the synchronous protocol (Core 3.3.10.2): a Security Send, then Security Receives until the
//! answer is there.

use super::{Error, Tper, expect};
use crate::clock;
use spec::{
    security,
    tcg::{COM_PACKET_SIZE, ComPacket, Encoder, Message, packet::Envelope},
};
use std::time::Duration;
use zeroize::Zeroizing;

/// What a Security Send is filled up to a multiple of: some devices take no other.
const SECTOR: usize = 512;
/// The longest answer that is asked for.
pub(super) const LONGEST: u32 = 65_536;
/// What a TPer that is not ready is given before it is asked again: less at first, as most answers are there soon.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

impl Tper<'_> {
    /// Sends a message of this session (zeros: of the session manager), and reads the answer, which must be of it, too.
    pub(super) fn exchange<T>(
        self,
        what: &'static str,
        (tsn, hsn): (u32, u32),
        message: Encoder,
        read: impl FnOnce(Message<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let envelope = Envelope { com_id: self.com_id, tsn, hsn, sequence: 0 };
        let mut data = message.com_packet(envelope).map_err(|error| Error::Request { what, error })?;
        // The buffer has room for that, so the message stays in one place.
        let length = data.len().next_multiple_of(SECTOR);
        data.resize(length, 0);
        self.link.send(what, self.com_id, &data)?;
        drop(data);

        let answer = self.answer(what)?;
        let unusable = |error| Error::Answer { what, error };
        let packet = ComPacket::read(&answer).and_then(|com_packet| com_packet.packet());
        let packet = packet.map_err(unusable)?.ok_or(Error::NoAnswer { what })?;
        // The session manager answers with numbers of no session; it also tells of a session's end.
        let is_managers = (packet.tsn, packet.hsn) == (0, 0);
        if !is_managers {
            expect(what, "TPer session number", tsn, packet.tsn)?;
            expect(what, "host session number", hsn, packet.hsn)?;
        }
        let message = Message::read(packet.tokens).map_err(unusable)?;
        if let Message::Call { method: spec::tcg::Uid::CLOSE_SESSION, .. } = message {
            return Err(Error::Closed { what });
        }
        if is_managers {
            expect(what, "TPer session number", tsn, 0_u32)?;
        }
        read(message)
    }

    /// Asks for the answer until it is there, and gives the ComPacket, which is not empty.
    pub(super) fn answer(self, what: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let time = self.link.timeout();
        let deadline = clock::now().after(time);
        let mut length = u32::try_from(COM_PACKET_SIZE).unwrap_or(LONGEST);
        let mut pause = FIRST_PAUSE;
        loop {
            let data = self.link.receive(what, security::TCG, self.com_id, length)?;
            let com_packet = ComPacket::read(&data).map_err(|error| Error::Answer { what, error })?;
            expect(what, "ComID", self.com_id, com_packet.com_id)?;
            expect(what, "ComID extension", 0_u16, com_packet.com_id_extension)?;
            match (com_packet.payload.is_empty(), com_packet.outstanding, com_packet.min_transfer) {
                (false, 0, _) => return Ok(data),
                // More than one ComPacket; none of the answers that are waited for is so long.
                (false, outstanding, _) => return Err(Error::Long { what, wanted: outstanding }),
                (true, 0, _) => return Err(Error::NoAnswer { what }),
                // It is there, and does not fit.
                (true, _, wanted) if wanted > length => {
                    if wanted > LONGEST {
                        return Err(Error::Long { what, wanted });
                    }
                    length = wanted;
                }
                (true, ..) => {}
            }
            if clock::now().has_reached(deadline) {
                return Err(Error::NotReady { what, time });
            }
            clock::wait(clock::now().after(pause).min(deadline), || None::<()>);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}
