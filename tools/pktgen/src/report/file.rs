//! The file that a report goes to: whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file that is being written beside its place. Unless it is put there it goes.
#[derive(Debug)]
pub(crate) struct ReportFile {
    /// `None` once all is written.
    file: Option<File>,
    beside: PathBuf,
    path: PathBuf,
}

impl ReportFile {
    /// Makes sure that a report can be written to `path`, before there is one.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        Self::beside(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn beside(path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Ok(path) if path.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(path) if !path.is_file() => return Err(io::Error::other("not a regular file")),
            Ok(path) => {
                // Where it may not be written to, it shall not be replaced either.
                OpenOptions::new().append(true).open(&path)?;
                path
            }
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let name = path.file_name().ok_or_else(|| io::Error::other("no name of a file"))?;
        let beside = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
        let beside = path.with_file_name(beside);
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        Ok(Self { file: Some(file), beside, path })
    }

    /// Writes the report and puts it into its place.
    ///
    /// # Errors
    /// Of the system; what was there before is there still.
    pub(crate) fn finish(mut self, text: &str) -> Result<(), String> {
        self.place(text).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn place(&mut self, text: &str) -> io::Result<()> {
        // Closed before it is renamed, which not every system does with an open one.
        if let Some(mut file) = self.file.take() {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        fs::rename(&self.beside, &self.path)
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        self.file = None;
        // It is not there any more where it was put into its place.
        let _ = fs::remove_file(&self.beside);
    }
}
