//! The connections of one worker, by [`FlowId`].

use mio::net::TcpStream;

use super::connection::Connection;
use crate::FlowId;

/// Connections in dense places that are used again. A [`FlowId`] whose connection has gone finds
/// nothing, whoever has its place now.
pub(super) struct Flows {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

enum Slot {
    Used(Connection),
    /// The generation of the connection that comes next.
    Free {
        generation: u32,
    },
}

impl Flows {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, stream: TcpStream) -> FlowId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free { generation: 0 });
            u32::try_from(self.slots.len() - 1).expect("fewer sockets than 2^32")
        });
        let slot = &mut self.slots[index as usize];
        let generation = match slot {
            Slot::Free { generation } => *generation,
            Slot::Used(connection) => connection.generation.wrapping_add(1),
        };
        *slot = Slot::Used(Connection::new(stream, generation));
        FlowId { index, generation }
    }

    pub(super) fn get(&self, flow: FlowId) -> Option<&Connection> {
        match self.slots.get(flow.index as usize) {
            Some(Slot::Used(connection)) if connection.generation == flow.generation => {
                Some(connection)
            }
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, flow: FlowId) -> Option<&mut Connection> {
        match self.slots.get_mut(flow.index as usize) {
            Some(Slot::Used(connection)) if connection.generation == flow.generation => {
                Some(connection)
            }
            _ => None,
        }
    }

    /// Whatever connection is in a place.
    pub(super) fn at(&mut self, index: usize) -> Option<(FlowId, &mut Connection)> {
        match self.slots.get_mut(index) {
            Some(Slot::Used(connection)) => {
                let index = u32::try_from(index).ok()?;
                Some((FlowId { index, generation: connection.generation }, connection))
            }
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, flow: FlowId) -> Option<Connection> {
        self.get(flow)?;
        let generation = flow.generation.wrapping_add(1);
        let slot =
            std::mem::replace(&mut self.slots[flow.index as usize], Slot::Free { generation });
        self.free.push(flow.index);
        match slot {
            Slot::Used(connection) => Some(connection),
            Slot::Free { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn stream() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        TcpStream::connect(listener.local_addr().expect("an address")).expect("a stream")
    }

    #[test]
    fn a_flow_fits_in_a_cache_line() {
        // A debug build of mio keeps more beside the descriptor.
        let most = if cfg!(debug_assertions) { 72 } else { 56 };
        assert!(size_of::<Slot>() <= most, "{} bytes", size_of::<Slot>());
    }

    #[test]
    fn a_void_id_finds_nothing_though_its_place_is_used_again() {
        let mut flows = Flows::new();
        let first = flows.insert(stream());
        assert!(flows.remove(first).is_some());
        assert!(flows.remove(first).is_none());
        let second = flows.insert(stream());
        assert_eq!((second.index, second.generation), (first.index, 1));
        assert!(flows.get(first).is_none() && flows.get_mut(first).is_none());
        assert!(flows.get(second).is_some());
        assert_eq!(flows.at(0).map(|(id, _)| id), Some(second));
        assert!(flows.at(1).is_none());
    }
}
