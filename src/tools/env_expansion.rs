//! Secrets in the settings of tools: `${NAME}` is replaced by the environment variable `NAME`, or by the content of the
//! file that `NAME_FILE` names, so that the configuration file need not contain them.

/// Most bytes of a file with a secret.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// `text` with each `${NAME}` replaced. May read files.
///
/// # Errors
/// The name of the variable that is missing; never a value.
pub fn expand_variables(text: &str) -> Result<String, String> {
    expand_with(text, read_variable)
}

fn expand_with(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("has \"${\" without \"}\"")?;
        let value = variable(name).ok_or_else(|| {
            format!("names the variable {name}, which is not set: set {name} or {name}_FILE")
        })?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn read_variable(name: &str) -> Option<String> {
    if let Ok(value) = std::env::var(name) {
        return Some(value);
    }
    let path = std::env::var(format!("{name}_FILE")).ok()?;
    let size = std::fs::metadata(&path).ok()?.len();
    let text = (size <= FILE_BYTES_MAX).then(|| std::fs::read_to_string(path).ok());
    text.flatten().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_one_that_is_missing_is_named() {
        let variable = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        assert_eq!(
            expand_with("Bearer ${TOKEN}!", variable),
            Ok("Bearer s3cret!".into())
        );
        assert_eq!(expand_with("plain $x", variable), Ok("plain $x".into()));
        assert!(
            expand_with("${OTHER}", variable)
                .unwrap_err()
                .contains("OTHER")
        );
        assert!(expand_with("${TOKEN", variable).is_err());
    }
}
