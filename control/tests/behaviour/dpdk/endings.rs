//! What a process on DPDK leaves behind: nothing.

use crate::Backend;
use crate::client::Client;
use crate::dpdk::wire::{Wire, huge_page_files};
use crate::process::Process;
use crate::signals::Signal;

const VETH: Backend = Backend::Dpdk(Wire::Veth);

#[test]
fn after_a_signal_in_the_middle_of_traffic_the_interface_can_be_used_again() {
    for round in 0..2 {
        let mut process = Process::start(VETH, "server.workers = 2");
        let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(process.address)).collect();
        for client in &mut clients {
            for _ in 0..20 {
                client.send_text("traffic");
            }
        }
        clients[0].round_trip("all of it is under way");
        process.signal(Signal::Terminate);
        for client in &mut clients {
            let (_, code, _) = client.until_close();
            assert_eq!(code, Some(1001), "round {round}");
            client.send_close(1001);
            assert!(client.is_at_end(), "round {round}");
        }
        assert_eq!(process.exit_status(), Some(0), "round {round}");
        assert_eq!(huge_page_files(), Vec::<String>::new());
    }
}

#[test]
fn a_process_that_is_killed_leaves_no_file_and_an_interface_that_can_be_used_again() {
    let process = Process::start(VETH, "server.workers = 2");
    Client::connect(process.address).round_trip("hello");
    // Killed as it goes out of scope.
    drop(process);
    assert_eq!(huge_page_files(), Vec::<String>::new());
    let process = Process::start(VETH, "server.workers = 2");
    Client::connect(process.address).round_trip("hello again");
}
