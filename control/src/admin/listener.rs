//! Where admin connections come from: a TCP port or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use hioload_config::AdminAddress;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::AdminError;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    /// On a TCP port, which is `address`.
    Tcp { listener: TcpListener, address: SocketAddr },
    /// On a Unix socket, whose file goes when the listener does.
    #[cfg(unix)]
    Unix { listener: tokio::net::UnixListener, file: unix::SocketFile },
}

/// An accepted connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    /// Listens on `address`. To be called within an event loop.
    pub(super) fn bind(address: &AdminAddress) -> Result<Self, AdminError> {
        match address {
            AdminAddress::Off => Err(AdminError::Off),
            AdminAddress::Tcp(address) => {
                bind_tcp(*address).map_err(|error| AdminError::Bind { address: *address, error })
            }
            AdminAddress::Unix(path) => bind_unix(path),
        }
    }

    /// The address as the log and the configuration write it.
    pub(super) fn address(&self) -> String {
        match self {
            Listener::Tcp { address, .. } => address.to_string(),
            #[cfg(unix)]
            Listener::Unix { file, .. } => format!("unix:{}", file.path().display()),
        }
    }

    /// The address, where it is a TCP one.
    pub(super) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp { address, .. } => Some(*address),
            #[cfg(unix)]
            Listener::Unix { .. } => None,
        }
    }

    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Listener::Tcp { listener, .. } => Ok(Box::new(listener.accept().await?.0)),
            #[cfg(unix)]
            Listener::Unix { listener, .. } => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Listener::Tcp { listener: TcpListener::from_std(listener)?, address })
}

#[cfg(unix)]
fn bind_unix(path: &Path) -> Result<Listener, AdminError> {
    unix::remove_stale(path)?;
    let failed = |error| AdminError::BindUnix { path: path.to_owned(), error };
    let (listener, file) = unix::bind(path).map_err(failed)?;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
    Ok(Listener::Unix { listener, file })
}

#[cfg(not(unix))]
fn bind_unix(path: &Path) -> Result<Listener, AdminError> {
    Err(AdminError::NoUnixSockets(path.to_owned()))
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, Metadata, Permissions};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use socket2::{Domain, SockAddr, Socket, Type};

    use super::super::AdminError;

    /// Connections that may wait to be accepted.
    const BACKLOG: i32 = 128;

    /// The file of a Unix socket; removed on drop, unless another file has taken its place.
    #[derive(Debug)]
    pub(crate) struct SocketFile {
        path: PathBuf,
        identity: (u64, u64),
    }

    impl SocketFile {
        pub(crate) fn path(&self) -> &Path {
            &self.path
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let there = fs::symlink_metadata(&self.path).map(|file| identity(&file));
            if there.is_ok_and(|there| there == self.identity) {
                // What cannot be removed is found stale by the next one.
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    /// Removes the socket of a process that has ended without doing so.
    pub(crate) fn remove_stale(path: &Path) -> Result<(), AdminError> {
        let failed = |error| AdminError::BindUnix { path: path.to_owned(), error };
        let file = match fs::symlink_metadata(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        if !file.file_type().is_socket() {
            return Err(AdminError::NoSocket(path.to_owned()));
        }
        match UnixStream::connect(path) {
            Ok(_) => Err(AdminError::UnixInUse(path.to_owned())),
            // Nobody listens.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A socket that only this user can connect to: its mode is set before it listens.
    pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let identity = identity(&fs::symlink_metadata(path)?);
        let file = SocketFile { path: path.to_owned(), identity };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok((socket.into(), file))
    }

    fn identity(file: &Metadata) -> (u64, u64) {
        (file.dev(), file.ino())
    }
}
