//! A client of the admin interface of a running appliance.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hioload::config::AdminAddress;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// How long one question and its answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of an answer: enough for the counters of 512 workers.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Asks one appliance, with a connection for each question.
pub(super) struct Client {
    runtime: Runtime,
    address: AdminAddress,
}

/// Why there is no answer, or none that is one.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There is nobody to ask.
    #[error(
        "nothing listens on {0}; where is control.admin of the appliance? The first line of its \
         log says so (admin=...); --admin takes that, --config the appliance's file"
    )]
    NobodyThere(AdminAddress),
    /// The system does not let us ask.
    #[error("cannot connect to {address}: {error}{remedy}", remedy = remedy(.error))]
    Connect { address: AdminAddress, error: io::Error },
    /// No answer in time.
    #[error("{0} took the question and has not answered it for {seconds} s",
        seconds = ANSWER_TIME_MAX.as_secs())]
    Late(AdminAddress),
    /// What answers there speaks another language, or stopped in the middle.
    #[error("{address} does not answer as the admin interface of hioload: {reason}")]
    Stranger { address: AdminAddress, reason: String },
    /// It answers that it does not answer.
    #[error("{address} refuses the question: {status}: {reason}")]
    Refused { address: AdminAddress, status: StatusCode, reason: String },
    /// This address is none.
    #[error("{0}")]
    Address(&'static str),
    /// This process cannot ask anybody.
    #[error("cannot start an event loop: {0}")]
    Runtime(io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; a Unix socket is for the user who runs hioload, and for root"
        }
        _ => "",
    }
}

impl Client {
    /// A client of the appliance whose `control.admin` is `address`.
    pub(super) fn new(address: AdminAddress) -> Result<Self, AskError> {
        let address = reachable(address)?;
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(AskError::Runtime)?;
        Ok(Self { runtime, address })
    }

    /// Who is asked.
    pub(super) fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// The body of the answer to `GET path`.
    pub(super) fn get(&self, path: &str) -> Result<Bytes, AskError> {
        self.runtime.block_on(async {
            match timeout(ANSWER_TIME_MAX, self.ask(path)).await {
                Ok(answer) => answer,
                Err(_) => Err(AskError::Late(self.address.clone())),
            }
        })
    }

    /// An answer that is HTTP and comes from somebody else, or is not what was asked for.
    pub(super) fn stranger(&self, reason: impl fmt::Display) -> AskError {
        AskError::Stranger { address: self.address.clone(), reason: reason.to_string() }
    }

    async fn ask(&self, path: &str) -> Result<Bytes, AskError> {
        let stream = self.connect().await.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                AskError::NobodyThere(self.address.clone())
            }
            _ => AskError::Connect { address: self.address.clone(), error },
        })?;
        let other = |error: hyper::Error| self.stranger(error);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
        // Its end, good or bad, is the end of the answer.
        tokio::spawn(connection);
        let request = Request::get(path)
            .header(header::HOST, self.host())
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.stranger(error))?;
        let answer = sender.send_request(request).await.map_err(other)?;
        self.read(path, answer).await
    }

    async fn read(&self, path: &str, answer: Response<Incoming>) -> Result<Bytes, AskError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.stranger(error))?.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Err(self.stranger(format_args!("it has no {path} ({status})")))
            }
            status => {
                let text = String::from_utf8_lossy(&body);
                let line = text.lines().next().unwrap_or_default().chars();
                // It goes to a terminal, whoever wrote it.
                let reason = line.filter(|char| !char.is_control()).take(300).collect();
                Err(AskError::Refused { address: self.address.clone(), status, reason })
            }
        }
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match &self.address {
            AdminAddress::Tcp(address) => Ok(Box::new(TcpStream::connect(address).await?)),
            AdminAddress::Unix(path) => connect_unix(path).await,
            AdminAddress::Off => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What the admin interface wants to be called; on a Unix socket it does not ask.
    fn host(&self) -> String {
        match &self.address {
            AdminAddress::Tcp(address) => address.to_string(),
            AdminAddress::Unix(_) | AdminAddress::Off => "localhost".to_owned(),
        }
    }
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn connect_unix(_path: &Path) -> io::Result<Box<dyn Stream>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

/// The address to connect to, of an appliance that listens on `address`.
fn reachable(address: AdminAddress) -> Result<AdminAddress, AskError> {
    let AdminAddress::Tcp(address) = address else {
        return match address {
            AdminAddress::Off => Err(AskError::Address(
                "control.admin is \"off\": this appliance cannot be asked anything",
            )),
            address => Ok(address),
        };
    };
    if address.port() == 0 {
        return Err(AskError::Address(
            "port 0 is another one each time; the first line of the appliance's log says which \
             (admin=...), and --admin takes that",
        ));
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(AdminAddress::Tcp(SocketAddr::new(ip, address.port())))
}
