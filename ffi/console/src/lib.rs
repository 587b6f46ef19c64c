//! Ctrl-C and Ctrl-Break for a child process: what `kill` is to tests on Unix. Windows alone; on
//! other systems there is nothing in here.
//!
//! The system tells a program of an event by a thread that it starts in it, at `CtrlRoutine` of
//! `kernelbase.dll`, which calls the program's handlers. `raise` starts that thread itself, so
//! that the event reaches one process, which needs no console. The way by a console is
//! `GenerateConsoleCtrlEvent`: it reaches all processes of a group, Ctrl-C among them only those
//! of the sender's own, and Wine 8 knows no Ctrl-Break there.
#![deny(unsafe_op_in_unsafe_fn)]
#![cfg(windows)]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::Child;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{FARPROC, HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::Threading::{
    CreateRemoteThread, GetCurrentProcess, IsWow64Process, LPTHREAD_START_ROUTINE,
    WaitForSingleObject,
};
use windows_sys::core::BOOL;

/// Longest wait for the end of a process that takes no more threads.
const ENDING_TIME_MAX_MS: u32 = 5_000;

/// What a person at the console does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleEvent {
    /// Ctrl-C.
    CtrlC,
    /// Ctrl-Break, which a program cannot choose to ignore without a handler.
    CtrlBreak,
}

/// Tells `child` of `event`, as the system would. In a process that has ended nothing happens.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] for a child of another word size than this process, whose
/// libraries lie elsewhere, and what the system says else.
pub fn raise(child: &Child, event: ConsoleEvent) -> io::Result<()> {
    let process: HANDLE = child.as_raw_handle();
    if is_wow64(process)? != is_wow64(this_process())? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let routine = control_routine()?;
    let event = match event {
        ConsoleEvent::CtrlC => CTRL_C_EVENT,
        ConsoleEvent::CtrlBreak => CTRL_BREAK_EVENT,
    };
    let parameter = event as usize as *const c_void;
    // SAFETY: `child` keeps the handle open and it has all rights, since we made the process.
    // `routine` takes one number by value, which is all that it gets, and it is at the same
    // address there: system libraries have one address in all processes of a word size until the
    // system is started anew, and kernelbase is in all of them. The other pointers are optional.
    let thread =
        unsafe { CreateRemoteThread(process, null(), 0, routine, parameter, 0, null_mut()) };
    if thread.is_null() {
        let error = io::Error::last_os_error();
        return if has_ended(process) { Ok(()) } else { Err(error) };
    }
    // SAFETY: the thread's handle has just been made for us, and nobody else knows it.
    drop(unsafe { OwnedHandle::from_raw_handle(thread) });
    Ok(())
}

/// What the system calls in a process for each event.
fn control_routine() -> io::Result<LPTHREAD_START_ROUTINE> {
    // SAFETY: the name ends with a zero. The library is never unloaded.
    let library = unsafe { GetModuleHandleA(c"kernelbase.dll".as_ptr().cast()) };
    if library.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the library is loaded, and the name ends with a zero.
    let routine = unsafe { GetProcAddress(library, c"CtrlRoutine".as_ptr().cast()) };
    if routine.is_none() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are optional pointers to a function of the system's calling convention, and this
    // function is one that takes a pointer-sized number and returns one of 32 bits.
    Ok(unsafe { std::mem::transmute::<FARPROC, LPTHREAD_START_ROUTINE>(routine) })
}

fn this_process() -> HANDLE {
    // SAFETY: takes nothing, and returns a constant that stands for this process.
    unsafe { GetCurrentProcess() }
}

/// Whether it is a process of 32 bits on a system of 64.
fn is_wow64(process: HANDLE) -> io::Result<bool> {
    let mut answer: BOOL = 0;
    // SAFETY: the handle is open as long as our caller's `Child`; the answer is ours to write to.
    let done = unsafe { IsWow64Process(process, &raw mut answer) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(answer != 0) }
}

fn has_ended(process: HANDLE) -> bool {
    // SAFETY: the handle is open as long as our caller's `Child`; no memory is passed.
    unsafe { WaitForSingleObject(process, ENDING_TIME_MAX_MS) == WAIT_OBJECT_0 }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_has_ended_is_left_alone() {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let mut child = program.arg("--list").stdout(Stdio::null()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
        raise(&child, ConsoleEvent::CtrlC).unwrap();
    }
}
