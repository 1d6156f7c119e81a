//! The base URL of a model: its normal form, the URLs of the requests below it, and which provider it belongs to.

use crate::net::address::parse_http_url;
use reqwest::Url;

/// The path of a request below the base URL. Some operators configure the whole path.
const CHAT: [&str; 2] = ["chat", "completions"];
/// The host that reads `max_completion_tokens`.
const OPENAI_HOST: &str = "api.openai.com";
/// Suffixes of Azure's hosts, which expect the key in the header `api-key`.
const AZURE_HOSTS: [&str; 3] = [
    ".openai.azure.com",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
];
/// The base URL in its normal form: http or https, with a host, without a fragment and without the path
/// `/chat/completions`. A query stays.
pub(in crate::agent) fn parse_base_url(url: &str) -> Option<Url> {
    let mut url = parse_http_url(url)?;
    let path = url.path().trim_end_matches('/');
    if let Some(base) = path.strip_suffix("/chat/completions") {
        let base = base.to_owned();
        url.set_path(&base);
    }
    Some(url)
}

/// The URL of chat completions below `base`, with its query and `query` added.
pub(super) fn chat_completions_url<'a>(
    base: &Url,
    query: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Url {
    join_path(base, &CHAT, query)
}

/// The URL of the list of models.
pub(super) fn models_url<'a>(
    base: &Url,
    query: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Url {
    join_path(base, &["models"], query)
}

fn join_path<'a>(
    base: &Url,
    path: &[&str],
    query: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    let mut query = query.into_iter().peekable();
    if query.peek().is_some() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Whether it is OpenAI's API.
pub(super) fn is_openai(url: &Url) -> bool {
    url.host_str() == Some(OPENAI_HOST)
}

/// Whether it is a host of Azure.
pub(super) fn is_azure(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    AZURE_HOSTS.iter().any(|ending| host.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn requests_go_below_the_base_with_all_of_its_query() {
        let none = BTreeMap::new();
        let version: BTreeMap<String, String> =
            [("api-version".to_owned(), "2024-10-21".to_owned())].into();
        for (base, query, chat_url) in [
            (
                "https://api.openai.com/v1",
                &none,
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "http://localhost:1/v1/",
                &none,
                "http://localhost:1/v1/chat/completions",
            ),
            (
                "http://localhost:1/v1/chat/completions",
                &none,
                "http://localhost:1/v1/chat/completions",
            ),
            (
                "https://x.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
                &none,
                "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            ),
            (
                "https://x.openai.azure.com/openai/deployments/d/chat/completions?a=b",
                &version,
                "https://x.openai.azure.com/openai/deployments/d/chat/completions?a=b&api-version=2024-10-21",
            ),
        ] {
            let url = parse_base_url(base).unwrap();
            assert_eq!(chat_completions_url(&url, query).as_str(), chat_url);
        }
        for wrong in ["ftp://x/v1", "nowhere", "http://x/v1#a", "unix:/x"] {
            assert!(parse_base_url(wrong).is_none(), "{wrong}");
        }
    }
}
