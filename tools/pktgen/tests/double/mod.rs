//! A small broadcast server that does wrong what it is told to do wrong. A thread for each client
//! reads and has tungstenite unmask; frames to clients are made by hand, so that they can be bad.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use tungstenite::{Error, Message, WebSocket};

/// What becomes of one message on its way to one client.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Deliver,
    Lose,
    /// So many times.
    Repeat(usize),
    /// It goes out behind the next one.
    HoldBack,
    /// One bit of the byte at this place is turned over.
    Flip(usize),
    /// Only so many bytes of it.
    Cut(usize),
    /// These bytes on the wire in its place.
    Raw(Vec<u8>),
    /// The connection ends.
    HangUp,
}

/// What to do with a message, by number of the client (in the order of connecting) and of the
/// message (of all that are published, from 0).
pub(crate) type Faults = fn(client: usize, message: usize) -> Act;

pub(crate) fn no_fault(_client: usize, _message: usize) -> Act {
    Act::Deliver
}

/// How the server behaves otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) faults: Faults,
    /// Who sends a message gets it, too.
    pub(crate) sender_included: bool,
    /// The server reads nothing for a while before it takes this message.
    pub(crate) stall: Option<(usize, Duration)>,
    /// When this message comes, all connections but that of its sender end.
    pub(crate) throws_out_at: Option<usize>,
    /// The roll call is not heard before so many clients are there.
    pub(crate) clients_min: usize,
    /// Every client is pinged when it comes, and thrown out unless it answers before long.
    pub(crate) pings: bool,
    /// A Close is not answered, and the connection left as it is.
    pub(crate) ignores_close: bool,
    /// What a frame is answered with that breaks the rules; without it the connection just ends.
    pub(crate) close_code: Option<u16>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            faults: no_fault,
            sender_included: true,
            stall: None,
            throws_out_at: None,
            clients_min: 0,
            pings: false,
            ignores_close: false,
            close_code: None,
        }
    }
}

/// The server. Its threads end with their connections.
#[derive(Debug)]
pub(crate) struct Double {
    pub(crate) address: SocketAddr,
    hub: Arc<Mutex<Hub>>,
}

#[derive(Debug, Default)]
struct Hub {
    clients: Vec<Client>,
    messages: usize,
    pongs: usize,
}

#[derive(Debug)]
struct Client {
    socket: TcpStream,
    held_back: Option<Vec<u8>>,
    /// It got a Close; nothing may follow.
    is_closed: bool,
}

impl Double {
    pub(crate) fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let hub = Arc::new(Mutex::new(Hub::default()));
        let clients = Arc::clone(&hub);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let hub = Arc::clone(&clients);
                thread::spawn(move || socket.map(|socket| serve(socket, &hub, manners)));
            }
        });
        Self { address, hub }
    }

    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }

    /// Clients that have come.
    pub(crate) fn clients(&self) -> usize {
        lock(&self.hub).clients.len()
    }

    /// Messages that were published.
    pub(crate) fn messages(&self) -> usize {
        lock(&self.hub).messages
    }

    /// Pings that were answered.
    pub(crate) fn pongs(&self) -> usize {
        lock(&self.hub).pongs
    }
}

fn lock(hub: &Mutex<Hub>) -> MutexGuard<'_, Hub> {
    hub.lock().expect("nobody panicked")
}

fn serve(socket: TcpStream, hub: &Mutex<Hub>, manners: Manners) {
    socket.set_nodelay(true).expect("an option");
    let writer = socket.try_clone().expect("a descriptor");
    let Ok(mut websocket) = tungstenite::accept(socket) else { return };
    let number = {
        let mut hub = lock(hub);
        hub.clients.push(Client { socket: writer, held_back: None, is_closed: false });
        hub.clients.len() - 1
    };
    if manners.pings {
        websocket.send(Message::Ping("there?".into())).expect("it is open");
    }
    // The end of a connection ends its thread; the clients of the others notice for themselves.
    loop {
        match websocket.read() {
            Ok(Message::Binary(message)) => publish(hub, number, &message, manners),
            Ok(Message::Pong(payload)) if payload == "there?".as_bytes() => lock(hub).pongs += 1,
            Ok(Message::Close(_)) if manners.ignores_close => {
                // It would be answered by the next read.
                let _ = io::copy(websocket.get_mut(), &mut io::sink());
                return;
            }
            Ok(_) => {}
            Err(error) => {
                let is_bad_frame = matches!(error, Error::Protocol(_) | Error::Utf8(_));
                if let (Some(code), true) = (manners.close_code, is_bad_frame) {
                    let [high, low] = code.to_be_bytes();
                    let mut hub = lock(hub);
                    let _ = hub.clients[number].deliver(Act::Raw(vec![0x88, 2, high, low]), &[]);
                }
                break;
            }
        }
    }
    end(&mut websocket);
}

/// The server ends the TCP connection (RFC 6455 section 7.1.1), but not under the client's bytes.
fn end(websocket: &mut WebSocket<TcpStream>) {
    let socket = websocket.get_mut();
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = io::copy(&mut socket.take(1 << 20), &mut io::sink());
}

fn publish(hub: &Mutex<Hub>, sender: usize, message: &[u8], manners: Manners) {
    let mut hub = lock(hub);
    // It may be of a stranger, and shorter.
    let is_roll_call = message.get(24..28) == Some(&[0xff; 4][..]);
    if is_roll_call && hub.clients.len() < manners.clients_min {
        return;
    }
    let number = hub.messages;
    hub.messages += usize::from(!is_roll_call);
    if let Some((_, pause)) = manners.stall.filter(|(at, _)| *at == number && !is_roll_call) {
        // Nobody else is served either: the hub is locked.
        thread::sleep(pause);
    }
    let throws_out = manners.throws_out_at == Some(number) && !is_roll_call;
    for (to, client) in hub.clients.iter_mut().enumerate() {
        if to == sender && !manners.sender_included {
            continue;
        }
        let act = match (manners.faults)(to, number) {
            _ if is_roll_call => Act::Deliver,
            _ if throws_out && to != sender => Act::HangUp,
            act => act,
        };
        // A client that is gone is no fault of this server's.
        let _ = client.deliver(act, message);
    }
}

impl Client {
    fn deliver(&mut self, act: Act, message: &[u8]) -> io::Result<()> {
        let mut wire = Vec::new();
        if self.is_closed {
            return Ok(());
        }
        match act {
            Act::Deliver => frame(&mut wire, message),
            Act::Lose => return Ok(()),
            Act::Repeat(times) => (0..times).for_each(|_| frame(&mut wire, message)),
            Act::HoldBack => {
                let mut late = Vec::new();
                frame(&mut late, message);
                self.held_back = Some(late);
                return Ok(());
            }
            Act::Flip(at) => {
                let mut damaged = message.to_vec();
                damaged[at] ^= 1;
                frame(&mut wire, &damaged);
            }
            Act::Cut(len) => frame(&mut wire, &message[..len]),
            Act::Raw(bytes) => {
                self.is_closed = bytes[0] == 0x88;
                wire = bytes;
            }
            Act::HangUp => return self.socket.shutdown(std::net::Shutdown::Both),
        }
        wire.extend(self.held_back.take().unwrap_or_default());
        self.socket.write_all(&wire)
    }
}

/// RFC 6455 section 5.2, as a server sends it.
fn frame(wire: &mut Vec<u8>, payload: &[u8]) {
    wire.push(0x82);
    match payload.len() {
        len @ 0..=125 => wire.push(u8::try_from(len).expect("below 126")),
        len => {
            wire.push(126);
            wire.extend(u16::try_from(len).expect("a short message").to_be_bytes());
        }
    }
    wire.extend(payload);
}

/// A server that answers each connection with these bytes once it has the request, and then waits
/// for the client to end it.
pub(crate) fn answers_with(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 1024];
                let _ = socket.read(&mut request);
                let _ = socket.write_all(answer);
                let _ = io::copy(&mut socket, &mut io::sink());
            });
        }
    });
    address.to_string()
}
