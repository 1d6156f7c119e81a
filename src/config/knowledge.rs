//! Files whose text every prompt of a line holds.

use crate::agent::format_knowledge;
use crate::settings::ConfigError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of all files of a line together: they are sent with every request.
pub const KNOWLEDGE_BYTES_MAX: usize = 32 * 1024;

/// The texts of `files` as the prompt holds them.
///
/// # Errors
/// An error of `setting` for each file that cannot be read, is no UTF-8 text, or is too much.
pub fn read_knowledge(files: &[PathBuf], setting: &str) -> Result<String, Vec<ConfigError>> {
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut errors = Vec::new();
    let mut left = KNOWLEDGE_BYTES_MAX;
    for path in files {
        match read_one(path, left) {
            Ok(text) => {
                left -= text.len();
                let name = path.file_name().unwrap_or_default();
                texts.push((name.to_string_lossy().into_owned(), text));
            }
            Err(hint) => errors.push(ConfigError::new(setting, path.display(), hint)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let named = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    Ok(format_knowledge(named))
}

fn read_one(path: &Path, bytes_max: usize) -> Result<String, String> {
    let unreadable = |error: std::io::Error| {
        format!(
            "cannot be read ({error}): name a readable file, relative to the configuration file"
        )
    };
    // Whatever is no plain file may never end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no file: name text files, not folders".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > bytes_max {
        return Err(format!(
            "is too much: the files of a line may have {KNOWLEDGE_BYTES_MAX} bytes together, since they are sent \
             with every request; shorten them"
        ));
    }
    String::from_utf8(bytes).map_err(|_| "is no UTF-8 text: save it as UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_or_reported_as_errors() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let faq = write("faq.md", "We open at nine. ¿Qué?".as_bytes());
        let prices = write("prices.md", b"A book costs five.");
        let told = read_knowledge(&[faq.clone(), prices], "line[+1].knowledge").unwrap();
        assert!(told.contains("We open at nine. ¿Qué?") && told.contains("A book costs five."));
        assert_eq!(read_knowledge(&[], "prompt.knowledge").unwrap(), "");
        let half = write("half.md", &[b'x'; KNOWLEDGE_BYTES_MAX / 2]);
        let binary = write("binary.md", &[0xff, 0xfe, 0x00]);
        let full = write("full.md", &[b'x'; KNOWLEDGE_BYTES_MAX]);
        assert!(
            read_knowledge(std::slice::from_ref(&full), "k").is_ok()
                && read_knowledge(&[half.clone(), half.clone()], "k").is_ok()
        );
        let missing = folder.path().join("missing.md");
        for (files, hint) in [
            (vec![faq.clone(), missing], "cannot be read"),
            (vec![binary], "UTF-8"),
            (vec![faq, full], "too much"),
            (vec![half.clone(), half.clone(), half], "too much"),
            (vec![folder.path().to_owned()], "no file"),
        ] {
            let errors = read_knowledge(&files, "line[+1].knowledge").unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(errors[0].setting, "line[+1].knowledge");
            assert!(errors[0].hint.contains(hint), "{errors:?}");
        }
    }
}
