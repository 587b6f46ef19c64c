//! From a burst of frames to flows and events.

use smoltcp::socket::tcp::State;

use super::counters::DropReason;
use super::demux::Arrival;
use super::device::{IpDevice, Sent};
use super::flow::Stage;
use super::handover::Refused;
use super::link::Link;
use super::packet::{Flags, Segment};
use super::reply::Numbers;
use super::table::{Entry, FlowKey, KeyHash};
use super::{StackStreams, challenge};
use crate::{BURST_MAX, Event, FramePort};

/// Frames that a turn takes in of a port, about, at most. As many segments go out in a turn, and
/// each is acknowledged: were it fewer, then the acknowledgements of a fan-out to very many would
/// wait for its end, and some of them for longer than a timeout.
const FRAMES_PER_TURN: usize = 1024;

/// So many flows stay in the caches by themselves.
const NEAR_MAX: usize = 128;

/// No place of a flow.
const NOWHERE: u32 = u32::MAX;

impl<P: FramePort> StackStreams<'_, P> {
    /// Takes in what has come to a port, up to a bound, and says whether something had.
    pub(super) fn receive(&mut self, port: usize) -> bool {
        let mut found = false;
        let burst = self.ports[port].output.capabilities.burst.max(1);
        for _ in 0..FRAMES_PER_TURN.div_ceil(burst) {
            let (came_here, all) = self.receive_burst(port);
            found |= all > 0;
            if came_here < burst {
                break;
            }
        }
        found
    }

    /// Takes one burst in, and what other workers have passed on. Says how many frames the burst
    /// had, and how many there were in all.
    ///
    /// With many flows in rounds, so that what a frame needs comes into the caches while the others
    /// are looked at: where its flow is, the flow, its socket.
    fn receive_burst(&mut self, port: usize) -> (usize, usize) {
        let mut frames = std::mem::take(&mut self.burst);
        let attached = &mut self.ports[port];
        attached.output.port.receive(self.now, &mut frames);
        let came_here = frames.len();
        if let Some(handover) = &mut attached.handover {
            while frames.len() < came_here + BURST_MAX
                && let Some(stray) = handover.take()
            {
                self.hops.push(stray.hops);
                frames.push(stray.frame);
            }
        }
        let all = frames.len();
        if self.live > NEAR_MAX {
            self.receive_in_rounds(port, &frames);
        } else {
            for (number, frame) in frames.iter().enumerate() {
                match self.demux_plain(port, frame) {
                    Some(arrival) => {
                        let place = self.find(&arrival);
                        self.take_in(port, number, frame, &arrival, place);
                    }
                    None => self.take_in_any(port, number, frame),
                }
            }
        }
        if !self.strays.is_empty() {
            self.take_in_strays(port, &mut frames, came_here);
        }
        self.hops.clear();
        frames.clear();
        self.burst = frames;
        (came_here, all)
    }

    fn receive_in_rounds(&mut self, port: usize, frames: &[P::Frame]) {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        for frame in frames {
            match self.demux_plain(port, frame) {
                Some(arrival) => arrivals.push((arrival, NOWHERE)),
                None => arrivals.push((self.demux_any(port, frame), NOWHERE)),
            }
        }
        for (arrival, place) in &mut arrivals {
            *place = self.find(arrival);
            self.flows.prefetch_at(*place as usize);
        }
        for (_, place) in &arrivals {
            if let Some(flow) = self.flows.peek(*place as usize) {
                flow.prefetch_socket();
            }
        }
        for (number, (frame, (arrival, place))) in frames.iter().zip(&arrivals).enumerate() {
            self.take_in(port, number, frame, arrival, *place);
        }
        arrivals.clear();
        self.arrivals = arrivals;
    }

    /// Where the flow of a segment is, most likely; [`NOWHERE`] where there is none.
    #[inline]
    fn find(&self, arrival: &Arrival) -> u32 {
        if let Arrival::Segment { hash, .. } = arrival
            && let Some(Entry::Flow(place)) = self.map.candidate(*hash)
        {
            return place;
        }
        NOWHERE
    }

    /// Takes in those of a burst that may be for other workers, or passes them on.
    #[cold]
    fn take_in_strays(&mut self, port: usize, frames: &mut Vec<P::Frame>, came_here: usize) {
        let mut strays = std::mem::take(&mut self.strays);
        let mut left = strays.drain(..).peekable();
        for (number, frame) in frames.drain(..).enumerate() {
            if left.next_if_eq(&number).is_some()
                && let Arrival::Segment { link, packet, ref key, hash, ref segment } =
                    self.demux_any(port, &frame)
            {
                // One of those ahead may have begun its connection.
                if let Some(entry) = self.look_up(key, hash) {
                    self.receive_found(port, entry, link, packet.of(&frame), key, segment);
                    continue;
                }
                let hops = number.checked_sub(came_here).map_or(0, |stray| self.hops[stray]);
                if let Some(frame) = self.pass_on(port, frame, hops, key, segment) {
                    self.receive_new(port, link, packet.of(&frame), *key, segment);
                }
            }
        }
        drop(left);
        self.strays = strays;
    }

    /// Takes a frame in, the so many'th of its burst, whose flow is most likely at `place`. One that
    /// may be for another worker becomes a stray.
    #[inline(always)]
    fn take_in(
        &mut self,
        port: usize,
        number: usize,
        frame: &P::Frame,
        arrival: &Arrival,
        place: u32,
    ) {
        match *arrival {
            Arrival::Segment { link, packet, ref key, hash, ref segment } => {
                self.stack_counters.segments_in += 1;
                let packet = packet.of(frame);
                // It may be another one, or have gone since.
                if self.receive_known(place, key, link, packet, segment) {
                    return;
                }
                match self.look_up(key, hash) {
                    Some(entry) => self.receive_found(port, entry, link, packet, key, segment),
                    None if self.ports[port].handover.is_some() => self.strays.push(number),
                    None => self.receive_new(port, link, packet, *key, segment),
                }
            }
            Arrival::Echo { link, packet } => {
                self.ports[port].answer(self.now, self.at, link, packet.of(frame));
            }
            Arrival::Neighbour { link, ether_type, packet_at } => {
                let packet = &frame[usize::from(packet_at)..];
                self.ports[port].learn(self.now, link, ether_type, packet);
            }
            Arrival::Dropped(reason) => self.stack_counters.drop(reason),
        }
    }

    /// Takes any frame in.
    #[inline(never)]
    fn take_in_any(&mut self, port: usize, number: usize, frame: &P::Frame) {
        let arrival = self.demux_any(port, frame);
        let place = self.find(&arrival);
        self.take_in(port, number, frame, &arrival, place);
    }

    /// A segment of a connection that there is, or was.
    fn receive_found(
        &mut self,
        port: usize,
        entry: Entry,
        link: Link,
        packet: &[u8],
        key: &FlowKey,
        segment: &Segment,
    ) {
        match entry {
            Entry::Flow(place) => {
                self.receive_known(place, key, link, packet, segment);
            }
            Entry::TimeWait(place) => self.receive_late(port, place, link, packet, *key, segment),
        }
    }

    fn look_up(&self, key: &FlowKey, hash: KeyHash) -> Option<Entry> {
        self.map.find(hash, |entry| match entry {
            Entry::Flow(place) => self.flows.peek(place as usize).is_some_and(|it| it.key == *key),
            Entry::TimeWait(place) => self.time_waits.get(place).is_some_and(|it| it.key == *key),
        })
    }

    /// Passes a segment on whose connection is not known here and may be on another worker. Gives back
    /// what is to be dealt with here: what all have seen, and SYNs that have come here first.
    fn pass_on(
        &mut self,
        port: usize,
        frame: P::Frame,
        hops: usize,
        key: &FlowKey,
        segment: &Segment,
    ) -> Option<P::Frame> {
        let Some(handover) = &mut self.ports[port].handover else { return Some(frame) };
        if segment.flags.is_opening() && handover.claim(key, self.now) {
            return Some(frame);
        }
        match handover.pass_on(frame, hops) {
            Ok(()) => {
                // It is counted where it stays.
                self.stack_counters.segments_in -= 1;
                self.stack_counters.handed_over += 1;
            }
            Err(Refused::Full) => self.stack_counters.drop(DropReason::HandoverFull),
            Err(Refused::ByAll(frame)) => return Some(frame),
        }
        None
    }

    /// A segment of a connection that there is in this place; `false` where that is another one.
    #[inline]
    fn receive_known(
        &mut self,
        place: u32,
        key: &FlowKey,
        link: Link,
        packet: &[u8],
        segment: &Segment,
    ) -> bool {
        let Self { flows, ports, events, now, at, stack_counters, .. } = self;
        let Some((id, flow)) = flows.at(place as usize).filter(|(_, flow)| flow.key == *key) else {
            return false;
        };
        let attached = &mut ports[key.port()];
        if segment.flags.has(Flags::SYN | Flags::RST)
            && let Some(reason) = challenge::hold_off(flow, attached, (*now, *at), link, segment)
        {
            stack_counters.drop(reason);
            return true;
        }
        stack_counters.segments_taken += 1;
        // What acknowledges something that was sent, a FIN perhaps, is no guess of a stranger's.
        let behind = flow.sent_until.wrapping_sub(segment.acknowledged);
        let queued_before = flow.socket().send_queue();
        let is_known_to_us = segment.flags.has(Flags::ACK) && behind as usize <= queued_before + 1;
        if flow.link != link && is_known_to_us {
            flow.link = link;
            flow.router = attached.router_of(key.remote().ip(), link);
        }
        attached.aim(*now, flow.link, flow.router);
        let mut device = IpDevice { output: &mut attached.output, packet: Some(packet) };
        attached.ip.poll_ingress_single(*at, &mut device, &mut flow.set);

        let socket = flow.socket();
        let (state, queued) = (socket.state(), socket.send_queue());
        if state == State::TimeWait {
            flow.acknowledged = segment.end();
        }
        match flow.stage {
            Stage::Open => {
                let has_news = segment.payload_bytes > 0 || !segment.flags.is_plain();
                if has_news {
                    events.push(Event::Readable(id));
                }
                if flow.blocked && flow.has_room() {
                    flow.blocked = false;
                    events.push(Event::Writable(id));
                }
                // Most segments are acknowledgements, and nothing follows where all that is left is
                // on its way. What was sent again once may not be: then the rest has to follow.
                let is_on_its_way = flow.sent_until.wrapping_sub(segment.acknowledged) as usize;
                let acknowledges = queued < queued_before && is_on_its_way == queued;
                if acknowledges && !has_news && state == State::Established {
                    return true;
                }
            }
            Stage::HalfOpen => self.advance_half_open(id, state),
            Stage::Closing => {
                if self.has_ended(id, state) {
                    return true;
                }
            }
        }
        self.advance(id);
        true
    }

    /// A segment of a connection that has ended.
    fn receive_late(
        &mut self,
        port: usize,
        place: u32,
        link: Link,
        packet: &[u8],
        key: FlowKey,
        segment: &Segment,
    ) {
        let Some(remains) = self.time_waits.get(place).copied() else { return };
        if segment.flags.is_opening() && remains.gives_way_to(segment.sequence) {
            self.time_waits.remove(place);
            self.map.remove(&key, Entry::TimeWait(place));
            if let Some(handover) = &self.ports[port].handover {
                // Here it is known, so it begins here whoever else has got it.
                handover.claim(&key, self.now);
            }
            self.receive_new(port, link, packet, key, segment);
            return;
        }
        if segment.flags.has(Flags::RST) {
            // It could be forged to end the wait (RFC 1337).
            self.stack_counters.drop(DropReason::StrayReset);
            return;
        }
        self.stack_counters.segments_taken += 1;
        // A repeated FIN has missed our answer.
        if segment.payload_bytes > 0 || !segment.flags.is_plain() {
            let (sequence, acknowledged) = (remains.sent_until, remains.received_until);
            let numbers = Numbers { sequence, acknowledged, window: 0 };
            self.ports[port].acknowledge(self.now, link, &key, numbers);
        }
    }

    /// A segment of no connection: it begins one, or is refused.
    fn receive_new(
        &mut self,
        port: usize,
        link: Link,
        packet: &[u8],
        key: FlowKey,
        segment: &Segment,
    ) {
        let is_accepted =
            self.accepting && self.ports[port].is_listening(key.address(), key.local_port());
        if segment.flags.is_opening() && is_accepted {
            match self.open(port, link, packet, key, segment) {
                Ok(()) => self.stack_counters.segments_taken += 1,
                Err(reason) => self.stack_counters.drop(reason),
            }
            return;
        }
        self.refuse(port, link, packet, segment);
    }

    /// Answers a segment of no connection by a reset, unless it is one.
    fn refuse(&mut self, port: usize, link: Link, packet: &[u8], segment: &Segment) {
        if segment.flags.has(Flags::RST) {
            self.stack_counters.drop(DropReason::StrayReset);
            return;
        }
        let attached = &mut self.ports[port];
        let given_before = attached.output.segments_out;
        attached.output.sent = Sent::default();
        attached.answer(self.now, self.at, link, packet);
        if attached.output.segments_out > given_before {
            self.stack_counters.resets_out += 1;
        } else if attached.output.sent.segments > 0 {
            self.stack_counters.drop(DropReason::NoMemory);
        } else {
            self.stack_counters.drop(DropReason::Nonsense);
        }
    }
}
