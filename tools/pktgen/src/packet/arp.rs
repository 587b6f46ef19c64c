//! Who has which hardware address (RFC 826).

use std::net::Ipv4Addr;

const ETHERNET_BYTES: usize = 14;
pub(super) const FRAME_BYTES: usize = ETHERNET_BYTES + 28;
const EVERYBODY: [u8; 6] = [0xff; 6];
/// Ethernet and IPv4, with their lengths of addresses.
const SPACES: [u8; 6] = [0, 1, 8, 0, 6, 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Request = 1,
    Reply = 2,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arp {
    pub(super) operation: Operation,
    pub(super) sender: (Ipv4Addr, [u8; 6]),
    pub(super) target: (Ipv4Addr, [u8; 6]),
}

impl Arp {
    /// The question who has an address.
    pub(super) fn who_has(wanted: Ipv4Addr, sender: (Ipv4Addr, [u8; 6])) -> Self {
        Self { operation: Operation::Request, sender, target: (wanted, [0; 6]) }
    }

    /// The answer that it is us.
    pub(super) fn answer(&self, own_mac: [u8; 6]) -> Self {
        Self { operation: Operation::Reply, sender: (self.target.0, own_mac), target: self.sender }
    }

    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let arp = frame.get(ETHERNET_BYTES..FRAME_BYTES)?;
        let operation = match (arp.starts_with(&SPACES), arp[7]) {
            (true, 1) => Operation::Request,
            (true, 2) => Operation::Reply,
            _ => return None,
        };
        let station = |at: usize| {
            let mac: [u8; 6] = arp[at..at + 6].try_into().ok()?;
            let ip: [u8; 4] = arp[at + 6..at + 10].try_into().ok()?;
            Some((Ipv4Addr::from(ip), mac))
        };
        Some(Self { operation, sender: station(8)?, target: station(18)? })
    }

    /// Fills a frame of [`FRAME_BYTES`].
    pub(super) fn write(&self, frame: &mut [u8]) {
        let to = if self.operation == Operation::Request { EVERYBODY } else { self.target.1 };
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&self.sender.1);
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        let arp = &mut frame[ETHERNET_BYTES..];
        arp[..6].copy_from_slice(&SPACES);
        arp[6..8].copy_from_slice(&[0, self.operation as u8]);
        for (at, (ip, mac)) in [(8, self.sender), (18, self.target)] {
            arp[at..at + 6].copy_from_slice(&mac);
            arp[at + 6..at + 10].copy_from_slice(&ip.octets());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_read_as_they_were_written() {
        let question =
            Arp::who_has(Ipv4Addr::new(10, 0, 0, 1), (Ipv4Addr::new(10, 1, 0, 1), [2; 6]));
        let mut frame = [0; FRAME_BYTES];
        question.write(&mut frame);
        assert_eq!(frame[..6], EVERYBODY);
        assert_eq!(Arp::read(&frame), Some(question));

        let answer = question.answer([7; 6]);
        answer.write(&mut frame);
        assert_eq!(frame[..6], [2; 6], "to the one who asked");
        let read = Arp::read(&frame).expect("an answer");
        assert_eq!(read.sender, (Ipv4Addr::new(10, 0, 0, 1), [7; 6]));
        for len in 0..FRAME_BYTES {
            assert_eq!(Arp::read(&frame[..len]), None);
        }
    }
}
