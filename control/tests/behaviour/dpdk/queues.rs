//! Two lcores, each with a queue of one port, over a pair of virtual interfaces. The kernel spreads
//! frames over the queues by a hash of its own.

use crate::Backend;
use crate::dpdk::wire::Wire;
use crate::{chat, directed, mesh};

const VETH: Backend = Backend::Dpdk(Wire::Veth);

#[test]
fn publishers_and_clients_of_both_queues_get_every_message_in_order() {
    mesh::every_client_of_either_worker_gets_every_message_in_order(VETH);
}

#[test]
fn everybody_hears_what_one_says() {
    chat::everybody_hears_what_one_says_the_sender_included(VETH);
}

#[test]
fn answers_from_another_thread_reach_the_ones_who_asked() {
    directed::an_answer_from_another_thread_reaches_the_one_who_asked(VETH);
}
