//! The router's own file: read with care, and written whole or not at all.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{ConfigErrors, Source};

/// The file was not written: it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Somebody has changed it.
    #[error(
        "{0} was changed since it was loaded, and that would be lost: `xrouter config diff` shows \
         it, `xrouter reload` loads it"
    )]
    Changed(PathBuf),
    /// The system does not let us.
    #[error("cannot write {file}: {cause}")]
    System {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Read and check a regular file: a pipe or a device could keep its reader for ever, and the router
/// from stopping.
///
/// # Errors
/// [`ConfigErrors`].
pub fn read(file: &Path) -> Result<Source, ConfigErrors> {
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        let source = io::Error::other("it is no regular file");
        return Err(ConfigErrors::Unreadable { file: file.display().to_string(), source });
    }
    Source::read(file)
}

/// Write `text`, if the file still has in it what it `had`.
///
/// # Errors
/// [`SaveError`].
pub fn write(file: &Path, had: &str, text: &str) -> Result<(), SaveError> {
    match fs::read_to_string(file) {
        Ok(has) if has == had => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => return Err(SaveError::Changed(file.to_owned())),
    }
    replace(file, text).map_err(|cause| SaveError::System { file: file.to_owned(), cause })
}

/// Beside it first, and then in its place, with its permissions: whoever reads it, and whenever the
/// power fails, finds the old text or the new one. A symbolic link keeps pointing to it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    let mut new = File::create(&beside)?;
    if let Ok(metadata) = fs::metadata(&file) {
        new.set_permissions(metadata.permissions())?;
    }
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&beside, &file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_written_whole_and_what_others_wrote_is_kept() {
        let folder = std::env::temp_dir().join(format!("xrouter-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("router.toml"), folder.join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        write(&link, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let error = write(&file, "old", "newer").unwrap_err().to_string();
        assert!(error.contains("`xrouter reload`"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        fs::remove_file(&file).unwrap();
        write(&file, "new", "again").unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside it");
        assert!(read(&folder).unwrap_err().to_string().contains("no regular file"));
        fs::write(&file, b"# ok\nx = \"\xff\"").unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(
            error.contains("0xff is not UTF-8") && error.contains("router.toml:2:6"),
            "{error}"
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
