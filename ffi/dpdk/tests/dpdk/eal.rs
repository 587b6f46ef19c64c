//! The start and the end of the EAL.

use std::fs;
use std::path::Path;
use std::thread;

use hioload_dpdk::{Eal, EalError, Port};

use crate::scene;

#[test]
fn a_second_start_is_refused_while_the_first_runs_and_after_its_end() {
    let eal = scene::eal("second-start", &[]);
    assert!(matches!(Eal::start(&scene::options("second")), Err(EalError::Again)));

    drop(eal);

    let error = Eal::start(&scene::options("third")).unwrap_err();
    assert!(error.to_string().contains("only once"), "{error}");
}

#[test]
fn the_end_leaves_no_files() {
    let options = scene::options("no-files");
    let directory = Path::new("/var/run/dpdk").join(&options.file_prefix);
    let eal = Eal::start(&options).unwrap();
    let pool = scene::pool(&eal, "pool");

    drop(eal);
    drop(pool);

    assert!(!directory.exists(), "{:?}", fs::read_dir(directory).unwrap().collect::<Vec<_>>());
}

#[test]
fn a_refusal_names_the_arguments_and_a_remedy() {
    let mut options = scene::options("refusal");
    options.virtual_devices.push("net_no_such_driver0".to_owned());

    let error = Eal::start(&options).unwrap_err().to_string();
    scene::remove_files(&options);

    assert!(error.contains("--vdev=net_no_such_driver0"), "{error}");
    assert!(
        error.contains("The EAL says which on standard error") || error.contains("EAL"),
        "{error}"
    );
}

#[test]
fn it_says_which_lcores_it_has_and_its_version() {
    let eal = scene::eal("lcores", &[]);
    let workers = eal.workers();
    assert_eq!(workers.iter().map(|worker| worker.0).collect::<Vec<_>>(), [1]);
    assert_eq!(eal.node(workers[0]), Some(0));
    assert!(Eal::version().starts_with("DPDK "), "{}", Eal::version());
}

#[test]
fn the_calling_thread_floats_over_the_control_cpus() {
    let cpus = thread::available_parallelism().unwrap().get();
    let mut options = scene::options("floats");
    options.lcores.control_cpus = (0..cpus).collect();

    let _eal = Eal::start(&options).unwrap();

    assert_eq!(thread::available_parallelism().unwrap().get(), cpus);
    let inherited = thread::spawn(|| thread::available_parallelism().unwrap().get());
    assert_eq!(inherited.join().unwrap(), cpus);
}

#[test]
fn a_port_that_is_not_there_is_reported_with_those_that_are() {
    let eal = scene::eal("no-port", &["net_null0"]);
    let error = Port::find(&eal, "0000:03:00.0").unwrap_err().to_string();
    assert!(error.contains("0000:03:00.0") && error.contains("net_null0"), "{error}");
}
