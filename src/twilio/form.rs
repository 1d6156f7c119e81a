//! The body of Twilio's webhooks: `application/x-www-form-urlencoded`, parsed without loss of anything
//! that the signature covers (docs/protocol.md 2.3, 7.1).

use std::fmt;

/// Bytes of a body that are parsed at most. A voice webhook with every optional key stays below
/// 4 KB; `HandoffData` is the caller's own text and bounded by the frame that carried it.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// Pairs in one form at most: a recorded voice webhook has 29.
pub const FORM_PAIRS_MAX: usize = 512;

/// Names and values in the order of the request, blanks and repetitions kept: both count in the
/// signature. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

/// Why a body is rejected. Each is the sender's fault (HTTP 413 for the sizes, 400 else).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More bytes than [`FORM_BYTES_MAX`].
    #[error("a form of {bytes} bytes is over the {FORM_BYTES_MAX} that are read")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// More pairs than [`FORM_PAIRS_MAX`].
    #[error("a form of more than {FORM_PAIRS_MAX} parameters")]
    TooManyPairs,
}

impl Form {
    /// Parses a body, or the query of a GET (without its `?`). `+` is a space, `%XX` a byte, a
    /// stray `%` itself; bytes that are no UTF-8 become U+FFFD (the signature then fails).
    ///
    /// # Errors
    /// If it is over [`FORM_BYTES_MAX`] or [`FORM_PAIRS_MAX`].
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        if body.len() > FORM_BYTES_MAX {
            return Err(FormError::TooLarge { bytes: body.len() });
        }
        let mut pairs = Vec::with_capacity(
            body.iter()
                .filter(|&&b| b == b'&')
                .count()
                .min(FORM_PAIRS_MAX)
                + 1,
        );
        for (name, value) in form_urlencoded::parse(body) {
            if pairs.len() == FORM_PAIRS_MAX {
                return Err(FormError::TooManyPairs);
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { pairs })
    }

    /// The first value of `name`, also when it is blank; `None` when the name is not there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The first value of `name` unless it is blank. Twilio sends unknown values as blanks.
    pub fn non_blank(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// Every value of `name` in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.pairs
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every pair in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
impl Form {
    /// An empty form, to be filled by [`Form::push`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.pairs.push((name.into(), value.into()));
    }

    /// The body that [`Form::parse`] reads back to an equal form.
    pub fn encode(&self) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(self.pairs());
        body.finish()
    }
}

#[cfg(test)]
impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Form {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self {
            pairs: pairs
                .into_iter()
                .map(|(n, v)| (n.into(), v.into()))
                .collect(),
        }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")?;
        f.debug_list()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_repetitions_and_order_are_kept() {
        let form = Form::parse(b"b=2&a=&b=1&c&b=2&d=x+y%2Bz%zz").unwrap();
        let pairs: Vec<_> = form.pairs().collect();
        assert_eq!(
            pairs,
            [
                ("b", "2"),
                ("a", ""),
                ("b", "1"),
                ("c", ""),
                ("b", "2"),
                ("d", "x y+z%zz")
            ]
        );
        assert_eq!(form.get("a"), Some(""));
        assert_eq!(form.non_blank("a"), None);
        assert_eq!(form.get_all("b").collect::<Vec<_>>(), ["2", "1", "2"]);
    }

    #[test]
    fn a_body_over_its_bounds_is_refused() {
        let bytes = FORM_BYTES_MAX + 1;
        assert_eq!(
            Form::parse(&vec![b'a'; bytes]),
            Err(FormError::TooLarge { bytes })
        );
        let many = "a&".repeat(FORM_PAIRS_MAX);
        assert_eq!(
            Form::parse(many.as_bytes()).unwrap().pairs().count(),
            FORM_PAIRS_MAX
        );
        assert_eq!(
            Form::parse((many + "a").as_bytes()),
            Err(FormError::TooManyPairs)
        );
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let shown = format!(
            "{:?}",
            Form::from_iter([("From", "+14155550100"), ("CallerName", "Misty")])
        );
        assert_eq!(shown, r#"Form["From", "CallerName"]"#);
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_back(pairs in proptest::collection::vec((".{0,12}", ".{0,20}"), 0..20)) {
            // An empty name with an empty value is an empty segment: no form can tell it from none.
            let form: Form = pairs.into_iter().filter(|(n, v)| !(n.is_empty() && v.is_empty())).collect();
            prop_assert_eq!(Form::parse(form.encode().as_bytes()).unwrap(), form);
        }

        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&body);
        }
    }
}
