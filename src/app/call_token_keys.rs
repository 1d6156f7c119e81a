//! The keys of call tokens: configured, derived, or kept in the data directory.

use super::StartError;
use crate::config::Config;
use crate::twilio::call_token::CallTokenKey;
use calldex_observability::redaction::Secret;
use std::path::Path;

/// The key of call tokens where neither it nor an auth token is set.
const CALL_TOKEN_KEY_FILE: &str = "reference.key";

/// The key that seals call tokens, then those still accepted: the configured secret, or the
/// auth token's, or one kept in the data directory.
pub(super) fn call_token_keys(config: &Config) -> Result<Vec<CallTokenKey>, StartError> {
    let twilio = &config.twilio;
    let tokens: Vec<Secret> = twilio.tokens().cloned().collect();
    let secrets: Vec<Secret> = match (&twilio.call_token_secret, tokens.is_empty()) {
        (Some(secret), _) => vec![secret.clone()],
        (None, false) => tokens,
        // The same on every instance, as a key in a data directory would not be.
        (None, true) => match &config.cluster.secret {
            Some(secret) if config.cluster.is_enabled() => {
                let accepted = config.cluster.secret_accepted.clone();
                [secret.clone()].into_iter().chain(accepted).collect()
            }
            _ => vec![stored_secret(&config.server.data)?],
        },
    };
    Ok(secrets.iter().map(CallTokenKey::derive).collect())
}

/// A random secret that outlives the process, so that a call can come back after a restart.
fn stored_secret(data: &Path) -> Result<Secret, StartError> {
    let path = data.join(CALL_TOKEN_KEY_FILE);
    let refused = |error| StartError::File {
        path: path.display().to_string(),
        error,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused(error)),
    }
    let secret = random_secret().map_err(refused)?;
    write_private(&path, &secret).map_err(refused)?;
    Ok(Secret::new(secret))
}

fn random_secret() -> std::io::Result<String> {
    let mut bytes = [0_u8; 32];
    let random = fill_random(&mut bytes);
    random.map(|()| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
